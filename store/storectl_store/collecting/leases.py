"""Write leases: how the collector learns that nobody has a file open, and keeps all others from opening it meanwhile.

On Linux this is ``F_SETLEASE`` with ``F_WRLCK``: the kernel refuses it while any process, in any container and of any
user, has the file open, mapped or running. While it is held, who opens the file waits until it is let go, or is told
EAGAIN if it had said ``O_NONBLOCK``. If the holder is stopped, the kernel takes the lease away after
``/proc/sys/fs/lease-break-time`` (45 s). So whoever acts on a lease looks at ``held`` first.

On macOS programs open the file with ``O_SHLOCK``, and this is ``flock``. Nobody has tried that yet.
"""

import errno
import fcntl
import os
import signal
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

AT_ONCE = 200
"""So many leases are held at a time: each is an open file, and who starts a program may have to wait for it."""

_OPENED = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW


class LeasedFile:
    """A file that nobody else has open. Closing it lets go of it; closing it again does nothing."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def held(self) -> bool:
        """Whether nobody waits for the file, and the kernel has not taken the lease away."""
        return _is_held(self._descriptor)

    def close(self) -> None:
        """Let go of the file."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            _let_go(descriptor)
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def try_write_lease(path: Path) -> LeasedFile | None:
    """The write lease of a file; None if anybody has it open, mapped or running, or opens it now.

    Raises FileNotFoundError if there is no such file, and OSError if nothing can be known: then it counts as used.
    """
    try:
        descriptor = os.open(path, _OPENED)
    except BlockingIOError:  # another collector has it
        return None
    try:
        if _granted(descriptor):
            return LeasedFile(descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def is_used(path: Path) -> bool:
    """Whether any process has this file open, mapped or running at this moment. It is not if there is no such file.

    Raises OSError if nothing can be known.
    """
    try:
        leased = try_write_lease(path)
    except FileNotFoundError:
        return False
    if leased is None:
        return True
    leased.close()
    return False


def note_use(path: Path) -> None:
    """Have a file that is in use be accessed now: on some file systems no reader leaves a trace of itself."""
    with suppress(OSError):
        os.utime(path, ns=(time.time_ns(), os.stat(path).st_mtime_ns))


def leases_work(folder: Path) -> bool:
    """Whether leases can be relied on for files in this folder: tried on a file of our own.

    They cannot on NFS and some FUSE file systems, in gVisor, and if ``fs.leases-enable`` is 0. Raises OSError if the
    folder cannot be written to.
    """
    descriptor, name = tempfile.mkstemp(dir=folder, prefix=".lease-")
    path = Path(name)
    try:
        os.close(descriptor)
        path.chmod(0o444)
        return _is_refused_while_open(path) and _is_exclusive(path)
    except OSError:
        return False
    finally:
        path.unlink()


def _is_refused_while_open(path: Path) -> bool:
    reader = os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_SHLOCK", 0))
    try:
        return try_write_lease(path) is None
    finally:
        os.close(reader)


def _is_exclusive(path: Path) -> bool:
    """Whether a lease is granted when nobody has the file open, and holds back who opens it then."""
    leased = try_write_lease(path)
    if leased is None:
        return False
    with leased:
        if not leased.held():
            return False
        try:
            os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | getattr(os, "O_SHLOCK", 0)))
        except BlockingIOError:
            return True
        return False


if sys.platform == "linux":

    def _granted(descriptor: int) -> bool:
        # The signal when somebody opens the file would be SIGIO, which ends a process; SIGURG is ignored.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        try:
            fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        except OSError as error:
            if error.errno != errno.EAGAIN:
                raise
            return False
        return True

    def _is_held(descriptor: int) -> bool:
        # If somebody waits, this is what the lease would have to become.
        return fcntl.fcntl(descriptor, fcntl.F_GETLEASE) == fcntl.F_WRLCK

    def _let_go(descriptor: int) -> None:
        # To close it would do, but for a process that was forked at this moment and has it, too.
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)

else:

    def _granted(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _is_held(descriptor: int) -> bool:
        return descriptor >= 0

    def _let_go(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
