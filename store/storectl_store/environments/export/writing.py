"""How the files of an export get their bytes: by shared blocks, a copy, or a hard link."""

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

from storectl_store.environments.export.contents import ExportedFile
from storectl_store.errors import ExportError
from storectl_store.system_errors import reason_of, refusal_of

Told = Callable[[int], None]
"""Called with the number of files that have just been written. An exception from it ends the export."""

_WHOLE = 1 << 17  # bytes; a smaller file is read and written in one piece
_PIECE = 1 << 24  # bytes
_FICLONE = 0x40049409  # ioctl of Linux: share the blocks of another file until one of the two is written
_CANNOT_SHARE = frozenset({errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS})
_CANNOT_LINK = frozenset({errno.EXDEV, errno.EMLINK, errno.EPERM, errno.EOPNOTSUPP})
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Method(StrEnum):
    """AUTO shares blocks if the file system can, and copies otherwise; REFLINK fails if it cannot."""

    AUTO = "auto"
    COPY = "copy"
    REFLINK = "reflink"
    HARDLINK = "hardlink"


@contextmanager
def writing_errors(place: Path) -> Iterator[None]:
    """Raise an OSError of the block as StoreFullError (the disk's fault) or ExportError (anything else)."""
    try:
        yield
    except OSError as error:
        doing = f"export to {place}"
        refusal = refusal_of(error, doing)
        if refusal is not None:
            raise refusal from error
        hint = "name a place that you may write; the folders above it are made"
        raise ExportError(f"cannot {doing}: {reason_of(error)}", hint=hint, path=str(place)) from error


def write_file(target: str, file: ExportedFile, method: Method, mode: int) -> None:
    """Write the new file ``target``. A hard link has the mode of the entry's file. May raise OSError or ExportError."""
    if method is Method.HARDLINK and file.of_entry:
        _link(file.source, target)
        return
    descriptor = os.open(target, _NEW_FILE, 0o600)
    try:
        if file.made or (file.size <= _WHOLE and method is not Method.REFLINK):
            _write(descriptor, file.read())
        else:
            _copy(file.source, descriptor, method)
        os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in _CANNOT_LINK:
            raise
        raise ExportError(
            f"{target} cannot be a hard link into the store: {reason_of(error)}",
            hint="hard links need the file system of the store; use --reflink or --copy",
        ) from error


def _copy(path: str, target: int, method: Method) -> None:
    source = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if method is Method.COPY or not _share_blocks(source, target, must=method is Method.REFLINK):
            while piece := os.read(source, _PIECE):
                _write(target, piece)
    finally:
        os.close(source)


def _share_blocks(source: int, target: int, *, must: bool) -> bool:
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as error:
        if error.errno not in _CANNOT_SHARE:
            raise
        if must:
            hint = "btrfs, XFS and a few others can, within one file system; without --reflink files are copied"
            raise ExportError("this file system cannot share blocks between files", hint=hint) from error
        return False
    return True


def _write(descriptor: int, data: bytes) -> None:
    written = os.write(descriptor, data)
    while written < len(data):  # a nearly full disk cuts a write short
        written += os.write(descriptor, data[written:])
