"""Files as they were at one moment, although other programs may write or replace them at any time."""

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from storectl_store.errors import LockFileError
from storectl_store.system_errors import refusal_of

MAX_BYTES = 32 * 1024 * 1024
"""Most bytes of a lock file, or of another input of a selection, that are read."""

_ATTEMPTS = 5


class Snapshot(NamedTuple):
    """All bytes of a file, and its modification time in ns."""

    content: bytes
    mtime_ns: int


def read_snapshot(path: Path) -> Snapshot | None:
    """The regular file at this path; None if there is none.

    Raises LockFileError if something else is there, or if it cannot be read, is too large, or keeps changing. Raises
    StoreFullError if the system refuses to open or read any file.
    """
    for _ in range(_ATTEMPTS):
        try:
            found = _read_once(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError) as error:
            refusal = refusal_of(error, f"read {path}")
            if refusal is not None:
                raise refusal from error
            reason = error.strerror if isinstance(error, OSError) else "not a possible path"
            raise LockFileError(f"{path}: cannot be read: {reason}", path=str(path)) from error
        if found is not None:
            return found
    raise LockFileError(f"{path}: keeps changing while it is read", hint="try again when it is written", path=str(path))


def content_at(path: Path) -> bytes | None:
    """The content of the regular file at this path; None if there is none. Errors are those of ``read_snapshot``."""
    found = read_snapshot(path)
    return None if found is None else found.content


def _read_once(path: Path) -> Snapshot | None:
    """The file; None if it changed or was replaced meanwhile.

    It is opened without blocking, so that a FIFO under the name of a lock file cannot hold us.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    before = os.fstat(descriptor)
    if not stat.S_ISREG(before.st_mode):
        os.close(descriptor)  # no file object can be made of a folder, which would close it
        raise LockFileError(f"{path}: not a regular file", path=str(path))
    with open(descriptor, "rb", buffering=0, closefd=True) as stream:
        if before.st_size > MAX_BYTES:
            raise LockFileError(f"{path}: {before.st_size} bytes, more than {MAX_BYTES}", path=str(path))
        content = _read_up_to(stream.read, MAX_BYTES + 1)
        unchanged = _state(before) == _state(os.fstat(descriptor)) == _state(os.stat(path))
    return Snapshot(content, before.st_mtime_ns) if unchanged and len(content) == before.st_size else None


def _read_up_to(read: Callable[[int], bytes | None], limit: int) -> bytes:
    chunks: list[bytes] = []
    while limit > 0 and (chunk := read(min(limit, 1 << 20))):
        chunks.append(chunk)
        limit -= len(chunk)
    return b"".join(chunks)


def _state(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
