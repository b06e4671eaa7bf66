"""Collecting by itself: once a day while nothing is going on, and when the file system is nearly full.

The first time it only reports, in the log and to `storectl doctor`: nobody is to be surprised by what is gone.
"""

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from storectl_daemon.collecting.collector import Collector, CollectOrder
from storectl_daemon.collecting.collects import Collects, Took, read_collects, took, write_collects
from storectl_daemon.collecting.report import Planned
from storectl_daemon.collecting.settings import CollectSettings
from storectl_daemon.process.settings import SettingsError
from storectl_store.entries.layout import StoreLayout
from storectl_store.errors import StoreFullError

logger = logging.getLogger(__name__)

DAY_S = 24 * 3600.0
HOUR_S = 3600.0
LEAST_FREE = 2_000_000_000
LEAST_SHARE = 0.05
"""So many bytes, and such a part of the file system, should be free: the larger of the two."""

MOST_FREE = 20_000_000_000
LARGEST_SHARE = 0.2
"""But no more than either of these: a twentieth of a large file system would be far too much."""

Occasion = Literal["daily", "full"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What is free on the file system of the store, and all of it, in bytes."""

    free: int
    total: int

    @property
    def lacking(self) -> int:
        """How many bytes more should be free; 0 if there are enough."""
        least = max(LEAST_FREE, min(int(self.total * LEAST_SHARE), MOST_FREE))
        return max(0, min(least, int(self.total * LARGEST_SHARE)) - self.free)


def room_of(layout: StoreLayout) -> Room:
    """What is free at this moment. May raise OSError."""
    status = os.statvfs(layout.root)
    return Room(free=status.f_bavail * status.f_frsize, total=status.f_blocks * status.f_frsize)


def occasion(collects: Collects, room: Room, *, now: float) -> Occasion | None:
    """Why it is time to collect, if nothing is going on; None if it is not."""
    since = now - collects.automatic if collects.automatic is not None else DAY_S
    if since < 0 or since >= DAY_S:  # a time to come is that of a clock that was wrong
        return "full" if room.lacking else "daily"
    return "full" if room.lacking and since >= HOUR_S else None


@dataclass(slots=True, kw_only=True)
class Automatic:
    """Collects if it is time. ``environ`` are the daemon's variables: no command asks."""

    layout: StoreLayout
    environ: Mapping[str, str]
    collector: Callable[[], Awaitable[Collector]]
    clock: Callable[[], float] = time.time
    room: Callable[[StoreLayout], Room] = room_of
    _noted: Collects = field(default_factory=Collects, init=False)

    async def look(self) -> None:
        """Collect if it is time; nothing is going on. Raises a ProblemError or OSError if that fails."""
        collects, room = await asyncio.to_thread(lambda: (read_collects(self.layout), self.room(self.layout)))
        collects = _latest(collects, self._noted)
        found = occasion(collects, room, now=self.clock())
        if found is not None:
            await self._collect(collects, room.lacking if found == "full" else 0)

    async def _collect(self, collects: Collects, free: int) -> None:
        now, first = self.clock(), collects.reported is None
        try:
            settings = await asyncio.to_thread(CollectSettings.read, self.environ)
        except SettingsError:
            await self._note(automatic=now)
            raise
        if not settings.automatic:
            return
        await self._note(automatic=now)  # first of all: if the rest fails, it is not tried again in a minute
        order = CollectOrder(settings=settings, dry_run=first, free=free)
        async for told in (await self.collector()).collect(order):
            if first and isinstance(told, Planned):
                await self._note(reported=took(now, told))
                logger.info(
                    "a collect would take: environments %d, entries %d, bytes %d. From the next time on it does; "
                    "`storectl store collect --dry-run` shows them",
                    told.environments, told.entries, told.size.bytes,
                )  # fmt: skip

    async def _note(self, *, automatic: float | None = None, reported: Took | None = None) -> None:
        """Note what there is to say of collects, also on disk. If that is full, room is made all the same."""
        self._noted = _latest(self._noted, Collects(automatic=automatic, reported=reported))

        def write() -> None:
            write_collects(self.layout, _latest(read_collects(self.layout), self._noted))

        try:
            await asyncio.to_thread(write)
        except StoreFullError as error:
            logger.warning("%s", error)


def _latest(before: Collects, after: Collects) -> Collects:
    """What is known before, with what is known after it."""
    return replace(before, automatic=after.automatic or before.automatic, reported=after.reported or before.reported)
