"""The listener answers maps at once, hands all else to the protocol untouched, and no peer holds up another."""

import asyncio
import errno
import os
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from storectl_daemon.errors import UnknownEnvironmentError
from storectl_daemon.serving import listener
from storectl_daemon.serving.listener import Listener
from storectl_daemon.serving.peers import Gate
from storectl_daemon.serving.sockets import bind

ID = "0123456789abcdef" * 2
PATH = f"/v1/environments/{ID}/import-map".encode()
REQUEST = b"GET " + PATH + b" HTTP/1.1\r\nHost: storectl\r\nConnection: close\r\n\r\n"
SMALL, LARGE = b"map", os.urandom(3 << 20)
DEADLINE = 30


class Received(asyncio.Protocol):
    """What the ordinary protocol is given; it hangs up once it has something."""

    def __init__(self) -> None:
        self.data: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.data.set_result(data)
        self.transport.close()


class Listening:
    """A listener on a socket of its own, and everything that it did."""

    def __init__(
        self,
        path: Path,
        content: bytes,
        gate: Gate,
        *,
        seconds: float = DEADLINE,
    ) -> None:
        self.path, self.content, self.gate = str(path), content, gate
        self.answered = 0
        self.handed_on: asyncio.Queue[Received] = asyncio.Queue()
        self.listener = Listener(
            gate=gate,
            import_map=self._import_map,
            protocol=self._protocol,
            on_answer=self._on_answer,
            seconds=seconds,
        )

    def _import_map(self, environment_id: str) -> bytes:
        if environment_id != ID:
            raise UnknownEnvironmentError("there is no such environment", id=environment_id)
        return self.content

    async def _protocol(self) -> asyncio.Protocol:
        protocol = Received()
        self.handed_on.put_nowait(protocol)
        return protocol

    def _on_answer(self) -> None:
        self.answered += 1

    async def connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, self.path)
        return connection

    async def answer(self, sent: bytes) -> bytes:
        """Everything that comes back until the other side hangs up."""
        with await self.connect() as connection:
            await asyncio.get_running_loop().sock_sendall(connection, sent)
            return await read_all(connection)

    async def until_connected(self) -> None:
        async with asyncio.timeout(DEADLINE):
            while True:
                if self.gate.connections:
                    return
                await asyncio.sleep(0)

    async def until_disconnected(self) -> None:
        async with asyncio.timeout(DEADLINE):
            while True:
                if not self.gate.connections:
                    return
                await asyncio.sleep(0)


async def read_all(connection: socket.socket) -> bytes:
    answer = bytearray()
    try:
        async with asyncio.timeout(DEADLINE):
            while piece := await asyncio.get_running_loop().sock_recv(connection, 1 << 16):
                answer += piece
    except ConnectionResetError:
        pass
    return bytes(answer)


@asynccontextmanager
async def listening_in(
    folder: Path, content: bytes = SMALL, gate: Gate | None = None, **options: Any
) -> AsyncIterator[Listening]:
    listening = bind(folder / "run" / "daemon.sock")
    made = Listening(folder / "run" / "daemon.sock", content, gate or Gate(limit=300), **options)
    made.listener.open(listening)
    try:
        yield made
    finally:
        made.listener.close()
        listening.close()


def on_a_loop(test: Callable[[Path], Coroutine[Any, Any, None]]) -> Callable[[Path], None]:
    def run(tmp_path: Path) -> None:
        asyncio.run(test(tmp_path))

    run.__name__ = test.__name__
    return run


def head(content: bytes) -> bytes:
    fields = b"content-type: application/octet-stream\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
    return b"HTTP/1.1 200 OK\r\n" + fields % len(content)


@pytest.mark.parametrize(
    "sent",
    [
        REQUEST,
        REQUEST.replace(b"HTTP/1.1", b"HTTP/1.0"),
        b"GET " + PATH + b" HTTP/1.1\r\nhost: localhost\r\nAccept-Encoding: identity\r\nuser-agent: x/1 (y)\r\n\r\n",
    ],
)
def test_a_plain_request_is_answered_with_the_map_on_the_spot(tmp_path: Path, sent: bytes) -> None:
    async def main() -> None:
        async with listening_in(tmp_path) as made:
            assert await made.answer(sent) == head(SMALL) + SMALL
            assert (made.answered, made.gate.connections, made.handed_on.empty()) == (1, 0, True)

    asyncio.run(main())


