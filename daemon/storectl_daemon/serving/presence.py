"""Whether the daemon can still be found, and still has a store: checked every few seconds, and at every command.

A daemon whose socket is gone (a runtime folder ends with the login) listens at a new one. A daemon whose store was
deleted, replaced or emptied ends. The next command starts another one, which makes the store anew.
"""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from socket import socket

from storectl_daemon.errors import StoreGoneError
from storectl_daemon.serving.door import Door
from storectl_store.entries.store import Store
from storectl_store.entries.writer import Writer
from storectl_store.errors import ProblemError

logger = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
"""Seconds between two looks. A command waits while the socket is gone, so this must be short."""


class Presence:
    """``move`` is given the socket to serve on from now on; ``leave`` is called if the store is gone."""

    def __init__(
        self, door: Door, store: Store, writer: Writer, *, move: Callable[[socket], None], leave: Callable[[], None]
    ) -> None:
        self._door = door
        self._store = store
        self._writer = writer
        self._move = move
        self._leave = leave

    async def run(self, seconds: float = LOOK_SECONDS) -> None:
        """Look again and again, until cancelled or until the store is gone."""
        while True:
            await asyncio.sleep(seconds)
            lost = await asyncio.to_thread(self._lost)
            if lost is not None:
                self._give_up(lost)
                return
            if not self._door.is_there and not self._moved():
                return

    def look(self) -> None:
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
        self._leave()

    def _moved(self) -> bool:
        try:
            self._door.open_anew()
        except ProblemError as error:
            logger.warning("nobody can reach the daemon any more; leaving: %s", error)
            self._leave()
            return False
        self._move(self._door.socket)
        return True
