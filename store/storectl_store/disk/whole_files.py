"""Small files that change as a whole: a reader finds the old content or the new one, never a part of either.

    .tmp-<16 hex digits>    a file before it is renamed to its name beside it; only a crash leaves it behind

Mostly nothing is synced: what is written like this can be made again.
"""

import os
import secrets
from contextlib import suppress
from pathlib import Path

from storectl_store.disk.durability import fsync_folder, sync_descriptor

PRIVATE = 0o600
"""The mode of a file that only its owner may read."""

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def replace_file(
    path: Path, content: bytes, *, mode: int = 0o666, mtime_ns: int | None = None, synced: bool = False
) -> None:
    """Replace the file's content in one step, and set its modification time to ``mtime_ns`` (ns) if given.

    ``mode`` is what the file may have at most: the umask takes from it. If ``synced``, no power cut takes it away once
    this has returned. Raises OSError if the disk refuses.
    """
    stage = path.with_name(f".tmp-{secrets.token_hex(8)}")
    try:
        with open(os.open(stage, _NEW_FILE, mode), "wb") as stream:
            stream.write(content)
            if synced:
                stream.flush()
                sync_descriptor(stream.fileno())
        if mtime_ns is not None:
            os.utime(stage, ns=(mtime_ns, mtime_ns))
        stage.rename(path)
    except BaseException:
        with suppress(OSError):
            stage.unlink()
        raise
    if synced:
        fsync_folder(path.parent)


def read_unnoticed(path: Path) -> bytes:
    """All bytes of a file, without a new access time if the system can: that would tell of a use by a program.

    Raises OSError if it cannot be read.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags | getattr(os, "O_NOATIME", 0))
    except PermissionError:  # the file is another user's
        descriptor = os.open(path, flags)
    with open(descriptor, "rb") as stream:
        return stream.read()
