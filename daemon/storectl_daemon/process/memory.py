"""The memory of a process: how much it has, what is free given back, what stays out of the collector's sight.

Workers import this before anything else, so it imports little.
"""

import contextlib
import ctypes
import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

_PAGE = os.sysconf("SC_PAGE_SIZE")
_M_ARENA_MAX = -8  # malloc.h of glibc
_ARENAS = 2


def resident_bytes() -> int:
    """How much memory this process has in RAM; its peak where the system only tells that."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE
    import resource  # noqa: PLC0415 - only where there is no /proc

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def keep_memory_together() -> None:
    """Let all threads allocate from few places: what each leaves free between its pages the others can use.

    glibc's own number is eight a core; after a cold warm of 300 wheels two in all are 9 MiB less. Before the first thread.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS)


def for_good(load: Callable[[], T]) -> T:
    """What ``load`` makes. No collection looks at anything while it is made, or again that is there by then, as code and types are.

    Looking at all of it takes 50 ms, in which no thread of this process answers anybody. Of 100,000 objects some 700 are garbage.
    """
    gc.disable()
    try:
        made = load()
    finally:
        gc.enable()
    gc.freeze()
    return made


def give_memory_back() -> None:
    """Return what is free to the system: the allocator keeps the pages that a warm of hundreds of wheels has touched.

    ``malloc_trim`` is glibc's; elsewhere the allocator is left alone.
    """
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
