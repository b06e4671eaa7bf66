"""One request over the daemon's Unix socket, and its answer as it comes.

h11 knows the protocol. A whole HTTP client takes 70 ms to load, which would be most of a command's time.
"""

import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import h11

from storectl.daemon.socket import CONNECT_S, stuck
from storectl.errors import DaemonGoneError, DaemonNotRunningError

_PIECE = 1 << 16
"""So many bytes are read at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
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
    with socket.socket(socket.AF_UNIX) as connection:
        _connect(connection, path)
        connection.settimeout(silence_s)
        try:
            protocol = h11.Connection(h11.CLIENT)
            with suppress(BrokenPipeError, ConnectionResetError):  # it may refuse a request before it has all of it
                connection.sendall(_request(protocol, method, target, body))
            events = _events(connection, protocol)
            head = next(events, None)
            if not isinstance(head, h11.Response):
                raise went_away()
            pieces = (bytes(event.data) for event in events if isinstance(event, h11.Data))
            yield Answer(status=head.status_code, pieces=pieces)
        except TimeoutError:
            raise stuck(path) from None
        except (OSError, h11.RemoteProtocolError) as error:
            raise went_away(str(error)) from None


def went_away(reason: str = "") -> DaemonGoneError:
    """The error for a daemon whose answer has no end."""
    detail = f" ({reason})" if reason else ""
    return DaemonGoneError(
        f"the daemon went away in the middle of an answer{detail}", hint="see storectl daemon logs, then try again"
    )


def _connect(connection: socket.socket, path: str) -> None:
    connection.settimeout(CONNECT_S)
    try:
        connection.connect(path)
    except OSError as error:
        raise DaemonNotRunningError(
            f"no daemon answers on {path}", hint="storectl daemon start", reason=str(error)
        ) from None


def _request(protocol: h11.Connection, method: str, target: str, body: Mapping[str, Any] | None) -> bytes:
    content = b"" if body is None else json.dumps(body).encode("ascii")
    headers = [("Host", "storectl"), ("Connection", "close"), ("Content-Length", str(len(content)))]
    if body is not None:
        headers.append(("Content-Type", "application/json"))
    events = (
        h11.Request(method=method, target=target, headers=headers),
        h11.Data(data=content),
        h11.EndOfMessage(),
    )
    return b"".join(protocol.send(event) or b"" for event in events)


def _events(connection: socket.socket, protocol: h11.Connection) -> Iterator[h11.Event]:
    """The events of one answer: its head, then its body in pieces."""
    while True:
        event = protocol.next_event()
        if event is h11.NEED_DATA:
            protocol.receive_data(connection.recv(_PIECE))
        elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed) or event is h11.PAUSED:
            return
        elif not isinstance(event, h11.InformationalResponse):
            yield event  # type: ignore[misc]