@pytest.mark.parametrize(
    "sent",
    [
        REQUEST.replace(b"GET", b"HEAD"),
        REQUEST.replace(b"GET", b"POST"),
        REQUEST.replace(b"/import-map", b""),
        REQUEST.replace(ID.encode(), b"f" * 32),
        REQUEST.replace(ID.encode(), ID[1:].encode()),
        REQUEST.replace(b"/import-map", b"/import-map?x"),
        REQUEST.replace(b"Host: storectl\r\n", b""),
        REQUEST.replace(b"Host", b"Content-Length: 2\r\nHost"),
        REQUEST.replace(b"close", b"close\r\nTransfer-Encoding: chunked"),
        REQUEST + b"GET / HTTP/1.1\r\n",
        REQUEST[:-2],
        REQUEST[:30],
        b"\x00" * 2000,
    ],
)
def test_everything_else_reaches_the_protocol_untouched(tmp_path: Path, sent: bytes) -> None:
    async def main() -> None:
        async with listening_in(tmp_path) as made:
            assert await made.answer(sent) == b""
            assert await (await made.handed_on.get()).data == sent
            assert (made.answered, made.gate.connections) == (0, 0)

    asyncio.run(main())


@on_a_loop
async def test_a_peer_that_has_sent_nothing_yet_is_answered_as_soon_as_it_asks(tmp_path: Path) -> None:
    async with listening_in(tmp_path) as made:
        with await made.connect() as connection:
            await made.until_connected()
            await asyncio.get_running_loop().sock_sendall(connection, REQUEST)
            assert await read_all(connection) == head(SMALL) + SMALL
            assert (made.answered, made.gate.connections, made.handed_on.empty()) == (1, 0, True)


@on_a_loop
async def test_a_peer_that_has_sent_nothing_yet_reaches_the_protocol_with_what_it_sends(tmp_path: Path) -> None:
    async with listening_in(tmp_path) as made:
        with await made.connect() as connection:
            await made.until_connected()
            assert made.handed_on.empty()
            await asyncio.get_running_loop().sock_sendall(connection, b"POST /v1/warm HTTP/1.1\r\n")
            assert await (await made.handed_on.get()).data == b"POST /v1/warm HTTP/1.1\r\n"
            assert made.answered == 0


@on_a_loop
async def test_a_peer_that_leaves_without_a_request_gives_its_place_back(tmp_path: Path) -> None:
    async with listening_in(tmp_path) as made:
        with await made.connect():
            await made.until_connected()
        await made.until_disconnected()
        assert made.answered == 0


@on_a_loop
async def test_a_peer_that_never_sends_anything_is_disconnected(tmp_path: Path) -> None:
    async with listening_in(tmp_path, seconds=0.01) as made:
        with await made.connect() as connection:
            assert await read_all(connection) == b""
            assert (made.gate.connections, made.handed_on.empty()) == (0, True)


@on_a_loop
async def test_silent_peers_keep_no_other_from_being_answered(tmp_path: Path) -> None:
    async with listening_in(tmp_path) as made:
        silent = [await made.connect() for _ in range(100)]
        assert await made.answer(REQUEST) == head(SMALL) + SMALL
        for connection in silent:
            connection.close()
        await made.until_disconnected()


@on_a_loop
async def test_a_closed_listener_disconnects_peers_that_have_sent_nothing(tmp_path: Path) -> None:
    async with listening_in(tmp_path) as made:
        with await made.connect() as connection:
            await made.until_connected()
            made.listener.close()
            assert await read_all(connection) == b""
            assert made.gate.connections == 0


@on_a_loop
async def test_a_peer_that_may_not_stay_gets_nothing(tmp_path: Path) -> None:
    async with listening_in(tmp_path, gate=Gate(limit=0)) as made:
        assert await made.answer(REQUEST) == b""
        assert (made.answered, made.handed_on.empty()) == (0, True)


