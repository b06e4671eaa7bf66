"""HTTP on connections that the listener hands on: h11 reads and writes, an ASGI application answers.

A peer may be hostile: its user id is checked before a byte of it is read. A request's head must arrive within
``HEAD_SECONDS`` and fit in ``HEAD_BYTES``. Loading an ASGI server with a command line of its own took 3 MiB (ADR 56).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

import h11
from starlette.types import Message

from storectl_daemon.serving.api.problems import MEDIA_TYPE, problem_bytes
from storectl_daemon.serving.peers import Gate

logger = logging.getLogger(__name__)

HEAD_BYTES = 16 << 10
HEAD_SECONDS = 2.0
CONNECTION = "connection"
"""The name, in the ``state`` of a request's scope, of the socket that it came through."""

_KEEP_ALIVE_SECONDS = 30.0
_GRACE_SECONDS = 2.0
_MOST_UNREAD = 64 << 10
"""Bytes of a body that the application has not received yet, above which no more are read."""


class HttpServer:
    """Serves one application on connections that are accepted elsewhere, on one event loop."""

    def __init__(
        self, application: Callable[..., Awaitable[None]], gate: Gate, *, head_seconds: float = HEAD_SECONDS
    ) -> None:
        self.application = application
        self.gate = gate
        self.head_seconds = head_seconds
        self.connections: set[Connection] = set()
        self.answering: set[asyncio.Task[None]] = set()

    def protocol(self) -> asyncio.Protocol:
        """The protocol for one more connection."""
        return Connection(self)

    async def close(self) -> None:
        """Close idle connections, and wait a little for answers under way."""
        for connection in list(self.connections):
            connection.leave()
        try:
            async with asyncio.timeout(_GRACE_SECONDS):
                while self.connections or self.answering:  # noqa: ASYNC110  # each ends by itself
                    await asyncio.sleep(0.01)
        except TimeoutError:
            logger.warning("%d answers are given up", len(self.answering))
            for task in self.answering:
                task.cancel()


