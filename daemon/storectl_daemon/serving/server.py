"""The daemon on its socket: map requests from the start, HTTP as soon as a client needs it, and an orderly end.

Nine in ten connections are programs that ask for their map. HTTP, FastAPI and the API are not loaded for these: that
saves a third of the memory and of the time of a start. A command is the first to need them.
"""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator
from typing import Protocol

from storectl_daemon.process.loading import Loaded
from storectl_daemon.serving.listener import REQUEST_SECONDS, Listener
from storectl_daemon.serving.peers import Gate

logger = logging.getLogger(__name__)

CONNECTIONS_PER_USER = 256


class Http(Protocol):
    """Serves the connections that the listener hands on."""

    def protocol(self) -> asyncio.Protocol:
        """The protocol for one more connection."""
        ...

    async def close(self) -> None:
        """End all connections."""
        ...


class Server:
    """Serves on one listening socket until ``stop`` is set. A signal sets it.

    ``http`` is called once, in a thread, when the first connection is handed on. For ``import_map``, ``on_answer`` and
    ``seconds`` see ``Listener``.
    """

    def __init__(
        self,
        gate: Gate,
        *,
        import_map: Callable[[str], bytes],
        http: Callable[[], Http],
        on_answer: Callable[[], None] = lambda: None,
        stop: asyncio.Event,
        seconds: float = REQUEST_SECONDS,
    ) -> None:
        self._http = Loaded(http, name="HTTP")
        self._stop = stop
        self._listener = Listener(
            gate=gate, import_map=import_map, protocol=self._protocol, on_answer=on_answer, seconds=seconds
        )
        self.accepting = asyncio.Event()

    def move(self, listening: socket.socket) -> None:
        """Serve on this socket from now on, instead of the present one. Call it on the event loop."""
        self._listener.move(listening)

    async def serve(self, listening: socket.socket, *, on_stop: Callable[[], Awaitable[None]]) -> None:
        """Serve until ``stop`` is set, then close the socket. Call it in the main thread, which receives the signals.

        ``on_stop`` ends the work of the daemon, so that streams end and connections become idle.
        """
        with self._signals():
            await self.serve_unsignalled(listening, on_stop=on_stop)

    async def serve_unsignalled(self, listening: socket.socket, *, on_stop: Callable[[], Awaitable[None]]) -> None:
        """Serve until ``stop`` is set, without handling signals."""
        self._listener.open(listening)
        self.accepting.set()
        await self._stop.wait()
        self._listener.close()
        await on_stop()
        listening.close()
        if self._http.begun:
            with contextlib.suppress(Exception):  # it could not be loaded, which is in the log already
                await (await self._http.get()).close()

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT end the daemon in order, with exit code 0: nothing is raised again afterwards."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    async def _protocol(self) -> asyncio.Protocol:
        """The protocol for one more connection.

        If it cannot be loaded, the daemon ends, because its files have been replaced.
        """
        try:
            return (await self._http.get()).protocol()
        except Exception:
            self._stop.set()
            raise
