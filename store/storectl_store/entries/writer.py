"""The one writer of a store: a lock that its process holds, and a session folder for all that is not yet finished.

The lock is an open file description lock (``F_OFD_SETLK``) on a file that is never deleted. Unlike a POSIX lock it
belongs to the descriptor: two writers in one process exclude each other, and closing another descriptor of the file
does not drop it. If the platform lacks it (macOS), ``flock`` gives the same, except over NFS.

A session is ``tmp/<random>``. The lock is exclusive, so every session but the writer's own was left behind by a crash.
A worker process that outlives its writer knows no folder but its writer's session, which recovery moves away.
"""

import errno
import fcntl
import os
import secrets
import struct
import sys
import weakref
from pathlib import Path
from types import TracebackType
from typing import Self

from storectl_store.disk.durability import disk_errors
from storectl_store.entries.layout import StoreLayout
from storectl_store.entries.trash import delete_tree
from storectl_store.errors import StoreBusyError

_FLOCK = "hhqqi4x"  # struct flock of Linux: type, whence, start, length, pid; length 0 is the whole file


class Writer:
    """The held lock. ``session`` is this writer's folder in ``tmp``.

    Leaving the block deletes it and releases the lock.
    """

    def __init__(self, descriptor: int, lock: Path, session: Path) -> None:
        self.session = session
        self._lock = lock
        self._descriptor: int | None = descriptor
        _open_writers.add(self)

    @classmethod
    def acquire(cls, layout: StoreLayout) -> Self:
        """Become the writer at once.

        Raises StoreBusyError if another process is the writer; ``facts['owner']`` is its process id if known.
        """
        with disk_errors(f"lock the store {layout.root}"):
            descriptor = os.open(layout.lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                _lock(descriptor, layout)
                os.fchmod(descriptor, 0o600)
                _write_owner(descriptor, os.getpid())
                return cls(descriptor, layout.lock, _make_session(layout))
            except BaseException:
                os.close(descriptor)
                raise

    @property
    def lost(self) -> Path | None:
        """The lock file or the session folder, if it was deleted or replaced; None if both are as they were made.

        If one is lost, another process may become the writer.
        """
        try:
            if self._why_not_held(self._lock) is not None:
                return self._lock
        except OSError:
            return self._lock
        return None if self.session.exists() else self.session

    def problem(self, layout: StoreLayout) -> str | None:
        """Why the lock file is not the one that is held here, or does not name this process; None if all is well."""
        if (reason := self._why_not_held(layout.lock)) is not None:
            return reason
        assert self._descriptor is not None
        return None if os.pread(self._descriptor, 32, 0) == _owner_text(os.getpid()) else "it names another process"

    def _why_not_held(self, path: Path) -> str | None:
        """Why the file at this path is not the locked one; None if it is. Raises OSError if that cannot be seen."""
        if self._descriptor is None:
            return "nobody holds it"
        try:
            same = os.path.samestat(os.lstat(path), os.fstat(self._descriptor))
        except FileNotFoundError:
            return "it is gone"
        return None if same else "it is another file than the one that is held"

    def renew(self, layout: StoreLayout) -> None:
        """Hold the lock file that is there now, made if missing, and write this process's id into it.

        Raises StoreBusyError if another process holds it, StoreError if it cannot be made.
        """
        with disk_errors(f"lock the store {layout.root}"):
            descriptor = os.open(layout.lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                if self._descriptor is None or not os.path.samestat(os.fstat(descriptor), os.fstat(self._descriptor)):
                    _lock(descriptor, layout)
                os.fchmod(descriptor, 0o600)
                _write_owner(descriptor, os.getpid())
            except BaseException:
                os.close(descriptor)
                raise
            self._keep(descriptor)

    def _keep(self, descriptor: int) -> None:
        """Hold this descriptor from now on. An open file description keeps its lock when another one is closed."""
        held = self._descriptor
        if held is not None and os.path.samestat(os.fstat(descriptor), os.fstat(held)):
            os.close(descriptor)
            return
        self._descriptor = descriptor
        if held is not None:
            os.close(held)

    def close(self) -> None:
        """Delete the session folder and release the lock. A second call does nothing."""
        if self._descriptor is None:
            return
        descriptor, self._descriptor = self._descriptor, None
        _open_writers.discard(self)
        try:
            delete_tree(self.session)
            _write_owner(descriptor, None)
        finally:
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _forget_in_child(self) -> None:
        """Close the copy that a fork made: a child that outlives its parent must not keep the store locked."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


_open_writers: weakref.WeakSet[Writer] = weakref.WeakSet()


def _forget_all_in_child() -> None:
    for writer in list(_open_writers):
        writer._forget_in_child()  # noqa: SLF001 - the registry is part of the class
    _open_writers.clear()


os.register_at_fork(after_in_child=_forget_all_in_child)


def _make_session(layout: StoreLayout) -> Path:
    session = layout.tmp / secrets.token_hex(8)
    session.mkdir()
    session.chmod(0o700)
    return session


def _lock(descriptor: int, layout: StoreLayout) -> None:
    try:
        if not _locked_description(descriptor):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:
        raise _busy(descriptor, layout) from error


def _locked_description(descriptor: int) -> bool:
    """Take the open file description lock.

    Returns false if the kernel has none; raises OSError if another writer holds it.
    """
    if sys.platform != "linux" or not hasattr(fcntl, "F_OFD_SETLK"):
        return False
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
    except OSError as error:
        if error.errno == errno.EINVAL:  # before Linux 3.15, and in some sandboxes
            return False
        raise
    return True


def _busy(descriptor: int, layout: StoreLayout) -> StoreBusyError:
    text = os.pread(descriptor, 32, 0).strip()
    owner = int(text) if text.isdigit() else None
    who = "another process" if owner is None else f"process {owner}"
    kill = "" if owner is None else f" (if no command finds it: kill {owner})"
    return StoreBusyError(
        f"the store {layout.root} is being written by {who}",
        hint=f"let the daemon do it (`storectl daemon status`), or stop it first{kill}; "
        "if it runs in another container "
        "or on another machine, stop it there, or take another store (STORECTL_STORE)",
        owner=owner,
    )


def _write_owner(descriptor: int, pid: int | None) -> None:
    """Write the holder's process id into the lock file, for people and programs. The lock itself is what counts."""
    os.ftruncate(descriptor, 0)
    if pid is not None:
        os.pwrite(descriptor, _owner_text(pid), 0)


def _owner_text(pid: int) -> bytes:
    return f"{pid}\n".encode()
