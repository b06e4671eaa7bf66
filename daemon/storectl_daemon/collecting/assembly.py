"""The parts of collecting, put together from those of the daemon. They are loaded when they are needed."""

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from storectl_daemon.process.loading import Loaded
from storectl_shim import locations
from storectl_shim._storectl_pack import cache_folder

if TYPE_CHECKING:
    from storectl_daemon.collecting.automatic import Automatic
    from storectl_daemon.collecting.collector import Collector
    from storectl_daemon.service import Service

UNUSED_DAYS = 30
"""So long, in days, what is kept beside entries and environments is kept without being used."""

_DAY_S = 86400


class Collecting:
    """Collects the store of the daemon. ``environ`` are the daemon's own variables.

    Whoever looks at the whole store has ``alone`` meanwhile. ``swept`` is set when something is in the trash.
    """

    def __init__(self, service: "Callable[[], Service]", environ: Mapping[str, str]) -> None:
        self._service = service
        self._environ = environ
        self.alone = asyncio.Lock()
        self.swept = asyncio.Event()
        self.collector = Loaded(self._load_collector, name="the collector")
        self._automatic = Loaded(self._load_automatic, name="what collects by itself")
        self._loaded: Collector | None = None

    @property
    def busy(self) -> bool:
        """Whether a collect is under way."""
        return self._loaded is not None and self._loaded.busy

    async def look(self) -> None:
        """Collect if that was long ago, or if the disk is nearly full. May raise a ProblemError or OSError."""
        await (await self._automatic.get()).look()

    async def clear_leftovers(self) -> None:
        """Delete what nothing needs any more, once the trash of a collect is empty. May raise StoreError."""
        async with self.alone:
            await asyncio.to_thread(self._clear_leftovers)

    def _clear_leftovers(self) -> None:
        from storectl_daemon.collecting.side_things import drop_side_things  # noqa: PLC0415 - after a collect only
        from storectl_store.collecting.leftovers import sweep_leftovers  # noqa: PLC0415 - as above

        store, cache = self._service().store, cache_folder(self._environ)
        sweep_leftovers(store, caches=Path(cache) if cache else None)
        logs = Path(locations.state_folder(self._environ)) / "builds"
        drop_side_things(store.layout, logs=logs, before=time.time() - UNUSED_DAYS * _DAY_S)

    async def stop(self) -> None:
        """End a collect that is under way."""
        if self._loaded is not None:
            await self._loaded.stop()

    def _load_collector(self) -> "Collector":
        from storectl_daemon.collecting.collector import Collector  # noqa: PLC0415 - few daemons need it
        from storectl_daemon.collecting.survey import Surveyor  # noqa: PLC0415 - as above

        service = self._service()
        surveyor = Surveyor(store=service.store, holds=service.holds, states=self._states(service.store.layout.root))
        self._loaded = Collector(service, surveyor, alone=self.alone, on_swept=self.swept.set)
        return self._loaded

    def _load_automatic(self) -> "Automatic":
        from storectl_daemon.collecting.automatic import Automatic  # noqa: PLC0415 - as above

        layout = self._service().store.layout
        return Automatic(layout=layout, environ=self._environ, collector=self.collector.get)

    def _states(self, store: Path) -> list[Path]:
        """Where commands of this user keep what they have locked once."""
        return [Path(os.path.realpath(locations.state_folder(self._environ))), store / "state"]
