"""Packing: when a program ends it records what it imported; later that becomes the pack of its environment.

A record is a file in the user's cache folder. It is read, and then deleted. The modules it names are put in front of
those that the pack has already. So the next start of the same program reads its pack from front to end.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from storectl_daemon.environments import Environments
from storectl_daemon.process.lifecycle import rest
from storectl_daemon.projects.notifications import Wanted, notifications
from storectl_shim._storectl_pack import cache_folder
from storectl_store.entries.layout import StoreLayout
from storectl_store.environments.pack import (
    LARGEST_RECORD,
    drop_packs_without_environment,
    packed_modules,
    parse_imports,
    write_pack,
)

logger = logging.getLogger(__name__)

REST_SECONDS = 2.0
"""Seconds after a program's end: the next program may have begun, and will leave a record, too."""
_RETRY_SECONDS = 600.0


def records_folder(environ: Mapping[str, str], layout: StoreLayout) -> Path | None:
    """The folder in which programs leave their records for this store; None if this user has no folder for it."""
    cache = cache_folder(environ)
    return Path(f"{cache}/imports{os.path.realpath(layout.environments)}") if cache else None


def _give_up(_folder: Path, error: OSError) -> None:
    raise error


class Packing:
    """Makes packs from records, when there are new ones. ``records`` is their folder for this store, by environment."""

    def __init__(self, layout: StoreLayout, environments: Environments, *, records: Path, session: Path) -> None:
        self._layout = layout
        self._environments = environments
        self._records = records
        self._session = session
        self._unreadable: set[str] = set()

    async def run(self, *, busy: Callable[[], bool], seconds: float = REST_SECONDS) -> None:
        """Pack until cancelled: ``seconds`` after each record, while ``busy`` is false.

        Records that are there already come first.
        """
        await asyncio.to_thread(drop_packs_without_environment, self._layout)
        told = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen(told.set), name="packing: records")
            while await told.wait():
                told.clear()
                await rest(seconds, busy)
                await asyncio.to_thread(self.pack_recorded)

    async def _listen(self, tell: Callable[[], object]) -> None:
        """Call ``tell`` for every record that comes."""
        while True:
            try:
                await asyncio.to_thread(lambda: self._records.mkdir(mode=0o700, parents=True, exist_ok=True))
                # Called once the kernel has been asked to watch, before anything else runs. So no earlier record is
                # missed.
                asyncio.get_running_loop().call_soon(tell)
                async for _ in notifications(Wanted(folders=[self._records], refused=_give_up)):
                    tell()
                    if not self._records.is_dir():
                        break  # the cache was emptied: the folder that is made anew is another one
            except OSError as error:  # no folder, or the kernel will not watch more
                logger.info("what programs import is looked for every ten minutes only: %s", error)
                await asyncio.sleep(_RETRY_SECONDS)
                tell()

    def pack_recorded(self) -> None:
        """Pack the records that are there. What the disk refuses is logged; a later program records it again."""
        for record in self._waiting():
            try:
                self._pack(record)
            except OSError as error:
                logger.warning("%s: no pack: %s", record.name, error)
                if record.exists():  # it cannot be read, and would be there every time
                    self._unreadable.add(record.name)

    def _waiting(self) -> Iterator[Path]:
        with suppress(OSError):
            names = [name for name in os.listdir(self._records) if "." not in name]  # a dot: still being written
            yield from (self._records / name for name in names if name not in self._unreadable)

    def _pack(self, path: Path) -> None:
        with path.open("rb") as file:
            data = file.read(LARGEST_RECORD)
        path.unlink()
        environment = self._environments.record(path.name)
        if environment is None:
            return
        modules, present = parse_imports(data), packed_modules(self._layout, environment.id)
        if set(modules) <= set(present):
            return
        packed = write_pack(self._layout, environment, tuple(dict.fromkeys(modules + present)), tmp=self._session)
        logger.info("packed %d modules of %s", len(packed), environment.id)