@pytest.fixture
def little_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections stay as the system makes them, which may allow more: no answer of ``LARGE`` goes at once."""
    monkeypatch.setattr(listener, "_DEFAULT_ROOM", 2 * len(LARGE))


@pytest.mark.usefixtures("little_room")
@on_a_loop
async def test_an_answer_larger_than_the_sockets_buffer_arrives_whole(tmp_path: Path) -> None:
    async with listening_in(tmp_path, LARGE) as made:
        assert await made.answer(REQUEST) == head(LARGE) + LARGE
        await made.until_disconnected()


@pytest.mark.usefixtures("little_room")
@on_a_loop
async def test_an_answer_waits_for_a_peer_that_reads_later(tmp_path: Path) -> None:
    async with listening_in(tmp_path, LARGE) as made:
        with await made.connect() as connection:
            await asyncio.get_running_loop().sock_sendall(connection, REQUEST)
            await made.until_connected()
            assert await made.answer(REQUEST) == head(LARGE) + LARGE
            assert await read_all(connection) == head(LARGE) + LARGE


@on_a_loop
async def test_two_hundred_at_once_are_all_answered(tmp_path: Path) -> None:
    async with listening_in(tmp_path, LARGE[: 1 << 18]) as made:
        answers = await asyncio.gather(*(made.answer(REQUEST) for _ in range(200)))
        assert set(answers) == {head(LARGE[: 1 << 18]) + LARGE[: 1 << 18]}
        await made.until_disconnected()
        assert made.answered == 200


@pytest.mark.usefixtures("little_room")
@on_a_loop
async def test_a_peer_that_leaves_in_the_middle_gives_its_place_back(tmp_path: Path) -> None:
    async with listening_in(tmp_path, LARGE) as made:
        with await made.connect() as connection:
            await asyncio.get_running_loop().sock_sendall(connection, REQUEST)
            await asyncio.get_running_loop().sock_recv(connection, 1000)
            assert made.gate.connections == 1
        await made.until_disconnected()
        assert await made.answer(REQUEST) == head(LARGE) + LARGE


@pytest.mark.usefixtures("little_room")
def test_a_peer_that_does_not_read_is_disconnected_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "ANSWER_SECONDS", 0.02)

    async def main() -> None:
        async with listening_in(tmp_path, LARGE) as made:
            with await made.connect() as connection:
                await asyncio.get_running_loop().sock_sendall(connection, REQUEST)
                await asyncio.get_running_loop().sock_recv(connection, 1)
                await made.until_disconnected()
                assert len(await read_all(connection)) < len(LARGE)

    asyncio.run(main())


@pytest.mark.usefixtures("little_room")
@on_a_loop
async def test_a_closed_listener_cuts_answers_off_and_accepts_no_more(tmp_path: Path) -> None:
    async with listening_in(tmp_path, LARGE) as made:
        with await made.connect() as connection:
            await asyncio.get_running_loop().sock_sendall(connection, REQUEST)
            await asyncio.get_running_loop().sock_recv(connection, 1)
            made.listener.close()
            assert len(await read_all(connection)) < len(LARGE)
            assert made.gate.connections == 0
        with await made.connect() as waiting:
            await asyncio.get_running_loop().sock_sendall(waiting, REQUEST)
            await asyncio.sleep(0)
            assert made.answered == 1


class Exhausted(socket.socket):
    """A listening socket whose process has no descriptor left the first time."""

    left = 1

    def accept(self) -> tuple[socket.socket, Any]:
        if self.left:
            self.left -= 1
            raise OSError(errno.EMFILE, "Too many open files")
        return super().accept()


def test_without_a_free_descriptor_the_connection_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(listener, "_RETRY_SECONDS", 0.01)

    async def main() -> None:
        made = Listening(tmp_path / "run" / "daemon.sock", SMALL, Gate(limit=10))
        with Exhausted(fileno=bind(tmp_path / "run" / "daemon.sock").detach()) as listening:
            listening.setblocking(False)
            made.listener.open(listening)
            assert await made.answer(REQUEST) == head(SMALL) + SMALL
            made.listener.close()

    asyncio.run(main())
    assert "Too many open files" in caplog.text


def ask_at_once(path: str, requests: list[bytes]) -> list[socket.socket]:
    """Connections that the listener finds all at the same time: the loop has no turn meanwhile."""
    connections = []
    for sent in requests:
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(path)
        connection.sendall(sent)
        connection.setblocking(False)
        connections.append(connection)
    return connections


@pytest.mark.parametrize("trouble", [RuntimeError, MemoryError, KeyError])
def test_what_goes_wrong_with_one_of_a_batch_ends_only_that_one(tmp_path: Path, trouble: type[Exception]) -> None:
    async def main() -> None:
        async with listening_in(tmp_path) as made:
            odd = "f" * 32
            maps = made.listener._import_map

            def import_map(environment_id: str) -> bytes:
                if environment_id == odd:
                    raise trouble("a defect")
                return maps(environment_id)

            made.listener._import_map = import_map
            connections = ask_at_once(made.path, [REQUEST, REQUEST.replace(ID.encode(), odd.encode()), REQUEST])
            answers = [await read_all(connection) for connection in connections]
            assert answers == [head(SMALL) + SMALL, b"", head(SMALL) + SMALL]
            await made.until_disconnected()
            assert await made.answer(REQUEST) == head(SMALL) + SMALL
            for connection in connections:
                connection.close()

    asyncio.run(main())


def test_a_peer_that_cannot_be_looked_at_is_turned_away_and_the_next_is_answered(tmp_path: Path) -> None:
    class Strange(Gate):
        asked = 0

        def enter(self, connection: socket.socket) -> int | None:
            self.asked += 1
            if self.asked == 1:
                raise RuntimeError("a defect")
            return super().enter(connection)

    async def main() -> None:
        async with listening_in(tmp_path, gate=Strange(limit=10)) as made:
            connections = ask_at_once(made.path, [REQUEST, REQUEST])
            assert [await read_all(connection) for connection in connections] == [b"", head(SMALL) + SMALL]
            await made.until_disconnected()
            for connection in connections:
                connection.close()

    asyncio.run(main())
