"""Notifications of the kernel: in which folders a file of interest changed.

On Linux inotify itself, which wakes nobody up until something happens and is heard at once; elsewhere watchfiles, which
looks into its queue fifty times a second. A batch ends when nothing more comes for a moment: a ``git checkout`` changes
many files, and one that is being written is of no use yet.
"""

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, Collection
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


async def notifications(folders: Collection[Path], names: Names, stop: anyio.Event) -> AsyncGenerator[Batch, None]:
    """Batches until ``stop``. The kernel has been asked when the first step begins to wait.

    FileNotFoundError where a folder is not there; another OSError where the kernel will not watch more.
    """
    if not folders:
        await stop.wait()
        return
    source = _inotify if sys.platform == "linux" else _watchfiles
    async for batch in source(folders, names, stop):
        yield batch


async def _inotify(folders: Collection[Path], names: Names, stop: anyio.Event) -> AsyncGenerator[Batch, None]:
    from asyncinotify import Inotify, Mask  # noqa: PLC0415 - only Linux has it

    # A file counts when it is complete: closed by its writer, or renamed into place. CREATE is for links.
    mask = Mask.CLOSE_WRITE | Mask.MOVE | Mask.CREATE | Mask.DELETE | Mask.ATTRIB | Mask.DELETE_SELF | Mask.MOVE_SELF
    queue: asyncio.Queue[Batch] = asyncio.Queue()

    async def read() -> None:
        async for event in inotify:
            if event.mask & Mask.Q_OVERFLOW:
                queue.put_nowait(None)
            elif event.watch is not None and (event.name is None or names is None or str(event.name) in names):
                queue.put_nowait({event.watch.path})

    with Inotify() as inotify:
        for folder in folders:
            inotify.add_watch(folder, mask | Mask.ONLYDIR)
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
    """The first one and all that follows it closely."""
    loop = asyncio.get_running_loop()
    batch, end = first, loop.time() + _LONGEST_BATCH_SECONDS
    while (left := min(QUIET_SECONDS, end - loop.time())) > 0:
        try:
            more = await asyncio.wait_for(queue.get(), left)
        except TimeoutError:
            break
        batch = None if batch is None or more is None else batch | more
    return batch


async def _watchfiles(folders: Collection[Path], names: Names, stop: anyio.Event) -> AsyncGenerator[Batch, None]:
    from watchfiles import awatch  # noqa: PLC0415 - Linux does without it

    changes = awatch(
        *folders,
        watch_filter=lambda _change, path: names is None or os.path.basename(path) in names,
        debounce=_WATCHFILES_DEBOUNCE_MS,
        step=_WATCHFILES_STEP_MS,
        stop_event=stop,
        recursive=False,
    )
    async for batch in changes:
        yield {Path(path).parent for _change, path in batch}
