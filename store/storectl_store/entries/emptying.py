"""Empty the trash of a store, in a process of its own: ``<python> -I -m storectl_store.entries.emptying <store>``.

It takes the processor and the disk only when nobody else wants them, and stops when its standard input ends. It exits
with 1 if something could not be deleted, and says why.
"""

import ctypes
import os
import platform
import select
import sys
from contextlib import suppress
from pathlib import Path

from storectl_store.entries.layout import StoreLayout
from storectl_store.entries.trash import empty_trash
from storectl_store.system_errors import reason_of

_IOPRIO_SET = {"x86_64": 251, "aarch64": 30, "riscv64": 30, "ppc64le": 273, "s390x": 282}
"""The number of the system call of Linux, by machine: the C library has no function for it."""
_THIS_PROCESS, _IDLE_CLASS = 1, 3 << 13  # linux/ioprio.h
_NICEST = 19


def main(store: str) -> int:
    """Delete what is in the trash. Returns the exit code."""
    _give_way()
    try:
        empty_trash(StoreLayout(Path(store)), lambda: not _told_to_stop())
    except OSError as error:
        sys.stderr.write(f"{reason_of(error)}\n")
        return 1
    return 0


def _give_way() -> None:
    """Let everybody else go first."""
    os.nice(_NICEST)
    call = _IOPRIO_SET.get(platform.machine())
    if sys.platform == "linux" and call is not None:
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).syscall(call, _THIS_PROCESS, 0, _IDLE_CLASS)


def _told_to_stop() -> bool:
    """Whether the standard input has ended."""
    return bool(select.select([0], [], [], 0)[0])


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
