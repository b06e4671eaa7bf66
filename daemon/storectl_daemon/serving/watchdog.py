"""Checks every few seconds, and at every command, that clients reach the daemon and that its store is there.

If the socket is gone, the daemon listens on a new one. If the store was deleted, replaced or emptied, the daemon ends;
the next command starts another daemon, which makes the store anew.
"""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from socket import socket

from storectl_daemon.errors import StoreGoneError
from storectl_daemon.serving.endpoint import Endpoint
from storectl_store.entries.store import Store
from storectl_store.entries.writer import Writer
from storectl_store.errors import ProblemError

logger = logging.getLogger(__name__)

CHECK_SECONDS = 2.0
"""Seconds between two checks. A command waits while the socket is gone, so this must be short."""


class Watchdog:
    """``stop`` is called if the daemon has to end."""

    def __init__(self, endpoint: Endpoint, store: Store, writer: Writer, *, stop: Callable[[], None]) -> None:
        self._endpoint = endpoint
        self._store = store
        self._writer = writer
        self._stop = stop

    async def run(self, *, move: Callable[[socket], None], seconds: float = CHECK_SECONDS) -> None:
        """Check until cancelled or until the daemon has to end. ``move`` is called with each new socket to serve on."""
        while True:
            await asyncio.sleep(seconds)
            lost = await asyncio.to_thread(self._lost)
            if lost is not None:
                self._give_up(lost)
                return
            if not self._endpoint.reachable and not self._moved(move):
                return

    def check_store(self) -> None:
        """Check the store. If it is gone, raises StoreGoneError after the end of the daemon has begun."""
        lost = self._lost()
        if lost is not None:
            self._give_up(lost)
            raise StoreGoneError(
                f"the store {self._store.layout.root} was deleted or replaced: {lost} is gone",
                hint="try again: the next command starts another daemon, which makes the store anew",
                path=str(lost),
            )

    def _lost(self) -> Path | None:
        return self._writer.lost or self._store.missing

    def _give_up(self, lost: Path) -> None:
        logger.warning("%s is gone; leaving", lost)
        self._stop()

    def _moved(self, move: Callable[[socket], None]) -> bool:
        try:
            self._endpoint.reopen()
        except ProblemError as error:
            logger.warning("nobody can reach the daemon any more; leaving: %s", error)
            self._stop()
            return False
        move(self._endpoint.socket)
        return True
