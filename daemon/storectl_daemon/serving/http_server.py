"""HTTP on connections that the listener hands on: uvicorn's protocol, with limits for a peer that may be hostile.

A peer's user id is checked before a byte of it is read. A request's head must arrive within ``HEAD_SECONDS`` and fit in
``HEAD_BYTES``.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import h11
from uvicorn import Config
from uvicorn import Server as UvicornServer
from uvicorn.protocols.http.h11_impl import H11Protocol

from storectl_daemon.serving.api.problems import problem_bytes
from storectl_daemon.serving.peers import Gate

HEAD_BYTES = 16 << 10
HEAD_SECONDS = 2.0
CONNECTION = "connection"
"""The name, in the ``state`` of a request's scope, of the socket that it came through."""

_KEEP_ALIVE_SECONDS = 30
_GRACE_SECONDS = 2


class GuardedProtocol(H11Protocol):
    """The protocol of uvicorn for one connection, behind the gate."""

    def __init__(self, server: UvicornServer, gate: Gate, *, head_seconds: float) -> None:
        super().__init__(server.config, server.server_state, server.lifespan.state)
        self._gate = gate
        self._head_seconds = head_seconds
        self._uid: int | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Close the connection at once if its peer may not stay. The transport reads only after this returns."""
        connection = transport.get_extra_info("socket")
        self._uid = self._gate.enter(connection)
        self.app_state = {**self.app_state, CONNECTION: connection}
        super().connection_made(transport)
        if self._uid is None:
            transport.abort()
        else:
            self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place of the connection back."""
        self._head_arrived()
        if self._uid is not None:
            self._gate.leave(self._uid)
            self._uid = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Hand on the head of a request in pieces, so that h11 refuses one that is too long even if complete."""
        while data and not self.transport.is_closing():
            if self.conn.their_state is not h11.IDLE:
                self._feed(data)
                return
            self._expect_head()
            room = max(1, HEAD_BYTES - len(self.conn.trailing_data[0]))
            self._feed(data[:room])
            data = data[room:]

    def _feed(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._head_arrived()

    def _expect_head(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self._head_seconds, self._too_late)

    def _head_arrived(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_late(self) -> None:
        self._deadline = None
        self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """Answer a request that cannot be parsed as problem+json, and close the connection."""
        body = problem_bytes(400, code="E_REQUEST", detail=msg, hint=None)
        headers = [
            ("content-type", "application/problem+json"),
            ("content-length", str(len(body))),
            ("connection", "close"),
        ]
        with contextlib.suppress(h11.LocalProtocolError):
            self.transport.write(self.conn.send(h11.Response(status_code=400, headers=headers)) or b"")
            self.transport.write(self.conn.send(h11.Data(data=body)) or b"")
        self.transport.close()


class HttpServer(UvicornServer):
    """Serves one application on connections that are accepted elsewhere, on the running event loop or a later one."""

    def __init__(
        self, application: Callable[..., Awaitable[None]], gate: Gate, *, head_seconds: float = HEAD_SECONDS
    ) -> None:
        super().__init__(_config(application))
        self._gate = gate
        self._head_seconds = head_seconds
        self.config.load()
        self.lifespan = self.config.lifespan_class(self.config)
        self.servers = []

    def protocol(self) -> asyncio.Protocol:
        """The protocol for one more connection."""
        return GuardedProtocol(self, self._gate, head_seconds=self._head_seconds)

    async def close(self) -> None:
        """Close idle connections, and wait a little for answers under way."""
        await self.shutdown()


def _config(application: Callable[..., Awaitable[None]]) -> Config:
    return Config(
        application,
        http=GuardedProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        # A head that is still not complete with its last allowed byte is too long.
        h11_max_incomplete_event_size=HEAD_BYTES - 1,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
