"""Whether a folder can be changed only by accounts that are trusted: then its files may decide what runs.

A folder that another user could write, or replace by another one, says nothing of who wrote what is in it. So each
folder on the way counts, not only the last.
"""

import os
import stat
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from storectl_store.errors import UntrustedLayerError
from storectl_store.system_errors import reason_of

OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH

OVERFLOW_UID = 65534
"""The usual ``overflow_uid``."""


def check_trusted(path: Path, owners: Collection[int]) -> None:
    """Raise UntrustedLayerError unless only these owners, or root, can change what is at this absolute path.

    It and every folder above must belong to one of them. Nobody else may write there, except in a folder above that is
    sticky (``/tmp``), whose entries only their owners can replace. A path with a symbolic link in it is refused:
    environments name the files behind it by this path. If it cannot be looked at, that is refused, too.
    """
    try:
        real = os.path.realpath(path, strict=True)
        if real != str(path):
            raise _untrusted(path, "a symbolic link is in its path", hint=f"name it by its own path: {real}")
        for folder in (path, *path.parents):
            _check(path, folder, owners)
    except OSError as error:
        raise _untrusted(path, reason_of(error), hint="the layer must be there and readable") from error


def overflow_uid() -> int:
    """The uid by which all accounts show that a user namespace does not know: nobody can tell whose it is."""
    with suppress(OSError, ValueError):
        return int(Path("/proc/sys/kernel/overflowuid").read_text())
    return OVERFLOW_UID


def is_kept(status: os.stat_result, owners: Collection[int]) -> bool:
    """Whether this file or folder (``lstat``) belongs to one of them or root, and nobody else may write it.

    A symbolic link is never kept: what it leads to is elsewhere.
    """
    owned = status.st_uid == 0 or status.st_uid in owners
    return owned and not stat.S_ISLNK(status.st_mode) and not status.st_mode & OTHERS_WRITE


def _check(path: Path, folder: Path, owners: Collection[int]) -> None:
    status = os.lstat(folder)
    if status.st_uid != 0 and status.st_uid not in owners:
        raise _untrusted(
            path,
            f"{folder} belongs to user {status.st_uid}",
            hint="say in its settings whose it is (owner), if you trust that account: docs/many-users.md",
        )
    sticky = folder != path and status.st_mode & stat.S_ISVTX
    if status.st_mode & OTHERS_WRITE and not sticky:
        raise _untrusted(path, f"others may write in {folder}", hint=f"its owner can: chmod go-w {folder}")


def _untrusted(path: Path, reason: str, *, hint: str) -> UntrustedLayerError:
    return UntrustedLayerError(f"the layer {path} is not used: {reason}", hint=hint, path=str(path))