class Connection(asyncio.Protocol):
    """One connection behind the gate: requests one after the other, each an exchange with the application."""

    def __init__(self, server: HttpServer) -> None:
        self._server = server
        self.http = h11.Connection(h11.SERVER, HEAD_BYTES - 1)  # with its last byte a head must be complete
        self.transport: asyncio.Transport
        self.writable = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._exchange: _Exchange | None = None
        self._uid: int | None = None
        self._end: asyncio.TimerHandle | None = None
        self._in_head = False
        self._leaving = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Close the connection at once if its peer may not stay. The transport reads only after this returns."""
        self.transport = transport
        self._uid = self._server.gate.enter(transport.get_extra_info("socket"))
        if self._uid is None:
            transport.abort()
            return
        self._server.connections.add(self)
        self.writable.set()
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # it is lost either way
        """Give the place of the connection back, and tell the application that nobody listens."""
        self._end_after(None)
        if self._uid is not None:
            self._server.gate.leave(self._uid)
            self._server.connections.discard(self)
        if self._exchange is not None:
            self._exchange.gone = True
            self._exchange.changed.set()
        self.writable.set()

    def pause_writing(self) -> None:
        """Have the application wait: the peer reads too slowly."""
        self.writable.clear()

    def resume_writing(self) -> None:
        """Have the application go on."""
        self.writable.set()

    def data_received(self, data: bytes) -> None:
        """Hand on the head of a request in pieces, so that h11 refuses one that is too long even if complete."""
        while data and not self.transport.is_closing():
            piece = data
            if self.http.their_state is h11.IDLE:
                if not self._in_head:
                    self._expect_head()
                piece = data[: max(1, HEAD_BYTES - len(self.http.trailing_data[0]))]
            data = data[len(piece) :]
            self.http.receive_data(piece)
            self._handle_events()

    def leave(self) -> None:
        """Close the connection once the answer under way is complete; at once if there is none."""
        self._leaving = True
        if self._exchange is None or self._exchange.complete:
            self.transport.close()

    def answered(self) -> None:
        """Wait for the next request: the answer is complete."""
        if self._leaving or self.http.our_state is h11.MUST_CLOSE:
            self.transport.close()
        elif not self.transport.is_closing():
            self._end_after(_KEEP_ALIVE_SECONDS)
            self.transport.resume_reading()
            if self.http.their_state is h11.DONE:
                self.http.start_next_cycle()
                self._handle_events()

    def refuse(self, status: int, *, code: str, detail: str) -> None:
        """Answer with a problem, unless an answer has begun, and close the connection."""
        if self.http.our_state in {h11.IDLE, h11.SEND_RESPONSE} and not self.transport.is_closing():
            body = problem_bytes(status, code=code, detail=detail, hint=None)
            headers = [("content-type", MEDIA_TYPE), ("content-length", str(len(body))), ("connection", "close")]
            self.write(h11.Response(status_code=status, headers=headers))
            self.write(h11.Data(data=body))
        self.transport.close()

    def write(self, event: h11.Event) -> None:
        """Send a part of an answer."""
        self.transport.write(self.http.send(event) or b"")

    def _handle_events(self) -> None:
        while not self.transport.is_closing():
            try:
                event = self.http.next_event()
            except h11.RemoteProtocolError:
                self.refuse(HTTPStatus.BAD_REQUEST, code="E_REQUEST", detail="Invalid HTTP request received.")
                return
            if event is h11.NEED_DATA:
                return
            if event is h11.PAUSED:  # the next request is here already
                self.transport.pause_reading()
                return
            if isinstance(event, h11.Request):
                self._begin(event)
            elif self._exchange is not None and isinstance(event, h11.Data | h11.EndOfMessage):
                self._exchange.take(event)
                if isinstance(event, h11.EndOfMessage) and self._exchange.complete:  # answered before its end
                    self.answered()
                    return

    def _begin(self, request: h11.Request) -> None:
        self._in_head = False
        self._end_after(None)
        raw_path, _, query = request.target.partition(b"?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": request.http_version.decode("ascii"),
            "server": None,
            "client": None,
            "scheme": "http",
            "method": request.method.decode("ascii"),
            "root_path": "",
            "path": unquote(raw_path.decode("ascii")),
            "raw_path": raw_path,
            "query_string": query,
            "headers": list(request.headers),
            "state": {CONNECTION: self.transport.get_extra_info("socket")},
        }
        self._exchange = _Exchange(self, scope)
        task = self._loop.create_task(self._exchange.run(self._server.application))
        self._server.answering.add(task)
        task.add_done_callback(self._server.answering.discard)

    def _expect_head(self) -> None:
        self._in_head = True
        self._end_after(self._server.head_seconds)

    def _end_after(self, seconds: float | None) -> None:
        """End the connection after so many seconds, in place of what was set before; never if that is None."""
        if self._end is not None:
            self._end.cancel()
        self._end = None if seconds is None else self._loop.call_later(seconds, self.transport.abort)


class _Exchange:
    """One request and its answer, as ASGI has them. ``gone`` is set once the peer has left, ``complete`` at the end."""

    def __init__(self, connection: Connection, scope: dict[str, Any]) -> None:
        self._connection = connection
        self._scope = scope
        self._body = bytearray()
        self._more = True
        self._started = False
        self.changed = asyncio.Event()
        self.gone = False
        self.complete = False

    async def run(self, application: Callable[..., Awaitable[None]]) -> None:
        """Have the application answer. What it raises is logged, and the peer told if that can be."""
        try:
            await application(self._scope, self.receive, self.send)
        except Exception:
            logger.exception("%s %s", self._scope["method"], self._scope["path"])
        finally:
            if not (self.complete or self.gone):
                self.complete = True
                self._connection.refuse(
                    HTTPStatus.INTERNAL_SERVER_ERROR, code="E_INTERNAL", detail="storectl has a fault; see its log"
                )

    def take(self, event: h11.Data | h11.EndOfMessage) -> None:
        """Take what has come of the body."""
        if isinstance(event, h11.EndOfMessage):
            self._more = False
        elif not self.complete:
            self._body += event.data
            if len(self._body) > _MOST_UNREAD:
                self._connection.transport.pause_reading()
        self.changed.set()

    async def receive(self) -> Message:
        """The next piece of the body; after its end, wait until the peer leaves or has its answer."""
        connection = self._connection
        if connection.http.they_are_waiting_for_100_continue and not connection.transport.is_closing():
            connection.write(h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue"))
        if not (self.gone or self.complete):
            connection.transport.resume_reading()
            await self.changed.wait()
            self.changed.clear()
        if self.gone or self.complete:
            return {"type": "http.disconnect"}
        body, self._body = bytes(self._body), bytearray()
        return {"type": "http.request", "body": body, "more_body": self._more}

    async def send(self, message: Message) -> None:
        """Send a part of the answer, once the peer has read enough of what was sent before."""
        connection = self._connection
        await connection.writable.wait()
        if self.gone or self.complete or connection.transport.is_closing():
            return
        if not self._started:
            self._started = True
            status = message["status"]
            headers = list(message.get("headers", []))
            connection.write(h11.Response(status_code=status, headers=headers, reason=_phrase(status)))
            return
        if body := b"" if self._scope["method"] == "HEAD" else message.get("body", b""):
            connection.write(h11.Data(data=body))
        if not message.get("more_body", False):
            connection.write(h11.EndOfMessage())
            self.complete = True
            self.changed.set()
            connection.answered()


def _phrase(status: int) -> bytes:
    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:
        return b""
