"""Notes: answers of indexes and interpreters, known builds, fetched repositories, shortcuts. All can be made again."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from storectl_daemon.building.mirror_sums import sums_file, sums_problem
from storectl_daemon.repair.examined import Examined, Found, Kind, Order
from storectl_store.disk.durability import disk_errors
from storectl_store.entries.layout import StoreLayout
from storectl_store.entries.provenance import variables_key_problem
from storectl_store.entries.quarantine import Reason, set_aside
from storectl_store.entries.sealed import opened
from storectl_store.projects.shortcuts import shortcut_files, shortcut_problem


@dataclass(frozen=True, slots=True, kw_only=True)
class NotePart:
    """Sealed files. A file from before there were seals is right if it can be read."""

    layout: StoreLayout

    async def look(self, order: Order) -> AsyncIterator[Examined]:  # noqa: ARG002 - all of it is always looked at
        """Every note."""
        if problem := await asyncio.to_thread(variables_key_problem, self.layout):
            again = "what was built with variables is built again"
            yield _examined(self.layout, "note", self.layout.variables_key, problem, again)
        for path, again in await asyncio.to_thread(lambda: list(self._notes())):
            problem = await asyncio.to_thread(_note_problem, path)
            yield _examined(self.layout, "note", path, problem, again)
        for path in await asyncio.to_thread(shortcut_files, self.layout):
            problem = await asyncio.to_thread(shortcut_problem, path)
            yield _examined(self.layout, "note", path, problem, "the next run that needs it writes it again")

    def _notes(self) -> Iterator[tuple[Path, str]]:
        """The files, and for each the way in which it comes back."""
        layout = self.layout
        yield from ((path, "the interpreter is asked again") for path in sorted(layout.interpreters.glob("*.json")))
        yield from ((path, "it is built again when it is wanted") for path in sorted(layout.builds.glob("*.json")))
        yield from ((path, "the index is asked again") for path in sorted(layout.urls.glob("*.json")))
        yield from ((path, "the index is asked again") for path in sorted(layout.index_pages.glob("*")))


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryPart:
    """The bare repositories that commits were fetched into."""

    layout: StoreLayout

    async def look(self, order: Order) -> AsyncIterator[Examined]:  # noqa: ARG002 - all of it is always looked at
        """Every repository."""
        for path in sorted(path for path in self.layout.repositories.glob("*") if path.is_dir()):
            problem = await asyncio.to_thread(_repository_problem, path)
            yield _examined(self.layout, "repository", path, problem, "it is fetched again when it is wanted")


def _examined(layout: StoreLayout, kind: Kind, path: Path, problem: str | None, again: str) -> Examined:
    name = path.relative_to(layout.root).as_posix()
    found = (Found(path=name, message=problem),) if problem else ()
    return Examined(kind=kind, name=name, found=found, mend=partial(_mend, layout, path, problem or "", again))


async def _mend(layout: StoreLayout, path: Path, problem: str, again: str) -> str:
    name = path.relative_to(layout.root).as_posix()
    with disk_errors(f"set {name} aside"):
        things = {path.name: path, f"{path.name}.sums": sums_file(path)}
        await asyncio.to_thread(set_aside, layout, things, Reason(what=name, why=[problem]))
    return f"set aside: {again}"


def _note_problem(path: Path) -> str | None:
    try:
        content, has_seal = opened(path.read_bytes())
        if not has_seal:
            head = content.partition(b"\n")[0] if path.suffix != ".json" else content
            json.loads(head)
    except FileNotFoundError:
        return None  # it was made anew meanwhile
    except (OSError, ValueError, RecursionError) as error:
        return str(error)
    return None


def _repository_problem(path: Path) -> str | None:
    try:
        return sums_problem(path)
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
