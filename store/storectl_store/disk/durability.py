"""What the standard library lacks of the file system: one barrier for many files, renames that never replace.

Linux gives ``syncfs`` and ``renameat2``, macOS ``F_FULLFSYNC`` and ``renamex_np``; ctypes reaches both. If the kernel
or the file system lacks them, slower calls with the same promise take their place.
"""

import ctypes
import errno
import fcntl
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from storectl_store.disk.descriptors import opened_folder
from storectl_store.errors import StoreError
from storectl_store.system_errors import reason_of, refusal_of

_AT_FDCWD = -100
_FEW_FOLDERS = 4
_RENAME_NOREPLACE = 1  # linux/fs.h
_RENAME_EXCHANGE = 2  # linux/fs.h; RENAME_SWAP of macOS is 2 as well
_RENAME_EXCL = 4  # sys/stdio.h on macOS
_UNSUPPORTED = frozenset({errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOTTY})


@contextmanager
def disk_errors(doing: str) -> Iterator[None]:
    """Raise an OSError of the block as StoreFullError (the disk's fault) or StoreError (anything else).

    ``doing`` says what the block does; it reads as in "cannot <doing>".
    """
    try:
        yield
    except OSError as error:
        raise store_error(error, doing) from error


def store_error(error: OSError, doing: str) -> StoreError:
    """The error of the store for this OSError: StoreFullError or StoreError. ``doing`` reads as in "cannot <doing>"."""
    refusal = refusal_of(error, doing)
    if refusal is not None:
        return refusal
    hint = "the store's folders must belong to you and be writable; `storectl doctor` looks at them"
    return StoreError(f"cannot {doing}: {reason_of(error)}", hint=hint, errno=error.errno, path=error.filename)


def barrier(folder: Path) -> bool:
    """Return when everything written to this folder's file system, or at least below the folder, is durable.

    True if it was all of the file system. Then the next barrier also makes durable what is renamed after this one, and
    modes, wherever that is.

    Raises OSError (EIO, ENOSPC, EDQUOT) if a write was lost. After an error it must not be called again for the same
    data: the kernel reports a lost write once and then forgets it.
    """
    if _syncs_all_around(folder):
        return True
    _sync_tree(folder)
    return False


def _synced_file_system(descriptor: int) -> bool:
    """Sync the file system with syncfs; false if syncfs is missing.

    It reports errors of earlier writes from Linux 5.8 on.
    """
    syncfs = _function("syncfs")
    if syncfs is None or not sys.platform.startswith("linux"):
        return False
    if syncfs(descriptor) == 0:
        return True
    return _refused(ctypes.get_errno())


def _sync_tree(folder: Path) -> None:
    """Sync every file and folder below this one, each on its own. It takes some ms a file."""
    for parent, _, names in os.walk(folder, onerror=_raise):
        for name in names:
            path = Path(parent, name)
            if stat.S_ISREG(path.lstat().st_mode):
                _sync(path)
        _sync(Path(parent))


def _raise(error: OSError) -> None:
    raise error


def fsync_folder(folder: Path) -> None:
    """Make the names in this folder, and its own mode, durable."""
    _sync(folder)


def fsync_folders(folders: Iterable[Path]) -> None:
    """Make the names in each of these folders, and its own mode, durable. All folders are on one file system.

    For more than a few, one syncfs does it. After the first fsync nothing is left to write for the other folders, yet
    each fsync would make the drive empty its cache again.
    """
    wanted = list(dict.fromkeys(folders))
    if len(wanted) > _FEW_FOLDERS and _syncs_all_around(wanted[0]):
        return
    for folder in wanted:
        fsync_folder(folder)


def _syncs_all_around(folder: Path) -> bool:
    """Sync all of the folder's file system with one call. Returns false if the system cannot."""
    with opened_folder(folder) as descriptor:
        return _synced_file_system(descriptor)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        sync_descriptor(descriptor)
    finally:
        os.close(descriptor)


def sync_descriptor(descriptor: int) -> None:
    """Make one open file durable. On macOS fsync stops at the drive's cache; F_FULLFSYNC goes through it."""
    full_sync = getattr(fcntl, "F_FULLFSYNC", None)
    if full_sync is None:
        os.fsync(descriptor)
        return
    try:
        fcntl.fcntl(descriptor, full_sync)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:  # a failure must not be asked about again
            raise
        os.fsync(descriptor)


def rename_noreplace(source: Path, destination: Path) -> None:
    """Rename atomically, unless something has the new name: then FileExistsError."""
    for rename in (_renameat2, _renamex_np):
        if rename(os.fsencode(source), os.fsencode(destination)):
            return
    _rename_without_flags(source, destination)


def exchange(one: Path, other: Path) -> None:
    """Let two files or folders on one file system change names, in one step if the system can."""
    for rename in (_renameat2, _renamex_np):
        if rename(os.fsencode(one), os.fsencode(other), _RENAME_EXCHANGE):
            return
    aside = other.with_name(f".{other.name}.aside")
    other.rename(aside)
    one.rename(other)
    aside.rename(one)


def _renameat2(source: bytes, destination: bytes, flags: int = _RENAME_NOREPLACE) -> bool:
    function = _function("renameat2")
    if function is None:
        return False
    if function(_AT_FDCWD, source, _AT_FDCWD, destination, ctypes.c_uint(flags)) == 0:
        return True
    return _refused(ctypes.get_errno(), source, destination)


def _renamex_np(source: bytes, destination: bytes, flags: int = _RENAME_EXCL) -> bool:
    function = _function("renamex_np")
    if function is None:
        return False
    if function(source, destination, ctypes.c_uint(flags)) == 0:
        return True
    return _refused(ctypes.get_errno(), source, destination)


def _refused(number: int, source: bytes | None = None, destination: bytes | None = None) -> bool:
    """Return false if the call is unknown here; raise OSError if it is known and failed."""
    if number in _UNSUPPORTED:
        return False
    raise OSError(number, os.strerror(number), source, None, destination)


def _rename_without_flags(source: Path, destination: Path) -> None:
    """Rename without replacing anything, with POSIX calls only. Raises FileExistsError if the name is taken.

    A folder: rename replaces nothing but an empty folder, which is never an entry, and fails for everything else. A
    file: link fails if the name is taken. A crash between link and unlink leaves a second name in ``tmp``, never a half
    file.
    """
    if not stat.S_ISDIR(source.lstat().st_mode):
        os.link(source, destination, follow_symlinks=False)
        source.unlink()
        return
    try:
        source.rename(destination)
    except OSError as error:
        if error.errno in {errno.ENOTEMPTY, errno.ENOTDIR, errno.EEXIST}:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(destination)) from error
        raise


@cache
def _function(name: str) -> Callable[..., Any] | None:
    """A function of the C library; None if the library lacks it."""
    function: Callable[..., Any] | None = getattr(ctypes.CDLL(None, use_errno=True), name, None)
    return function
