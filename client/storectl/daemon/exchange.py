"""One request over the daemon's Unix socket, and its answer as it comes.

This speaks as much of HTTP/1.1 (RFC 9112) as the daemon does: a body of a known length, in chunks, or up to the end of
the connection. The library h11 takes 9 ms to load, a whole HTTP client 70, the module ``socket`` 3 (docs/adr/0038).
"""

import _socket
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from storectl.daemon.socket import CONNECT_S, stuck
from storectl.errors import DaemonGoneError, DaemonNotRunningError

_PIECE = 1 << 16
"""So many bytes are read at once."""

_LINE_BYTES = 1 << 14
"""The longest line of a head."""


class Answer(NamedTuple):
    """The head of an answer, and its body: pieces of bytes, as they come."""

    status: int
    pieces: Iterator[bytes]

    @property
    def is_error(self) -> bool:
        """Whether the daemon says that it did not do what it was asked."""
        return self.status >= 400


@contextmanager
def exchange(path: str, method: str, target: str, body: Mapping[str, Any] | None, silence_s: float) -> Iterator[Answer]:
    """Send a request, with a JSON body if there is one. The connection ends with the context.

    Raises DaemonNotRunningError if no process listens, DaemonTimeoutError if the daemon is silent for ``silence_s``
    seconds, and DaemonGoneError if it goes away or does not speak HTTP.
    """
    connection = _socket.socket(_socket.AF_UNIX)
    try:
        _connect(connection, path)
        connection.settimeout(silence_s)
        with suppress(BrokenPipeError, ConnectionResetError):  # it may refuse a request before it has all of it
            connection.sendall(_request(method, target, body))
        yield _answer(_Received(connection))
    except TimeoutError:
        raise stuck(path) from None
    except (OSError, ValueError) as error:
        raise went_away(str(error)) from None
    finally:
        connection.close()


def went_away(reason: str = "") -> DaemonGoneError:
    """The error for a daemon whose answer has no end."""
    detail = f" ({reason})" if reason else ""
    return DaemonGoneError(
        f"the daemon went away in the middle of an answer{detail}", hint="see storectl daemon logs, then try again"
    )


def _connect(connection: _socket.socket, path: str) -> None:
    connection.settimeout(CONNECT_S)
    try:
        connection.connect(path)
    except OSError as error:
        raise DaemonNotRunningError(
            f"no daemon answers on {path}", hint="storectl daemon start", reason=str(error)
        ) from None


def _request(method: str, target: str, body: Mapping[str, Any] | None) -> bytes:
    content = b"" if body is None else json.dumps(body).encode("ascii")
    head = [f"{method} {target} HTTP/1.1", "Host: storectl", "Connection: close", f"Content-Length: {len(content)}"]
    if body is not None:
        head.append("Content-Type: application/json")
    return "\r\n".join([*head, "", ""]).encode("ascii") + content


class _Received:
    """The bytes that come over a connection. ValueError if it ends where more must come."""

    def __init__(self, connection: _socket.socket) -> None:
        self._connection = connection
        self._held = b""

    def line(self) -> bytes:
        """Up to the next end of a line, and without that."""
        while b"\r\n" not in self._held:
            if len(self._held) > _LINE_BYTES:
                raise ValueError("a line without an end")
            self._held += self._more()
        line, _, self._held = self._held.partition(b"\r\n")
        return line

    def pieces(self, size: int) -> Iterator[bytes]:
        """The next ``size`` bytes."""
        while size:
            piece, self._held = self._held[:size], self._held[size:]
            size -= len(piece)
            yield piece
            if size:
                self._held = self._more()

    def rest(self) -> Iterator[bytes]:
        """All that comes until the connection ends."""
        yield self._held
        while more := self._connection.recv(_PIECE):
            yield more

    def _more(self) -> bytes:
        more = self._connection.recv(_PIECE)
        if not more:
            raise ValueError("the connection ended")
        return more


def _answer(received: _Received) -> Answer:
    version, _, status = received.line().partition(b" ")
    if not version.startswith(b"HTTP/1."):
        raise ValueError("no HTTP")
    fields = {}
    while field := received.line():
        name, _, value = field.partition(b":")
        fields[name.lower()] = value.strip()
    return Answer(status=int(status[:3]), pieces=_body(received, fields))


def _body(received: _Received, fields: Mapping[bytes, bytes]) -> Iterator[bytes]:
    if fields.get(b"transfer-encoding") == b"chunked":
        while size := int(received.line().partition(b";")[0], 16):
            yield from received.pieces(size)
            received.line()
    elif b"content-length" in fields:
        yield from received.pieces(int(fields[b"content-length"]))
    else:
        yield from received.rest()
