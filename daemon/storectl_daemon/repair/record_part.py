"""The records of projects, which the launcher reads, and the book of projects: rewritten from the daemon's memory."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from storectl_daemon.projects.book import ProjectBook
from storectl_daemon.repair.examined import Examined, Found, Order
from storectl_daemon.repair.users import Users
from storectl_daemon.warming.warm import Warmer
from storectl_store.disk.durability import disk_errors
from storectl_store.entries.layout import StoreLayout
from storectl_store.entries.quarantine import Reason, set_aside
from storectl_store.projects.project_record import project_of, record_folders, record_parts, record_problem


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordPart:
    """The record of every project."""

    layout: StoreLayout
    book: ProjectBook
    warmer: Warmer
    users: Users

    async def look(self, order: Order) -> AsyncIterator[Examined]:
        """Every record that is there."""
        for folder in await asyncio.to_thread(lambda: sorted(record_folders(self.layout))):
            async with self.warmer.records:
                problem = await asyncio.to_thread(_record_problem, folder)
            project = project_of(self.layout, folder)
            found = (Found(path=str(project), message=problem),) if problem else ()
            yield Examined(
                kind="record",
                name=str(project),
                found=found,
                mend=partial(self._mend, folder, project, problem or "", order),
            )

    async def _mend(self, folder: Path, project: Path, problem: str, order: Order) -> str:
        """Set the record aside, then have it written again. Until then programs take the slow way, which is right."""
        async with self.warmer.records:
            reason = Reason(what=f"record of {project}", why=[problem])
            with disk_errors(f"set the record of {project} aside"):
                await asyncio.to_thread(_set_record_aside, self.layout, folder, reason)
        if self.book.get(project) is None:
            return "set aside: it is written at the next run"
        await self.users.refresh(project, order)
        return "written again"


@dataclass(frozen=True, slots=True, kw_only=True)
class BookPart:
    """``projects.json``."""

    layout: StoreLayout
    book: ProjectBook

    async def look(self, order: Order) -> AsyncIterator[Examined]:  # noqa: ARG002 - all of it is always looked at
        """Compare the file with what the daemon has in memory. There is only this one file."""
        name = self.layout.projects_file.name
        await self.book.written()
        try:
            is_whole = await asyncio.to_thread(lambda: self.book.is_whole)
        except OSError:
            is_whole = False
        found = () if is_whole else (Found(path=name, message="it does not say what is known of the projects"),)
        yield Examined(kind="projects", name=name, found=found, mend=self._mend)

    async def _mend(self) -> str:
        path = self.layout.projects_file
        reason = Reason(what=path.name, why=["it does not say what is known of the projects"])
        with disk_errors(f"write {path.name} again"):
            await asyncio.to_thread(set_aside, self.layout, {path.name: path}, reason)
        self.book.write()
        await self.book.written()
        return "written again"


def _set_record_aside(layout: StoreLayout, folder: Path, reason: Reason) -> None:
    """Set aside what is the record. The history stays where it is."""
    set_aside(layout, {part.name: part for part in record_parts(folder)}, reason)


def _record_problem(folder: Path) -> str | None:
    try:
        return record_problem(folder)
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
