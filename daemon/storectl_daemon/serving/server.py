"""The daemon on its socket: the reception from the start, HTTP as soon as somebody needs it, and the end in order.

Nine in ten connections are programs that ask for their map. Nothing of uvicorn, FastAPI and the API is loaded for them,
a third of the memory and of the time of a start: a command is the first to need it.
"""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator
from typing import Protocol

from storectl_daemon.held_maps import HeldMap
from storectl_daemon.process.loading import Loaded
from storectl_daemon.serving.peers import Gate
from storectl_daemon.serving.reception import SILENT_SECONDS, Reception

logger = logging.getLogger(__name__)

CONNECTIONS_PER_USER = 256


class Http(Protocol):
    """What serves the connections that the reception hands on."""

    def protocol(self) -> asyncio.Protocol:
        """The protocol of one more connection."""
        ...

    async def close(self) -> None:
        """End all of them."""
        ...


class Server:
    """Serves on one listening socket until it is asked to stop. Signals only ask for the end.

    ``http`` is called once, in a thread, when the first connection is handed on. ``import_map`` and ``on_answer``: see
    ``Reception``, as for ``seconds``. ``on_stop`` ends what the daemon is doing, so that streams end and connections become idle.
    """

    def __init__(
        self,
        gate: Gate,
        *,
        import_map: Callable[[str], HeldMap],
        http: Callable[[], Http],
        on_answer: Callable[[str], None] = lambda _: None,
        on_stop: Callable[[], Awaitable[None]],
        seconds: float = SILENT_SECONDS,
    ) -> None:
        self._http = Loaded(http, name="HTTP")
        self._on_stop = on_stop
        self._reception = Reception(
            gate=gate, import_map=import_map, protocol=self._protocol, on_answer=on_answer, seconds=seconds
        )
        self._asked = asyncio.Event()
        self.accepting = asyncio.Event()

    def ask_to_stop(self) -> None:
        """Begin the end; from the event loop."""
        self._asked.set()

    def move(self, listening: socket.socket) -> None:
        """Serve on this socket from now on, in place of the one that it served on; from the event loop."""
        self._reception.move(listening)

    async def serve(self, listening: socket.socket) -> None:
        """Serve to the end, and close the socket; in the main thread, whose signals are its."""
        with self._signals():
            await self.serve_unsignalled(listening)

    async def serve_unsignalled(self, listening: socket.socket) -> None:
        """Serve to the end; no signal is looked at."""
        self._reception.open(listening)
        self.accepting.set()
        await self._asked.wait()
        self._reception.close()
        await self._on_stop()
        listening.close()
        if self._http.begun:
            with contextlib.suppress(Exception):  # it could not be loaded, which has been told
                await (await self._http.get()).close()

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT end the daemon cleanly, with exit code 0: nothing is raised again afterwards."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.ask_to_stop)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    async def _protocol(self) -> asyncio.Protocol:
        """The protocol of one more connection. Where it cannot be loaded the daemon ends: its files have been replaced."""
        try:
            return (await self._http.get()).protocol()
        except Exception:
            self.ask_to_stop()
            raise
