"""One request to the daemon, and its answer however the bytes come."""

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from storectl.daemon.exchange import exchange
from storectl.errors import DaemonGoneError

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
BODY = b'{"a": "\xc3\xa9"}\n{"b": 1}\n'
ANSWERS = {
    "length": b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(BODY) + BODY,
    "chunks": CHUNKED + b"8\r\n" + BODY[:8] + b"\r\n%x;x=y\r\n" % (len(BODY) - 8) + BODY[8:] + b"\r\n0\r\n\r\n",
    "end": b"HTTP/1.0 200 OK\r\n\r\n" + BODY,
}


@contextmanager
def answering(path: Path, pieces: Sequence[bytes]) -> Iterator[str]:
    """A server that answers one request with these pieces, and ends the connection."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1 << 16)
                with suppress(BrokenPipeError):  # the client may have read enough
                    for piece in pieces:
                        connection.sendall(piece)

        thread = threading.Thread(target=answer)
        thread.start()
        yield str(path)
        thread.join()


def body_of(path: str) -> bytes:
    with exchange(path, "GET", "/", None, 10) as answer:
        return b"".join(answer.pieces)


@pytest.mark.parametrize("kind", ANSWERS)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_body_is_the_same_however_it_is_cut(tmp_path: Path, kind: str, size: int) -> None:
    whole = ANSWERS[kind]
    pieces = [whole[start : start + size] for start in range(0, len(whole), size)]
    with answering(tmp_path / "socket", pieces) as path:
        assert body_of(path) == BODY


def test_an_answer_without_a_body_ends_with_the_connection(tmp_path: Path) -> None:
    with answering(tmp_path / "socket", [b"HTTP/1.1 204 No Content\r\n\r\n"]) as path:
        assert body_of(path) == b""


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200",
        b"SSH-2.0-x\r\n\r\n",
        b"HTTP/1.1 odd\r\n\r\n",
        ANSWERS["length"][:-1],
        ANSWERS["chunks"][:-9],
        CHUNKED + b"zz\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n",
        b"x" * 100_000,
    ],
)
def test_what_is_no_whole_answer_is_said_to_be_none(tmp_path: Path, answer: bytes) -> None:
    with answering(tmp_path / "socket", [answer]) as path, pytest.raises(DaemonGoneError):
        body_of(path)
