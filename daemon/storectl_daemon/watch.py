"""Watching projects: the folder of each lock file and its ``.git``, by notification and by looking again.

Notifications only say *where* to look; whether anything changed is seen by a cheap signature of the inputs. The kernel
drops notifications when its queue is full, and sends none for network file systems or for a folder that was replaced,
so that everything is looked at again every ``RESCAN_SECONDS``.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import anyio
from watchfiles import awatch

from storectl_daemon.inputs import Signature, signature_of
from storectl_shim.project_record import INPUTS

logger = logging.getLogger(__name__)

RESCAN_SECONDS = 30.0
_DEBOUNCE_MS = 200
_STEP_MS = 20
_WATCHED_NAMES = frozenset({*INPUTS, "HEAD", "FETCH_HEAD"})
_GIT_FILE_LIMIT = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What to look at for one project."""

    project: Path
    inputs: tuple[Path, ...]

    @property
    def folders(self) -> frozenset[Path]:
        """The folders whose notifications concern the project."""
        git = git_folder(self.project)
        return frozenset({self.project, *(path.parent for path in self.inputs), *([git] if git else [])})


def git_folder(project: Path) -> Path | None:
    """The folder with this checkout's HEAD: ``.git``, or what the ``.git`` file of a worktree or submodule names."""
    for folder in (project, *project.parents):
        git = folder / ".git"
        if git.is_dir():
            return git
        if git.is_file():
            return _named_git_folder(git)
    return None


def _named_git_folder(file: Path) -> Path | None:
    try:
        with file.open(encoding="utf-8", errors="surrogateescape") as stream:
            text = stream.read(_GIT_FILE_LIMIT)
    except OSError:
        return None
    word, _, target = text.strip().partition("gitdir: ")
    folder = file.parent / target
    return folder if not word and target and folder.is_dir() else None


class Watcher:
    """Calls ``on_change`` with a project whose inputs may have changed.

    ``sights`` answers what is to be looked at now; call ``projects_changed`` when its answer changed. ``on_change`` is
    called for every project once after it is first seen: what happened before is unknown.
    """

    def __init__(
        self,
        *,
        sights: Callable[[], Iterable[Sight]],
        on_change: Callable[[Path], Awaitable[None]],
        rescan_seconds: float = RESCAN_SECONDS,
    ) -> None:
        self._sights = sights
        self._on_change = on_change
        self._rescan_seconds = rescan_seconds
        self._signatures: dict[Path, Signature] = {}
        self._watched: frozenset[Path] = frozenset()
        self._restart = asyncio.Event()

    def watches(self, project: Path) -> bool:
        """Whether notifications arrive for the project at this moment."""
        return project in self._watched

    def projects_changed(self) -> None:
        """The set of projects, or of their inputs, is another one."""
        self._restart.set()

    def forget(self, project: Path) -> None:
        """The project is no longer watched; seen again, it counts as new."""
        self._signatures.pop(project, None)
        self._restart.set()

    def saw(self, sight: Sight) -> None:
        """The inputs as they are now are known to the caller, who is about to read them."""
        self._signatures[sight.project] = signature_of(sight.inputs)

    async def run(self) -> None:
        """Watch until cancelled. An error of the notification service leaves the looking again."""
        while True:
            self._restart.clear()
            sights = list(self._sights())
            folders = await asyncio.to_thread(_folders, sights)
            try:
                await self._watch(folders)
            except FileNotFoundError:
                logger.info("a watched folder is gone")
            except Exception:
                logger.exception("watching failed; looking again every %g s", self._rescan_seconds)
                self._watched = frozenset()
                await self._look(None)
                await self._wait_for_restart()

    async def _watch(self, folders: Mapping[Path, int]) -> None:
        """Follow notifications until the set of folders is another one."""
        stop = anyio.Event()
        names = _WATCHED_NAMES.union(path.name for sight in self._sights() for path in sight.inputs)
        async with contextlib.aclosing(_notifications(folders, names, stop)) as notifications:
            step = asyncio.ensure_future(anext(notifications))
            try:
                # One turn of the loop: the kernel is asked to watch before the first look, so that nothing falls
                # between the two.
                await asyncio.sleep(0)
                self._watched = frozenset(folders)
                await self._look(None)
                restart = asyncio.ensure_future(self._restart.wait())
                try:
                    while not await self._turn(folders, step, restart):
                        if step.done():
                            step = asyncio.ensure_future(anext(notifications))
                finally:
                    restart.cancel()
            finally:
                stop.set()
                await _let_go(step)

    async def _turn(
        self, folders: Mapping[Path, int], step: "asyncio.Future[set[Path]]", restart: "asyncio.Future[Literal[True]]"
    ) -> bool:
        """Wait for something to happen and deal with it; whether the folders must be watched anew."""
        await asyncio.wait({step, restart}, timeout=self._rescan_seconds, return_when=asyncio.FIRST_COMPLETED)
        if restart.done():
            return True
        await self._look(step.result() if step.done() else None)
        return await asyncio.to_thread(_folders, list(self._sights())) != folders

    async def _wait_for_restart(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._restart.wait(), self._rescan_seconds)

    async def _look(self, where: set[Path] | None) -> None:
        """Compare signatures of the projects that ``where`` concerns (None: of all) and report the changed ones."""
        for sight in list(self._sights()):
            if where is not None and not await asyncio.to_thread(_concerns, sight, where):
                continue
            signature = await asyncio.to_thread(signature_of, sight.inputs)
            if self._signatures.get(sight.project) != signature:
                self._signatures[sight.project] = signature
                await self._report(sight.project)

    async def _report(self, project: Path) -> None:
        try:
            await self._on_change(project)
        except Exception:
            logger.exception("looking at %s", project)


def _concerns(sight: Sight, where: set[Path]) -> bool:
    return not sight.folders.isdisjoint(where)


def _folders(sights: Iterable[Sight]) -> dict[Path, int]:
    """The folders that exist, with their inode: one that was replaced has to be watched anew."""
    found = {}
    for folder in {folder for sight in sights for folder in sight.folders}:
        with contextlib.suppress(OSError, ValueError):
            found[folder] = os.stat(folder).st_ino
    return found


async def _notifications(
    folders: Mapping[Path, int], names: frozenset[str], stop: anyio.Event
) -> AsyncGenerator[set[Path], None]:
    """Sets of folders in which a file with one of these names changed, until ``stop``."""
    if not folders:
        await stop.wait()
        return
    changes = awatch(
        *folders,
        watch_filter=lambda _change, path: os.path.basename(path) in names,
        debounce=_DEBOUNCE_MS,
        step=_STEP_MS,
        stop_event=stop,
        recursive=False,
    )
    async for batch in changes:
        yield {Path(path).parent for _change, path in batch}


async def _let_go(step: "asyncio.Future[set[Path]]") -> None:
    with contextlib.suppress(asyncio.CancelledError, StopAsyncIteration, Exception):
        await step
