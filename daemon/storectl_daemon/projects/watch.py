"""Watching projects: the folder of each lock file and its ``.git``, by notification and by looking again.

A notification only names a folder to look at. A cheap signature of the inputs then tells whether anything changed. The
kernel drops notifications when its queue is full, and sends none for network file systems or for a folder that was
replaced. Therefore everything is looked at again every ``RESCAN_SECONDS``.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storectl_daemon.projects.fetches import FETCH_FILES, Fetches
from storectl_daemon.projects.inputs import Signature, signature_of
from storectl_daemon.projects.notifications import Batch, Wanted, notifications
from storectl_daemon.projects.worktrees import Changes, Worktrees, repository_of
from storectl_shim.project_record import INPUTS
from storectl_store.projects.version_files import VERSION_FILES

logger = logging.getLogger(__name__)

RESCAN_SECONDS = 30.0
_SAID_ABOVE = frozenset({*VERSION_FILES, "pyproject.toml"})
_WATCHED_NAMES = frozenset({*INPUTS, "HEAD", *FETCH_FILES, "worktrees", "gitdir"})


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedProject:
    """What to look at for one project. ``listed`` are the inputs that are folders whose list of names counts."""

    path: Path
    inputs: tuple[Path, ...]
    listed: frozenset[Path] = frozenset()

    @property
    def folders(self) -> frozenset[Path]:
        """The folders whose notifications concern the project."""
        return self.with_repository()[0]

    def with_repository(self) -> tuple[frozenset[Path], Path | None]:
        """``folders``, and the one of them in which worktrees of the project's repository come and go."""
        # A Path is made for each of these folders only: they are few, the inputs are many.
        parents = {os.path.dirname(path) for path in self.inputs if not self._is_said_above(path)}
        folders = {self.path, *map(Path, parents), *self.listed}
        repository = repository_of(self.path)
        if repository is None:
            return frozenset(folders), None
        return frozenset(folders.union(repository.folders)), repository.worktrees

    def _is_said_above(self, file: Path) -> bool:
        """Whether this is a version file or project table of a folder above the project's.

        That folder may be the home folder, which changes all the time. Such a file is therefore looked at every
        ``RESCAN_SECONDS``, and by every command.
        """
        return file.name in _SAID_ABOVE and self.path != file.parent and self.path.is_relative_to(file.parent)


class Watcher:
    """Calls ``on_change`` with each project whose inputs may have changed.

    ``projects`` returns what to look at now; call ``projects_changed`` when it would return something else.
    ``on_change`` is also called once for every project after it is first seen, because what happened before is unknown.
    ``on_worktrees`` is called with worktrees that came to, or went from, the repositories of the projects.
    ``on_fetch`` is called with each project around which a ``git fetch`` may have changed the refs.
    """

    def __init__(
        self,
        *,
        projects: Callable[[], Iterable[WatchedProject]],
        on_change: Callable[[Path], Awaitable[None]],
        on_worktrees: Callable[[Changes], None] = lambda _changes: None,
        on_fetch: Callable[[Path], None] = lambda _project: None,
        rescan_seconds: float = RESCAN_SECONDS,
    ) -> None:
        self._projects = projects
        self._on_change = on_change
        self._on_worktrees = on_worktrees
        self._worktrees = Worktrees()
        self._on_fetch = on_fetch
        self._fetches = Fetches()
        self._rescan_seconds = rescan_seconds
        self._signatures: dict[Path, Signature] = {}
        self._watched: frozenset[Path] = frozenset()
        self._refused: set[Path] = set()
        self._restart = asyncio.Event()

    def watches(self, project: Path) -> bool:
        """Whether notifications arrive for the project at this moment."""
        return project in self._watched

    def projects_changed(self) -> None:
        """Call this when the set of projects, or the inputs of one, has changed."""
        self._restart.set()

    def forget(self, project: Path) -> None:
        """Stop watching the project. If it is seen again, it counts as new."""
        self._signatures.pop(project, None)
        self._restart.set()

    async def run(self) -> None:
        """Watch until cancelled. If notifications fail, everything is still looked at every ``RESCAN_SECONDS``."""
        while True:
            try:
                await self._watch(await asyncio.to_thread(_plan, list(self._projects())))
            except FileNotFoundError:
                logger.info("a watched folder is gone")
            except Exception:
                logger.exception("watching failed; looking again every %g s", self._rescan_seconds)
                self._watched = frozenset()
                await self._look(None)
                await self._wait_for_restart()

    async def _watch(self, plan: "_Plan") -> None:
        """Follow notifications until another plan is needed."""
        refused = set[Path]()

        def refuse(folder: Path, error: OSError) -> None:
            refused.add(folder)
            if folder not in self._refused:
                logger.warning("%s is looked at every %g s only: %s", folder, self._rescan_seconds, error.strerror)

        wanted = Wanted(folders=plan.inodes, names=plan.names, whole=plan.listed, refused=refuse)
        async with contextlib.aclosing(notifications(wanted)) as changes:
            step = asyncio.ensure_future(anext(changes))
            try:
                # One turn of the loop: the kernel is asked to watch before the first look, so that nothing falls
                # between the two.
                await asyncio.sleep(0)
                if step.done():
                    step.result()
                await self._look_for_fetches(list(self._projects()))  # each one after this is seen
                self._watched, self._refused = frozenset(plan.inodes) - refused, refused
                await self._look(None)
                while await asyncio.to_thread(_plan, list(self._projects())) == plan:
                    folders = await self._turn(step)
                    if step.done():
                        step = asyncio.ensure_future(anext(changes))
                    await self._look(folders)
            finally:
                step.cancel()
                await asyncio.wait({step})

    async def _turn(self, step: "asyncio.Future[Batch]") -> Batch:
        """Wait until something happens. Returns the folders to look at, None for all."""
        restart = asyncio.ensure_future(self._restart.wait())
        try:
            both: set[asyncio.Future[Any]] = {step, restart}
            await asyncio.wait(both, timeout=self._rescan_seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            restart.cancel()
        everything = self._restart.is_set() or not step.done()
        self._restart.clear()
        found = step.result() if step.done() else set()
        return None if everything else found

    async def _wait_for_restart(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._restart.wait(), self._rescan_seconds)
        self._restart.clear()

    async def _look(self, folders: Batch) -> None:
        """Look at the projects with inputs in these folders (None: all): their refs, worktrees, and signatures.

        What changed is reported.
        """
        projects = await asyncio.to_thread(_concerned, list(self._projects()), folders)
        changes = await asyncio.to_thread(self._worktrees.changes, [project.path for project in projects])
        if changes != Changes():
            self._on_worktrees(changes)
        await self._look_for_fetches(projects)
        for project, signature in await asyncio.to_thread(_signatures, projects):
            if self._signatures.get(project) != signature:
                self._signatures[project] = signature
                await self._report(project)

    async def _look_for_fetches(self, projects: Sequence[WatchedProject]) -> None:
        for fetched in await asyncio.to_thread(self._fetches.changed, [project.path for project in projects]):
            self._on_fetch(fetched)

    async def _report(self, project: Path) -> None:
        try:
            await self._on_change(project)
        except Exception:
            logger.exception("looking at %s", project)


def _concerned(projects: Sequence[WatchedProject], folders: Batch) -> list[WatchedProject]:
    """The projects that have inputs in these folders (None: all)."""
    return [project for project in projects if folders is None or not project.folders.isdisjoint(folders)]


def _signatures(projects: Sequence[WatchedProject]) -> list[tuple[Path, Signature]]:
    return [(project.path, signature_of(project.inputs)) for project in projects]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """Existing folders, each with its inode, and names of interest. A folder that was replaced has another inode."""

    inodes: Mapping[Path, int]
    names: frozenset[str]
    listed: frozenset[Path]


def _plan(projects: Sequence[WatchedProject]) -> _Plan:
    found = [project.with_repository() for project in projects]
    inodes = {}
    for folder in {folder for folders, _ in found for folder in folders}:
        with contextlib.suppress(OSError, ValueError):
            inodes[folder] = os.stat(folder).st_ino
    names = _WATCHED_NAMES.union(path.name for project in projects for path in project.inputs)
    listed = {folder for project in projects for folder in project.listed}
    worktrees = {folder for _, folder in found if folder in inodes}
    return _Plan(inodes=inodes, names=names, listed=frozenset(listed.union(filter(None, worktrees))))
