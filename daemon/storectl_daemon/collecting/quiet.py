"""Waiting until nothing has been going on for a while. What is done then is loaded then: most of the time it is not."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from storectl_store.errors import ProblemError

logger = logging.getLogger(__name__)

LOOK_S = 60.0
"""Seconds between two looks."""

QUIET_S = 600.0
"""Seconds without a request and without work after which it is quiet."""


async def when_quiet(
    quiet: Callable[[], float], act: Callable[[], Awaitable[None]], *, seconds: float = LOOK_S
) -> None:
    """Call ``act`` again and again while it is quiet. ``quiet`` tells for how many seconds it has been.

    A problem goes to the log.
    """
    while True:
        await asyncio.sleep(seconds)
        if quiet() >= QUIET_S:
            try:
                await act()
            except (ProblemError, OSError) as error:
                logger.warning("not collected: %s", error)
