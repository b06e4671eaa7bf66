"""Notifications of the kernel: the folders in which a file of interest changed.

On Linux inotify is used directly: it reports at once, and wakes this process only if something happens. Elsewhere
watchfiles is used, which looks into its queue fifty times a second. A batch ends when nothing more comes for a moment:
a ``git checkout`` changes many files, and a file that is still being written is of no use yet.
"""

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import AsyncGenerator, Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncinotify import Event

_QUIET_SECONDS = 0.002
_LONGEST_BATCH_SECONDS = 0.05
_WATCHFILES_DEBOUNCE_MS = 200
_WATCHFILES_STEP_MS = 20

Batch = set[Path] | None
"""The folders to look at; None for all of them."""

Names = Collection[str] | None
"""The names of files of interest; None for all of them."""


def _ignore(_folder: Path, _error: OSError) -> None:
    """Ignore a folder that cannot be watched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which changes to report. In the ``whole`` folders every name is of interest.

    ``refused`` is called with each folder that the kernel does not watch, and with the reason: the folder may not be
    read, or the kernel already watches as many as it allows. The other folders are watched all the same.
    """

    folders: Collection[Path]
    names: Names = None
    whole: Collection[Path] = frozenset()
    refused: Callable[[Path, OSError], None] = _ignore

    def concerns(self, folder: Path, name: str | None) -> bool:
        """Whether a change of this name in this folder is of interest."""
        return name is None or self.names is None or name in self.names or folder in self.whole


def notifications(wanted: Wanted) -> AsyncGenerator[Batch, None]:
    """Batches, until it is closed. When the first step begins to wait, the kernel has already been asked to watch.

    Raises FileNotFoundError if a folder does not exist.
    """
    return _inotify(wanted) if sys.platform == "linux" else _watchfiles(wanted)


async def _inotify(wanted: Wanted) -> AsyncGenerator[Batch, None]:
    from asyncinotify import Inotify, Mask  # noqa: PLC0415 - only Linux has it

    # A file counts when it is complete: closed by its writer, or renamed into place. CREATE is for links.
    mask = Mask.CLOSE_WRITE | Mask.MOVE | Mask.CREATE | Mask.DELETE | Mask.ATTRIB | Mask.DELETE_SELF | Mask.MOVE_SELF

    def batch_of(events: "Iterable[Event]") -> Batch:
        folders = set()
        for event in events:
            if event.mask & Mask.Q_OVERFLOW:
                return None
            if event.watch is not None and wanted.concerns(event.watch.path, str(event.name) if event.name else None):
                folders.add(event.watch.path)
        return folders

    with Inotify(sync_timeout=0) as inotify:  # "for event in inotify" takes what is there, and does not wait
        _accepted(wanted, lambda folder: inotify.add_watch(folder, mask | Mask.ONLYDIR))
        while True:
            batch = more = batch_of([await inotify.get()])
            end = time.monotonic() + _LONGEST_BATCH_SECONDS
            while more and time.monotonic() < end:
                await asyncio.sleep(_QUIET_SECONDS)
                more = batch_of(inotify)
                batch = None if batch is None or more is None else batch | more
            if batch != set():
                yield batch


async def _watchfiles(wanted: Wanted) -> AsyncGenerator[Batch, None]:
    from watchfiles import awatch  # noqa: PLC0415 - Linux does without it

    # A single folder that may not be read would end all watching.
    readable = _accepted(wanted, lambda folder: os.close(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)))
    changes = awatch(
        *readable,
        watch_filter=lambda _change, path: wanted.concerns(Path(path).parent, os.path.basename(path)),
        debounce=_WATCHFILES_DEBOUNCE_MS,
        step=_WATCHFILES_STEP_MS,
        recursive=False,
    )
    async with contextlib.aclosing(changes):
        async for batch in changes:
            yield {Path(path).parent for _change, path in batch}


def _accepted(wanted: Wanted, watch: Callable[[Path], object]) -> list[Path]:
    """The folders that ``watch`` takes without an error. Raises FileNotFoundError if a folder does not exist."""
    accepted = []
    for folder in wanted.folders:
        try:
            watch(folder)
        except FileNotFoundError:
            raise
        except OSError as error:
            wanted.refused(folder, error)
        else:
            accepted.append(folder)
    return accepted
