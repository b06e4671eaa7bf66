"""Stillness: whether git is changing a checkout, and waiting until it has finished.

``index.lock`` is held for one step, such as a switch: whoever reads inputs waits for its end. A rebase takes many
steps, and leaves signs between them. Only what nobody asked for waits for the end of a rebase, and only while it gets
on: it may have stopped at a conflict, for an hour.
"""

import asyncio
import os
from pathlib import Path
from time import monotonic

from storectl_store.projects.git_refs import git_folder, index_lock

PATIENCE_SECONDS = 1.0
"""How long to wait for a lock of git's: longer than most switches. ``git commit`` holds one while its editor runs."""

STANDSTILL_SECONDS = 2.0
"""An act of many steps that has not moved for so long has stopped: a person has to do something first."""

_LOOK_SECONDS = 0.02
_SIGNS = (
    "index.lock", "rebase-merge", "rebase-apply", "sequencer", "MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD",
)  # fmt: skip
"""What is in a git folder while git has not finished. Each step of an act changes one of them, or HEAD."""

Signs = tuple[tuple[int, int] | None, ...]
"""The identity of HEAD and of each sign: inode and time, None for one that is absent. Empty if there is no sign."""


class Stillness:
    """Waits for git. If a wait timed out, what it waited for is not waited for again until it changes."""

    def __init__(
        self, *, patience_seconds: float = PATIENCE_SECONDS, standstill_seconds: float = STANDSTILL_SECONDS
    ) -> None:
        self._patience_seconds = patience_seconds
        self._standstill_seconds = standstill_seconds
        self._outlasted: dict[Path, tuple[int, int]] = {}
        self._stopped: dict[Path, Signs] = {}

    async def wait_for(self, folder: Path) -> None:
        """Return when git is at rest around this folder, or after ``PATIENCE_SECONDS``."""
        lock = await asyncio.to_thread(index_lock, folder)
        loop = asyncio.get_running_loop()
        end = loop.time() + self._patience_seconds
        while lock is not None and (found := _identity(lock)) is not None and found != self._outlasted.get(lock):
            if loop.time() > end:
                self._outlasted[lock] = found
                return
            await asyncio.sleep(_LOOK_SECONDS)

    async def wait_for_end(self, folder: Path) -> None:
        """Return when git has finished what it does around this folder, or has not moved for ``STANDSTILL_SECONDS``."""
        git = await asyncio.to_thread(git_folder, folder)
        last: Signs = ()
        end = monotonic()
        while git is not None and (signs := await asyncio.to_thread(self._under_way, git)):
            if signs != last:
                last, end = signs, monotonic() + self._standstill_seconds
            if monotonic() >= end:
                self._stopped[git] = signs
                return
            await asyncio.sleep(_LOOK_SECONDS)

    async def is_under_way(self, folder: Path) -> bool:
        """Whether git has begun something around this folder that it will go on with by itself."""

        def look() -> bool:
            git = git_folder(folder)
            return git is not None and bool(self._under_way(git))

        return await asyncio.to_thread(look)

    async def is_disturbed(self, folder: Path) -> bool:
        """Whether git is at work around this folder, no matter for how long already."""
        lock = await asyncio.to_thread(index_lock, folder)
        return lock is not None and lock.exists()

    def _under_way(self, git: Path) -> Signs:
        """The signs of what git has begun; empty if it has finished, or has stopped and not moved since."""
        signs = _signs(git)
        return () if signs == self._stopped.get(git) else signs


def _signs(git: Path) -> Signs:
    found = tuple(_identity(git / name) for name in _SIGNS)
    return (_identity(git / "HEAD"), *found) if any(found) else ()


def _identity(file: Path) -> tuple[int, int] | None:
    """The identity of a file as it is; None if there is none. Another file has another inode, or another time."""
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns
