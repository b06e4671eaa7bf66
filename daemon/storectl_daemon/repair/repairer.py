"""All parts of a verification, in the order in which one is made of another; and the look that a warm takes."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from storectl_daemon.jobs.options import Job
from storectl_daemon.projects.book import ProjectBook
from storectl_daemon.repair.derived_part import CataloguePart, LinkPart, PackPart
from storectl_daemon.repair.entry_part import EntryPart
from storectl_daemon.repair.examined import Examined, Order, Part
from storectl_daemon.repair.history_part import HistoryPart
from storectl_daemon.repair.last_looks import LastLooks, Times, times_of
from storectl_daemon.repair.note_part import NotePart, RepositoryPart
from storectl_daemon.repair.record_part import BookPart, RecordPart
from storectl_daemon.repair.store_part import StorePart
from storectl_daemon.repair.users import Users
from storectl_daemon.repair.view_part import ViewPart
from storectl_daemon.warming.warm import Warmer
from storectl_store.collecting.holds import Holds
from storectl_store.digest import EnvironmentId
from storectl_store.entries.replace import entry_folders
from storectl_store.entries.store import Store
from storectl_store.entries.verify import Depth
from storectl_store.entries.writer import Writer
from storectl_store.environments.environment_record import read_environment
from storectl_store.environments.made_by import own_digests
from storectl_store.errors import ProblemError, StoreError

logger = logging.getLogger(__name__)

_GLANCE = Depth(contents=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One thing that was looked at, and the result of its repair: ``how`` it was mended, or its ``problem``."""

    examined: Examined
    how: str | None = None
    problem: ProblemError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Repairer:
    """One verification at a time, and none while the store is collected, which has ``alone`` then.

    ``entries_for`` makes the part of entries for one order: what it knows of addresses lasts as long as the order.
    """

    store: Store
    writer: Writer
    book: ProjectBook
    warmer: Warmer
    users: Users
    views: ViewPart
    entries_for: Callable[[Order], EntryPart]
    holds: Holds
    alone: asyncio.Lock
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _last: LastLooks = field(default_factory=LastLooks)

    async def run(self, order: Order) -> AsyncIterator[Outcome]:
        """Look at everything. If the order says so, mend what was found."""
        async with self.alone, self._turn:
            for part in self._parts(order):
                async for examined in part.look(order):
                    yield await _outcome(examined, order)

    def _parts(self, order: Order) -> Sequence[Part]:
        layout = self.store.layout
        return (
            StorePart(layout=layout, writer=self.writer),
            NotePart(layout=layout),
            RepositoryPart(layout=layout),
            LinkPart(layout=layout),
            self.entries_for(order),
            CataloguePart(store=self.store),
            self.views,
            PackPart(layout=layout, session=self.writer.session),
            RecordPart(layout=layout, book=self.book, warmer=self.warmer, users=self.users),
            HistoryPart(layout=layout, warmer=self.warmer),
            BookPart(layout=layout, book=self.book),
        )

    async def look_at(self, job: Job) -> list[str]:
        """Look at the environment that this job was given last, without reading all bytes, and mend it.

        Returns a sentence for each thing that was mended. The warm that follows reports what cannot be mended.
        """
        folder = self._folder_of(job)
        if folder is None:
            return []
        order = Order(repair=True, offline=job.offline, environ=job.environ)
        async with self._turn:
            self._last.forget(folder)
            with self.holds.keep([EnvironmentId(folder.name)]):
                return await self._mended(folder, order)

    async def _mended(self, folder: Path, order: Order) -> list[str]:
        before = await asyncio.to_thread(self._times, folder)
        outcomes = [outcome async for outcome in self._looked_at(folder, order)]
        if before and not any(outcome.examined.found for outcome in outcomes):
            self._last.note(folder, before)
        return [told for outcome in outcomes if (told := _told(outcome))]

    async def found_right(self, job: Job) -> bool:
        """Whether a look at all files found nothing a short while ago, and nothing has come, gone or been replaced."""
        folder = self._folder_of(job)
        return folder is not None and await asyncio.to_thread(self._last.holds, folder)

    def _folder_of(self, job: Job) -> Path | None:
        """The folder of the environment that this job was given last."""
        project = self.book.get(job.project)
        recorded = project.environment(job.options) if project else None
        if recorded is None or recorded.environment is None:
            return None
        return self.store.layout.environment(recorded.environment)

    def _times(self, folder: Path) -> Times:
        """The times of the environment and of its entries; none if anything of them cannot be read."""
        layout = self.store.layout
        try:
            digests = own_digests(layout, read_environment(folder))
            entries = [entry for digest in digests for entry in entry_folders(layout, digest)]
            files = [path for path in folder.iterdir() if path.is_file()]
            return times_of([folder, *entries], [*files, *map(layout.manifest, digests)])
        except (OSError, StoreError):
            return ()

    async def _looked_at(self, folder: Path, order: Order) -> AsyncIterator[Outcome]:
        with suppress(StoreError):
            record = await asyncio.to_thread(read_environment, folder)
            digests = await asyncio.to_thread(own_digests, self.store.layout, record)
            async for examined in self.entries_for(order).look_at(digests, order, _GLANCE):
                yield await _outcome(examined, order)
        if await asyncio.to_thread(
            os.path.exists, folder
        ):  # if the environment is gone, the warm that follows makes it
            async for examined in self.views.look_at([folder], order, contents=False):
                yield await _outcome(examined, order)


async def _outcome(examined: Examined, order: Order) -> Outcome:
    if not examined.found or not order.repair:
        return Outcome(examined=examined)
    try:
        how = await examined.mend()
    except ProblemError as problem:
        logger.warning("%s: %s: not mended: %s", examined.label, examined.reasons[0], problem)
        return Outcome(examined=examined, problem=problem)
    logger.info("%s: %s: %s", examined.label, examined.reasons[0], how)
    return Outcome(examined=examined, how=how)


def _told(outcome: Outcome) -> str | None:
    if not outcome.examined.found:
        return None
    said = outcome.how or (outcome.problem.message if outcome.problem else "")
    return f"{outcome.examined.label} was damaged ({outcome.examined.reasons[0]}): {said}"
