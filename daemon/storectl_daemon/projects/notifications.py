"""Notifications of the kernel: the folders in which a file of interest changed.

On Linux inotify is used directly: it reports at once, and wakes this process only if something happens. Elsewhere
watchfiles is used, which looks into its queue fifty times a second. A batch ends when nothing more comes for a moment:
a ``git checkout`` changes many files, and a file that is still being written is of no use yet.
"""

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import anyio

QUIET_SECONDS = 0.004
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


async def notifications(wanted: Wanted, stop: anyio.Event) -> AsyncGenerator[Batch, None]:
    """Batches until ``stop``. When the first step begins to wait, the kernel has already been asked to watch.

    Raises FileNotFoundError if a folder does not exist.
    """
    if not wanted.folders:
        await stop.wait()
        return
    source = _inotify if sys.platform == "linux" else _watchfiles
    async for batch in source(wanted, stop):
        yield batch


async def _inotify(wanted: Wanted, stop: anyio.Event) -> AsyncGenerator[Batch, None]:
    from asyncinotify import Inotify, Mask  # noqa: PLC0415 - only Linux has it

    # A file counts when it is complete: closed by its writer, or renamed into place. CREATE is for links.
    mask = Mask.CLOSE_WRITE | Mask.MOVE | Mask.CREATE | Mask.DELETE | Mask.ATTRIB | Mask.DELETE_SELF | Mask.MOVE_SELF
    queue: asyncio.Queue[Batch] = asyncio.Queue()

    async def read() -> None:
        async for event in inotify:
            if event.mask & Mask.Q_OVERFLOW:
                queue.put_nowait(None)
            elif event.watch is not None and wanted.concerns(event.watch.path, str(event.name) if event.name else None):
                queue.put_nowait({event.watch.path})

    with Inotify() as inotify:
        for folder in wanted.folders:
            try:
                inotify.add_watch(folder, mask | Mask.ONLYDIR)
            except FileNotFoundError:
                raise
            except OSError as error:
                wanted.refused(folder, error)
        reader = asyncio.create_task(read(), name="inotify")
        ended = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                first = asyncio.create_task(queue.get())
                await asyncio.wait({first, ended, reader}, return_when=asyncio.FIRST_COMPLETED)
                if reader.done():
                    reader.result()
                if not first.done():
                    first.cancel()
                    return
                yield await _whole_batch(first.result(), queue)
        finally:
            reader.cancel()
            ended.cancel()


async def _whole_batch(first: Batch, queue: "asyncio.Queue[Batch]") -> Batch:
    """The first batch and all that follow it closely, as one."""
    loop = asyncio.get_running_loop()
    batch, end = first, loop.time() + _LONGEST_BATCH_SECONDS
    while (left := min(QUIET_SECONDS, end - loop.time())) > 0:
        try:
            more = await asyncio.wait_for(queue.get(), left)
        except TimeoutError:
            break
        batch = None if batch is None or more is None else batch | more
    return batch


async def _watchfiles(wanted: Wanted, stop: anyio.Event) -> AsyncGenerator[Batch, None]:
    from watchfiles import awatch  # noqa: PLC0415 - Linux does without it

    changes = awatch(
        *_readable(wanted),
        watch_filter=lambda _change, path: wanted.concerns(Path(path).parent, os.path.basename(path)),
        debounce=_WATCHFILES_DEBOUNCE_MS,
        step=_WATCHFILES_STEP_MS,
        stop_event=stop,
        recursive=False,
    )
    async for batch in changes:
        yield {Path(path).parent for _change, path in batch}


def _readable(wanted: Wanted) -> list[Path]:
    """The folders without those that may not be read: a single one of these would end all watching."""
    readable = []
    for folder in wanted.folders:
        try:
            os.close(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        except FileNotFoundError:
            raise
        except OSError as error:
            wanted.refused(folder, error)
        else:
            readable.append(folder)
    return readable
