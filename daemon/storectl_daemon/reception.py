"""Accepting connections: what a starting program waits for is answered at once, everything else goes on to the server.

connection -> may it stay? -> a complete, plain request for an import map?  -> answered from memory, closed
                           -> anything else, or nothing sent yet            -> untouched to the HTTP protocol

A program asks once, on a connection of its own, and has 20 ms: transports, tasks and an HTTP parser for each such
connection would be nine tenths of the work. What is looked at here is only peeked at, so that the protocol sees all of it.
"""

import asyncio
import logging
import re
import socket
from collections.abc import Callable

from storectl_daemon.models import API_VERSION
from storectl_daemon.peers import Gate
from storectl_store.errors import ProblemError

logger = logging.getLogger(__name__)

ANSWER_SECONDS = 10.0
"""The longest that a peer may take to read an answer."""

_HEAD_BYTES = 1024
_AT_ONCE = 64
_RETRY_SECONDS = 1.0
_QUESTION = re.compile(
    rb"GET /v%d/environments/([0-9a-f]{32})/import-map HTTP/1\.[01]\r\n"
    rb"Host: *[!-~]+ *\r\n(?:(?:Connection|Accept|Accept-Encoding|User-Agent):[ -~]*\r\n)*\r\n" % API_VERSION,
    re.IGNORECASE,
)


class Reception:
    """Accepts on one listening socket from ``open`` to ``close``.

    ``import_map`` gives the bytes for an environment's id, or raises a ProblemError; ``protocol`` makes the protocol of
    a connection that goes on; ``on_answer`` is called for every connection that does not.
    """

    def __init__(
        self,
        *,
        gate: Gate,
        import_map: Callable[[str], bytes],
        protocol: Callable[[], asyncio.Protocol],
        on_answer: Callable[[], None] = lambda: None,
    ) -> None:
        self._gate = gate
        self._import_map = import_map
        self._protocol = protocol
        self._on_answer = on_answer
        self._listening: socket.socket | None = None
        self._pause: asyncio.TimerHandle | None = None
        self._answers: set[_Answer] = set()
        self._handovers: set[asyncio.Task[object]] = set()

    def open(self, listening: socket.socket) -> None:
        """Begin, on the running event loop. The socket does not block, and stays its owner's."""
        self._loop = asyncio.get_running_loop()
        self._listening = listening
        self._loop.add_reader(listening.fileno(), self._accept)

    def close(self) -> None:
        """Accept no more. A program whose answer is cut off reads the published map."""
        if self._listening is not None:
            self._loop.remove_reader(self._listening.fileno())
            self._listening = None
        if self._pause is not None:
            self._pause.cancel()
        for answer in list(self._answers):
            answer.end()

    def _accept(self) -> None:
        """Take all who wait, as far as that holds up nobody else."""
        for _ in range(_AT_ONCE):
            if self._listening is None:
                return
            try:
                connection, _address = self._listening.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionAbortedError:
                continue
            except OSError as error:  # out of descriptors, as a rule
                logger.warning("no connection can be accepted: %s", error)
                self._rest()
                return
            self._receive(connection)

    def _rest(self) -> None:
        """The socket stays readable while nothing can be accepted: look again in a while."""
        assert self._listening is not None
        listening = self._listening
        self._loop.remove_reader(listening.fileno())
        self._pause = self._loop.call_later(_RETRY_SECONDS, self.open, listening)

    def _receive(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        uid = self._gate.enter(connection)
        if uid is None:
            connection.close()
            return
        content = self._asked_for(connection)
        if content is None:
            self._gate.leave(uid)  # the protocol enters by itself
            self._hand_over(connection)
        else:
            self._on_answer()
            _Answer(connection, content, self._loop, self._answers, lambda: self._gate.leave(uid)).send()

    def _asked_for(self, connection: socket.socket) -> bytes | None:
        """The map that is asked for, the question taken from the connection; None, and nothing is taken, otherwise."""
        try:
            question = connection.recv(_HEAD_BYTES, socket.MSG_PEEK)
            found = _QUESTION.fullmatch(question)
            if found is None:
                return None
            content = self._import_map(found[1].decode("ascii"))
            connection.recv(len(question))
        except (OSError, ProblemError):
            return None
        return content

    def _hand_over(self, connection: socket.socket) -> None:
        task = self._loop.create_task(self._connect(connection))
        self._handovers.add(task)
        task.add_done_callback(self._handovers.discard)

    async def _connect(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._protocol, connection)
        except OSError as error:
            logger.debug("a connection was gone before it was served: %s", error)
            connection.close()


class _Answer:
    """One answer under way; what the kernel does not take at once follows as the peer reads."""

    def __init__(
        self,
        connection: socket.socket,
        content: bytes,
        loop: asyncio.AbstractEventLoop,
        under_way: "set[_Answer]",
        on_end: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._content = content
        self._loop = loop
        self._under_way = under_way
        self._on_end = on_end
        self._deadline: asyncio.TimerHandle | None = None

    def send(self) -> None:
        """The head and as much as the kernel takes, in one call."""
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
        head %= len(self._content)
        try:
            sent = self._connection.sendmsg([head, self._content])
        except BlockingIOError:
            sent = 0
        except OSError:
            self.end()
            return
        if sent == len(head) + len(self._content):
            self.end()
        else:
            left = self._content if sent >= len(head) else head[sent:] + self._content
            self._follow(memoryview(left)[max(0, sent - len(head)) :])

    def _follow(self, left: memoryview) -> None:
        self._left = left
        self._under_way.add(self)
        self._deadline = self._loop.call_later(ANSWER_SECONDS, self.end)
        self._loop.add_writer(self._connection.fileno(), self._go_on)

    def _go_on(self) -> None:
        try:
            self._left = self._left[self._connection.send(self._left) :]
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self.end()
            return
        if not self._left:
            self.end()

    def end(self) -> None:
        """Close the connection, whatever has been sent."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._loop.remove_writer(self._connection.fileno())
            self._under_way.discard(self)
        self._connection.close()
        self._on_end()
