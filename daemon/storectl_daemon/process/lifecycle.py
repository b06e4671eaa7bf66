"""The life of the daemon: messages to the service manager, leaving when idle, and background tasks."""

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Coroutine
from typing import Any

logger = logging.getLogger(__name__)


def notify(address: str | None, message: str) -> None:
    """Send ``READY=1`` or the like to the service manager (sd_notify(3)). If ``address`` is None, nothing happens."""
    if not address:
        return
    name = "\0" + address[1:] if address.startswith("@") else address
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.sendto(message.encode(), name)
    except OSError as error:
        logger.warning("the service manager cannot be told %s: %s", message, error)


async def rest(seconds: float, busy: Callable[[], bool]) -> None:
    """Wait so many seconds, and again as long as ``busy`` then returns true."""
    await asyncio.sleep(seconds)
    while busy():  # noqa: ASYNC110  # there is no event for the moment when all is over
        await asyncio.sleep(seconds)


class IdleWatch:
    """Calls ``leave`` once nothing has been going on for ``seconds``; never if that is None."""

    def __init__(self, *, seconds: float | None, busy: Callable[[], bool], leave: Callable[[], None]) -> None:
        self._seconds = seconds
        self._busy = busy
        self._leave = leave
        self._last = time.monotonic()

    def touch(self) -> None:
        """Note that something is going on."""
        self._last = time.monotonic()

    @property
    def quiet(self) -> float:
        """For how many seconds nothing has been going on."""
        if self._busy():
            self.touch()
        return time.monotonic() - self._last

    async def run(self) -> None:
        """Sleep until the daemon could have been idle long enough, look, and leave or sleep again."""
        if self._seconds is None:
            return
        while True:
            if self._busy():
                self.touch()
            left = self._last + self._seconds - time.monotonic()
            if left <= 0:
                logger.info("idle for %g s; leaving", self._seconds)
                self._leave()
                return
            await asyncio.sleep(min(left, self._seconds / 4) if self._busy() else left)


class Background:
    """Tasks that nothing waits for. An error goes to the log and ends only the task that raised it."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def busy(self) -> bool:
        """Whether any task has not ended yet."""
        return bool(self._tasks)

    def start(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Run the work in a task of this name."""
        task = asyncio.create_task(_logged(name, work), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Cancel all tasks and wait for them."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _logged(name: str, work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except Exception:
        logger.exception("%s failed", name)
