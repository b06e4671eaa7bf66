"""What the system refuses, whatever storectl does.

That is, a full, failing or read-only disk, too many open files, or no memory.
"""

import errno
import os
import sqlite3
from collections.abc import Iterator

from storectl_store.errors import StoreFullError

_NO_ROOM = (
    "free some space on that file system (`storectl store collect` takes away what nothing needs), or raise the quota,"
    " then try again; nothing was left behind"
)
_NO_DISK = "the disk is gone: attach and mount it again, then try again"
_HINTS = {
    errno.ENOSPC: _NO_ROOM,
    errno.EDQUOT: _NO_ROOM,
    errno.EFBIG: "raise the largest file size (`ulimit -f`), then `storectl daemon stop`: "
    "the next command starts another",
    errno.EIO: "the disk or its connection fails: look at the system's log; "
    "`storectl store verify --repair` afterwards",
    errno.EROFS: "the file system is mounted read-only: mount it writable, or set STORECTL_STORE to another place",
    errno.EMFILE: "raise the limit of open files (`ulimit -n`), then `storectl daemon stop`: "
    "the next command starts another",
    errno.ENFILE: "the whole system has too many open files: end what has them open, or raise fs.file-max",
    errno.ENOMEM: "the system has no memory left: end something, then try again",
    errno.EAGAIN: "the system has no process or lock left: end something, or raise `ulimit -u`, then try again",
    errno.ESTALE: "the network file system has lost the file: mount it again, then try again",
    errno.ENODEV: _NO_DISK,
    errno.ENXIO: _NO_DISK,
}
OF_PROCESSES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN})
"""Refusals that concern the limits of a process or the machine, not a disk."""

_OF_SQLITE = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_IOERR: errno.EIO,
    sqlite3.SQLITE_READONLY: errno.EROFS,
    sqlite3.SQLITE_NOMEM: errno.ENOMEM,
}


def reason_of(error: OSError) -> str:
    """What the system says, with the name of its number: ``No space left on device (ENOSPC)``."""
    name = errno.errorcode.get(error.errno or 0)
    return f"{os.strerror(error.errno)} ({name})" if error.errno and name else str(error)


def refusal_of(error: BaseException, doing: str) -> StoreFullError | None:
    """The error to report if a refusal of the system caused this error, or an error below it; otherwise None.

    ``doing`` reads as in "cannot <doing>".
    """
    for cause in _causes(error):
        number = _number_of(cause)
        if number in _HINTS:
            path = cause.filename if isinstance(cause, OSError) else None
            where = f": {os.fsdecode(path)}" if isinstance(path, str | bytes) else ""
            refused = OSError(number, os.strerror(number))
            return StoreFullError(
                f"cannot {doing}: {reason_of(refused)}{where}", hint=_HINTS[number], errno=number, path=path
            )
    return None


def raise_if_limited(error: OSError, doing: str) -> None:
    """Raise the error to report if a limit of this process or the machine caused this one, as too many open files.

    Call it before an error is taken for a fault of the file that could not be read.
    """
    if error.errno in OF_PROCESSES:
        raise refusal_of(error, doing) or error from error


def _number_of(error: BaseException) -> int | None:
    if isinstance(error, OSError):
        return error.errno
    if isinstance(error, sqlite3.Error):
        code: int | None = getattr(error, "sqlite_errorcode", None)
        return None if code is None else _OF_SQLITE.get(code & 0xFF)
    return errno.ENOMEM if isinstance(error, MemoryError) else None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error, the errors it was raised from, and the members of groups among them."""
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            for member in error.exceptions:
                yield from _causes(member)
        error = error.__cause__ or error.__context__
