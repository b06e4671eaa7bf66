"""Reading ahead: a program that asks for its map is about to load the standard library, so the kernel reads it now.

A program asks only if its map was not in the page cache, and then hardly anything else is. The pack of an environment
tells which files of the standard library its programs load. Opening a file that is not in memory means waiting for its
inode; here that happens while the program does something else.
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
"""For this long after a read the files of an environment are taken to be in the page cache still."""

_THREADS = 6
"""They wait for the disk. When idle, all of them together have 0.1 MiB, and nothing wakes them."""
_REMEMBERED = 256


class ReadAhead:
    """Has the kernel read the files of the standard library that programs of an environment load.

    If the environment has no pack, nothing happens.
    """

    def __init__(self, layout: StoreLayout, *, seconds: float = AGAIN_SECONDS) -> None:
        self._layout = layout
        self._seconds = seconds
        self._begun: dict[str, float] = {}  # by environment, the latest last
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="reading ahead")
        self._can_ask = hasattr(os, "posix_fadvise")  # not macOS

    def begin(self, environment_id: str) -> None:
        """Begin, unless that was done within the last ``seconds``. Returns at once, and raises no error."""
        now = time.monotonic()
        if not self._can_ask or now - self._begun.get(environment_id, -math.inf) < self._seconds:
            return
        self._begun.pop(environment_id, None)
        self._begun[environment_id] = now
        if len(self._begun) > _REMEMBERED:
            del self._begun[next(iter(self._begun))]
        if self._layout.pack(
            environment_id
        ).exists():  # in this thread: waking another one delays a program's answer by 5 ms
            self._submit(self._read, environment_id)

    def close(self) -> None:
        """Read nothing more, without waiting for reads under way."""
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
    except Exception as error:  # noqa: BLE001 - nothing depends on it
        logger.debug("%s is not read ahead: %s", argument, error)


def ask_kernel(path: str) -> None:
    """Have the kernel read this regular file, without waiting for it.

    Raises OSError or ValueError if it cannot be opened.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_WILLNEED)
    finally:
        os.close(descriptor)
