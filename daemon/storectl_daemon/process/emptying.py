"""Empty the trash behind everything else: in a process that gives way to all others, and ends with the daemon."""

import asyncio
import logging
import sys
from contextlib import suppress

from storectl_store.entries.layout import StoreLayout
from storectl_store.entries.trash import trash_count

logger = logging.getLogger(__name__)

_PROGRAM = "storectl_store.entries.emptying"


async def empty_trash_behind(layout: StoreLayout) -> None:
    """Delete what is in the trash now. If this is cancelled, the rest stays there for the next daemon.

    What goes wrong is logged: nothing depends on it.
    """
    try:
        before = await asyncio.to_thread(trash_count, layout)
        if before:
            await _empty(layout)
            left = await asyncio.to_thread(trash_count, layout)
            logger.info("deleted %d things from the trash", max(before - left, 0))
    except OSError as error:
        logger.warning("the trash is not emptied: %s", error)


async def _empty(layout: StoreLayout) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-m", _PROGRAM, str(layout.root), stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        told = await process.stderr.read()
        code = await process.wait()
    except asyncio.CancelledError:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
        raise
    if code:
        logger.warning("not all could be deleted from the trash: %s", told.decode(errors="replace").strip()[-500:])
