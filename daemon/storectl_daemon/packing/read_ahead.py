"""Reading ahead: who asks for a map is about to load the standard library from the disk, so the kernel is asked for it now.

A program asks only where its map was not in the page cache, and then hardly anything else is. Which files programs of the
environment load its pack says. To open a file that is not in memory is to wait for its inode: here that happens beside the program.
"""

import logging
import math
import os
import stat
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from storectl_store.entries.layout import StoreLayout
from storectl_store.environments.pack import packed_imports

logger = logging.getLogger(__name__)

AGAIN_SECONDS = 1.0
"""For so long what was read for an environment is taken to be in the page cache still."""

_THREADS = 6
"""They wait for the disk; without work all of them have 0.1 MiB, and nothing wakes them."""
_REMEMBERED = 256


class ReadAhead:
    """Has the kernel read what programs of an environment load of the standard library. Nothing happens without a pack."""

    def __init__(self, layout: StoreLayout, *, seconds: float = AGAIN_SECONDS) -> None:
        self._layout = layout
        self._seconds = seconds
        self._begun: dict[str, float] = {}  # by environment, the latest last
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="reading ahead")
        self._can_ask = hasattr(os, "posix_fadvise")  # not macOS

    def begin(self, environment_id: str) -> None:
        """Begin, unless that was done within the last ``seconds``; nobody waits, and no error comes back."""
        now = time.monotonic()
        if not self._can_ask or now - self._begun.get(environment_id, -math.inf) < self._seconds:
            return
        self._begun.pop(environment_id, None)
        self._begun[environment_id] = now
        if len(self._begun) > _REMEMBERED:
            del self._begun[next(iter(self._begun))]
        if self._layout.pack(
            environment_id
        ).exists():  # looked at here: to wake a thread costs whoever is answered meanwhile 5 ms
            self._submit(self._read, environment_id)

    def close(self) -> None:
        """Read nothing more, and wait for nobody."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _submit(self, work: Callable[[str], None], argument: str) -> None:
        try:
            self._threads.submit(_quietly, work, argument)
        except RuntimeError as error:  # closed, or no more threads for this user
            logger.debug("nothing is read ahead: %s", error)

    def _read(self, environment_id: str) -> None:
        for path in packed_imports(self._layout, environment_id).standard:
            self._submit(ask_kernel, path)


def _quietly(work: Callable[[str], None], argument: str) -> None:
    try:
        work(argument)
    except Exception as error:  # noqa: BLE001 - nobody depends on it
        logger.debug("%s is not read ahead: %s", argument, error)


def ask_kernel(path: str) -> None:
    """Have the kernel read this regular file, without waiting for it; OSError or ValueError where it cannot be opened."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_WILLNEED)
    finally:
        os.close(descriptor)
