"""Accepts connections. A program's request for its import map is answered here, all else goes to the HTTP server.

connection -> may it stay? -> a complete, plain request for an import map?  -> answered, closed
                           -> nothing sent yet                              -> looked at again when bytes arrive
                           -> anything else                                 -> untouched to the HTTP protocol

A program sends one request, on a connection of its own, and waits 20 ms at most. A transport, a task and an HTTP parser
for each such connection would be nine tenths of the work. The bytes are only peeked at here, so the protocol still sees
all of them. The kernel wakes us when a program connects; its request may not have arrived yet.
"""

import asyncio
import contextlib
import logging
import re
import socket
from collections.abc import Awaitable, Callable, Iterator

from storectl_daemon.models import API_VERSION
from storectl_daemon.serving.peers import Gate
from storectl_store.errors import ProblemError

logger = logging.getLogger(__name__)

ANSWER_SECONDS = 10.0
"""The longest time, in seconds, that a peer may take to read an answer."""

REQUEST_SECONDS = 2.0
"""The longest time, in seconds, that a peer may send nothing."""

_HEAD_BYTES = 1024
_AT_ONCE = 64
_DEFAULT_ROOM = 150_000
"""Bytes that a connection takes at once by default: less than Linux's 212,992, which include the kernel's overhead."""

_RETRY_SECONDS = 1.0
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
_REQUEST = re.compile(
    rb"GET /v%d/environments/([0-9a-f]{32})/import-map HTTP/1\.[01]\r\n"
    rb"Host: *[!-~]+ *\r\n(?:(?:Connection|Accept|Accept-Encoding|User-Agent):[ -~]*\r\n)*\r\n" % API_VERSION,
    re.IGNORECASE,
)


class Listener:
    """Accepts connections on one listening socket from ``open`` to ``close``.

    ``import_map`` returns the map of an environment's id, or raises a ProblemError. ``protocol`` makes the protocol for
    a connection that is handed on. ``on_answer`` is called after each map. A peer that has sent nothing after
    ``seconds`` is disconnected.
    """

    def __init__(
        self,
        *,
        gate: Gate,
        import_map: Callable[[str], bytes],
        protocol: Callable[[], Awaitable[asyncio.Protocol]],
        on_answer: Callable[[], None] = lambda: None,
        seconds: float = REQUEST_SECONDS,
    ) -> None:
        self._gate = gate
        self._import_map = import_map
        self._protocol = protocol
        self._on_answer = on_answer
        self._seconds = seconds
        self._listening: socket.socket | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._waiting: set[_Connection] = set()
        self._handovers: set[asyncio.Task[object]] = set()

    def open(self, listening: socket.socket) -> None:
        """Begin to accept, on the running event loop. ``listening`` must not block; its owner still has to close it."""
        self._loop = asyncio.get_running_loop()
        self._retry = None
        self._listening = listening
        self._loop.add_reader(listening.fileno(), self._accept_all)

    def move(self, listening: socket.socket) -> None:
        """Accept on this socket from now on. Connections that still wait at the old one are accepted first."""
        if self._retry is None and self._listening is not None:
            self._accept_all()
        self._stop_accepting()
        self.open(listening)

    def _stop_accepting(self) -> None:
        """Accept no more. Connections that were accepted stay open."""
        if self._listening is not None:
            self._loop.remove_reader(self._listening.fileno())
            self._listening = None
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None

    def close(self) -> None:
        """Accept no more, and close the connections that were not handed on.

        A program whose answer is cut off reads the published map itself.
        """
        self._stop_accepting()
        for connection in list(self._waiting):
            connection.close()

    def _accept_all(self) -> None:
        """Accept all connections that wait, up to ``_AT_ONCE``. Then handle them in that order.

        Accepting is quick and answering is not: while the first is answered, the request of the last arrives.
        """
        for connection in [connection for accepted in self._accepted() if (connection := self._admit(accepted))]:
            self._handle(connection)

    def _handle(self, connection: "_Connection") -> None:
        """Handle one connection. An error ends this connection only: the rest of the batch still has to be handled."""
        try:
            self._serve(connection)
        except Exception:
            logger.exception("a connection cannot be answered")
            connection.close()

    def _accepted(self) -> Iterator[socket.socket]:
        assert self._listening is not None
        for _ in range(_AT_ONCE):
            try:
                yield self._listening.accept()[0]
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionAbortedError:
                continue
            except OSError as error:  # as a rule because no descriptors are left
                logger.warning("no connection can be accepted: %s", error)
                self._pause()
                return

    def _pause(self) -> None:
        """Stop accepting for a while: the socket stays readable although nothing can be accepted."""
        assert self._listening is not None
        listening = self._listening
        self._loop.remove_reader(listening.fileno())
        self._retry = self._loop.call_later(_RETRY_SECONDS, self.open, listening)

    def _admit(self, accepted: socket.socket) -> "_Connection | None":
        """The connection, counted at the gate; None if its peer may not stay."""
        try:
            uid = self._gate.enter(accepted)
        except Exception:
            logger.exception("a connection cannot be let in")
            uid = None
        if uid is None:
            accepted.close()
            return None
        accepted.setblocking(False)
        return _Connection(accepted, self._loop, self._waiting, lambda: self._gate.leave(uid))

    def _serve(self, connection: "_Connection") -> None:
        try:
            request = connection.socket.recv(_HEAD_BYTES, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            connection.wait_for_request(self._seconds, self._handle)
            return
        except OSError:
            connection.close()
            return
        if not request:  # the peer only wanted to know whether anything listens here
            connection.close()
            return
        found = self._requested_map(request)
        if found is None:
            self._hand_over(connection)
            return
        connection.answer(len(request), found)
        self._on_answer()

    def _requested_map(self, request: bytes) -> bytes | None:
        """The map that is asked for; None if this is another request, or if the answer is a problem."""
        found = _REQUEST.fullmatch(request)
        if found is None:
            return None
        try:
            return self._import_map(found[1].decode("ascii"))
        except ProblemError:
            return None

    def _hand_over(self, connection: "_Connection") -> None:
        task = self._loop.create_task(self._connect(connection))
        self._handovers.add(task)
        task.add_done_callback(self._handovers.discard)

    async def _connect(self, connection: "_Connection") -> None:
        try:
            protocol = await self._protocol()
        except Exception:
            logger.exception("a connection cannot be served")
            connection.close()
            return
        if self._listening is None:
            connection.close()
            return
        accepted = connection.detach()  # the protocol counts it at the gate again
        try:
            await self._loop.connect_accepted_socket(lambda: protocol, accepted)
        except OSError as error:
            logger.debug("a connection was gone before it was served: %s", error)
            accepted.close()
        except Exception:
            logger.exception("a connection cannot be served")
            accepted.close()


class _Connection:
    """One connection, until it is answered, handed on, or closed.

    ``waiting`` is the set of connections that wait for their peer to send or to read.
    """

    def __init__(
        self,
        accepted: socket.socket,
        loop: asyncio.AbstractEventLoop,
        waiting: "set[_Connection]",
        on_close: Callable[[], None],
    ) -> None:
        self.socket = accepted
        self._loop = loop
        self._waiting = waiting
        self._on_close = on_close
        self._deadline: asyncio.TimerHandle | None = None
        self._unsent = memoryview(b"")
        self._closed = False

    def wait_for_request(self, seconds: float, handle: "Callable[[_Connection], None]") -> None:
        """Call ``handle`` as soon as there is something to read. After ``seconds`` without that the connection ends."""
        self._set_deadline(seconds)
        self._loop.add_reader(self.socket.fileno(), self._readable, handle)

    def _readable(self, handle: "Callable[[_Connection], None]") -> None:
        self._loop.remove_reader(self.socket.fileno())
        self._clear_deadline()
        handle(self)

    def answer(self, request: int, content: bytes) -> None:
        """Take ``request`` bytes from the connection and send the map. What does not fit is sent as the peer reads."""
        self._unsent = memoryview(_HEAD % len(content) + content)
        try:
            self.socket.recv(request)
            if len(self._unsent) > _DEFAULT_ROOM:
                self._make_room(len(self._unsent))
        except OSError:
            self.close()
            return
        self._send()
        if self._unsent:
            self._set_deadline(ANSWER_SECONDS)
            self._loop.add_writer(self.socket.fileno(), self._send_on)
        else:
            self.close()

    def _make_room(self, size: int) -> None:
        """Ask for room for the whole answer, so that one call can send it. The system has a limit of its own."""
        with contextlib.suppress(OSError):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)

    def _send(self) -> None:
        try:
            self._unsent = self._unsent[self.socket.send(self._unsent) :]
        except (BlockingIOError, InterruptedError):
            return
        except OSError:  # the peer is gone
            self._unsent = self._unsent[:0]

    def _send_on(self) -> None:
        self._send()
        if not self._unsent:
            self._loop.remove_writer(self.socket.fileno())
            self.close()

    def _set_deadline(self, seconds: float) -> None:
        self._waiting.add(self)
        self._deadline = self._loop.call_later(seconds, self.close)

    def _clear_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
            self._waiting.discard(self)

    def detach(self) -> socket.socket:
        """Give up the connection: the caller handles and closes it from now on."""
        self._closed = True
        self._on_close()
        return self.socket

    def close(self) -> None:
        """Close the connection, in any state. If it has been closed or given up, nothing happens."""
        if self._closed:
            return
        self._closed = True
        if self._deadline is not None:
            self._loop.remove_reader(self.socket.fileno())
            self._loop.remove_writer(self.socket.fileno())
            self._clear_deadline()
        self.socket.close()
        self._on_close()
