"""Stillness: whether git is changing a checkout, and waiting until it has finished."""

import asyncio
import os
from pathlib import Path

from storectl_store.projects.git_refs import index_lock

PATIENCE_SECONDS = 1.0
"""How long to wait for a lock of git's: longer than most switches. ``git commit`` holds one while its editor runs."""

_LOOK_SECONDS = 0.02


class Stillness:
    """Waits for git. If a wait for a lock timed out, that lock is not waited for again."""

    def __init__(self, *, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._patience_seconds = patience_seconds
        self._outlasted: dict[Path, tuple[int, int]] = {}

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

    async def is_disturbed(self, folder: Path) -> bool:
        """Whether git is at work around this folder, no matter for how long already."""
        lock = await asyncio.to_thread(index_lock, folder)
        return lock is not None and lock.exists()


def _identity(lock: Path) -> tuple[int, int] | None:
    """The identity of a lock; None if there is none. Another lock has another inode, or another time."""
    try:
        found = os.stat(lock)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns
