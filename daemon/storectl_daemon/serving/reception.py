"""Accepting connections: a starting program's request is answered at once, everything else goes to the HTTP server.

connection -> may it stay? -> a complete, plain request for an import map?  -> answered, closed
                           -> nothing sent yet                              -> looked at again when bytes arrive
                           -> anything else                                 -> untouched to the HTTP protocol

A program asks once, on a connection of its own, and has 20 ms. Transports, tasks and an HTTP parser for each such
connection would be nine tenths of the work. The bytes are only peeked at here, so the protocol still sees all of them.
The kernel wakes us when a program connects; its request may not have arrived yet.
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

SILENT_SECONDS = 2.0
"""The longest time, in seconds, that a peer may send nothing."""

_HEAD_BYTES = 1024
_AT_ONCE = 64
_DEFAULT_ROOM = 150_000
"""Bytes that a connection takes at once by default: less than Linux's 212,992, which include the kernel's overhead."""

_RETRY_SECONDS = 1.0
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
_QUESTION = re.compile(
    rb"GET /v%d/environments/([0-9a-f]{32})/import-map HTTP/1\.[01]\r\n"
    rb"Host: *[!-~]+ *\r\n(?:(?:Connection|Accept|Accept-Encoding|User-Agent):[ -~]*\r\n)*\r\n" % API_VERSION,
    re.IGNORECASE,
)


class Reception:
    """Accepts connections on one listening socket from ``open`` to ``close``.

    ``import_map`` returns the map of an environment's id, or raises a ProblemError. ``protocol`` makes the protocol for
    a connection that is handed on; until then that connection counts as one that is here. ``on_answer`` is called
    after each answer that is given here. A peer that has sent nothing after ``seconds`` is disconnected.
    """

    def __init__(
        self,
        *,
        gate: Gate,
        import_map: Callable[[str], bytes],
        protocol: Callable[[], Awaitable[asyncio.Protocol]],
        on_answer: Callable[[], None] = lambda: None,
        seconds: float = SILENT_SECONDS,
    ) -> None:
        self._gate = gate
        self._import_map = import_map
        self._protocol = protocol
        self._on_answer = on_answer
        self._seconds = seconds
        self._listening: socket.socket | None = None
        self._pause: asyncio.TimerHandle | None = None
        self._visits: set[_Visit] = set()
        self._handovers: set[asyncio.Task[object]] = set()

    def open(self, listening: socket.socket) -> None:
        """Begin to accept, on the running event loop. ``listening`` must not block; its owner still has to close it."""
        self._loop = asyncio.get_running_loop()
        self._pause = None
        self._listening = listening
        self._loop.add_reader(listening.fileno(), self._receive_all)

    def move(self, listening: socket.socket) -> None:
        """Accept on this socket from now on. Connections that still wait at the old one are accepted first."""
        if self._pause is None and self._listening is not None:
            self._receive_all()
        self.close_listening()
        self.open(listening)

    def close_listening(self) -> None:
        """Accept no more. Connections that are here already stay."""
        if self._listening is not None:
            self._loop.remove_reader(self._listening.fileno())
            self._listening = None
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None

    def close(self) -> None:
        """Accept no more, and close the connections that are here.

        A program whose answer is cut off reads the published map itself.
        """
        self.close_listening()
        for visit in list(self._visits):
            visit.end()

    def _receive_all(self) -> None:
        """Accept all connections that wait, up to ``_AT_ONCE``. Then handle them in the order in which they came.

        Accepting is quick and answering is not: while the first is answered, the request of the last arrives.
        """
        for visit in [visit for connection in self._accepted() if (visit := self._receive(connection))]:
            self._hear(visit)

    def _hear(self, visit: "_Visit") -> None:
        """Handle one connection. An error ends this connection only: the rest of the batch still has to be handled."""
        try:
            self._listen_to(visit)
        except Exception:
            logger.exception("a connection cannot be answered")
            visit.end()

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
                self._rest()
                return

    def _rest(self) -> None:
        """Stop accepting for a while: the socket stays readable although nothing can be accepted."""
        assert self._listening is not None
        listening = self._listening
        self._loop.remove_reader(listening.fileno())
        self._pause = self._loop.call_later(_RETRY_SECONDS, self.open, listening)

    def _receive(self, connection: socket.socket) -> "_Visit | None":
        """The visit of this connection; None if its peer may not stay."""
        try:
            uid = self._gate.enter(connection)
        except Exception:
            logger.exception("a connection cannot be let in")
            uid = None
        if uid is None:
            connection.close()
            return None
        connection.setblocking(False)
        return _Visit(connection, self._loop, self._visits, lambda: self._gate.leave(uid))

    def _listen_to(self, visit: "_Visit") -> None:
        try:
            question = visit.connection.recv(_HEAD_BYTES, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            visit.wait_until_it_speaks(self._seconds, self._hear)
            return
        except OSError:
            visit.end()
            return
        if not question:  # the peer only wanted to know whether anything listens here
            visit.end()
            return
        found = self._asked_for(question)
        if found is None:
            self._hand_over(visit)
            return
        visit.answer(len(question), found)
        self._on_answer()

    def _asked_for(self, question: bytes) -> bytes | None:
        """The map that is asked for; None if this is another request, or if the answer is a problem."""
        found = _QUESTION.fullmatch(question)
        if found is None:
            return None
        try:
            return self._import_map(found[1].decode("ascii"))
        except ProblemError:
            return None

    def _hand_over(self, visit: "_Visit") -> None:
        task = self._loop.create_task(self._connect(visit))
        self._handovers.add(task)
        task.add_done_callback(self._handovers.discard)

    async def _connect(self, visit: "_Visit") -> None:
        try:
            protocol = await self._protocol()
        except Exception:
            logger.exception("a connection cannot be served")
            visit.end()
            return
        if self._listening is None:
            visit.end()
            return
        connection = visit.leave()  # the protocol counts it at the gate again
        try:
            await self._loop.connect_accepted_socket(lambda: protocol, connection)
        except OSError as error:
            logger.debug("a connection was gone before it was served: %s", error)
            connection.close()
        except Exception:
            logger.exception("a connection cannot be served")
            connection.close()


class _Visit:
    """One connection that may stay, from its arrival until it is answered here, handed on, or closed.

    ``lasting`` is the set of visits that wait for their peer to send or to read.
    """

    def __init__(
        self,
        connection: socket.socket,
        loop: asyncio.AbstractEventLoop,
        lasting: "set[_Visit]",
        on_end: Callable[[], None],
    ) -> None:
        self.connection = connection
        self._loop = loop
        self._lasting = lasting
        self._on_end = on_end
        self._deadline: asyncio.TimerHandle | None = None
        self._over = False

    def wait_until_it_speaks(self, seconds: float, hear: "Callable[[_Visit], None]") -> None:
        """Call ``hear`` as soon as there is something to read. After ``seconds`` without that the visit ends."""
        self._last(seconds)
        self._loop.add_reader(self.connection.fileno(), self._spoken, hear)

    def _spoken(self, hear: "Callable[[_Visit], None]") -> None:
        self._loop.remove_reader(self.connection.fileno())
        self._last_no_more()
        hear(self)

    def answer(self, question: int, content: bytes) -> None:
        """Take ``question`` bytes from the connection and send the map. What does not fit is sent as the peer reads."""
        self._unsent = memoryview(_HEAD % len(content) + content)
        try:
            self.connection.recv(question)
            if len(self._unsent) > _DEFAULT_ROOM:
                self._make_room(len(self._unsent))
        except OSError:
            self.end()
            return
        self._send()
        if self._unsent:
            self._last(ANSWER_SECONDS)
            self._loop.add_writer(self.connection.fileno(), self._send_on)
        else:
            self.end()

    def _make_room(self, size: int) -> None:
        """Ask for room for the whole answer, so that one call can send it. The system has a limit of its own."""
        with contextlib.suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)

    def _send(self) -> None:
        try:
            self._unsent = self._unsent[self.connection.send(self._unsent) :]
        except (BlockingIOError, InterruptedError):
            return
        except OSError:  # the peer is gone
            self._unsent = self._unsent[:0]

    def _send_on(self) -> None:
        self._send()
        if not self._unsent:
            self._loop.remove_writer(self.connection.fileno())
            self.end()

    def _last(self, seconds: float) -> None:
        self._lasting.add(self)
        self._deadline = self._loop.call_later(seconds, self.end)

    def _last_no_more(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
            self._lasting.discard(self)

    def leave(self) -> socket.socket:
        """Give up the connection: the caller handles and closes it from now on."""
        self._over = True
        self._on_end()
        return self.connection

    def end(self) -> None:
        """Close the connection, in any state. If it has been closed or given up, nothing happens."""
        if self._over:
            return
        self._over = True
        if self._deadline is not None:
            self._loop.remove_reader(self.connection.fileno())
            self._loop.remove_writer(self.connection.fileno())
            self._last_no_more()
        self.connection.close()
        self._on_end()
