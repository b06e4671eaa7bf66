"""A file while it arrives: written and hashed in large pieces, in threads, beside the event loop."""

import asyncio
import hashlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Self, TypeVar

from storectl_store.digest import Digest
from storectl_store.disk.durability import store_error
from storectl_store.errors import StoreError

T = TypeVar("T")

_PIECE = 1 << 20
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class PartialFile:
    """A new file at ``path``; it must not exist. As a context manager it removes the file unless ``keep`` was called.

    ``received`` counts the bytes given to ``append`` since the last ``restart``; the digests are of exactly those:
    sha256, and the other ``algorithms``. StoreFullError or StoreError if the file system refuses a write.
    """

    def __init__(self, path: Path, algorithms: Iterable[str] = ()) -> None:
        self.path = path
        self.received = 0
        self._hashes = {algorithm: hashlib.new(algorithm) for algorithm in ("sha256", *algorithms)}
        self._pieces: list[bytes] = []
        self._waiting = 0
        self._descriptor = -1
        self._kept = False

    def __enter__(self) -> Self:
        try:
            self._descriptor = os.open(self.path, _FLAGS, 0o600)
        except OSError as error:
            raise _refused(self.path, error) from error
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)
        self._descriptor = -1
        if not self._kept:
            self.path.unlink(missing_ok=True)

    async def append(self, data: bytes) -> None:
        """Add these bytes at the end."""
        self.received += len(data)
        self._pieces.append(data)
        self._waiting += len(data)
        if self._waiting >= _PIECE:
            await self.flush()

    async def flush(self) -> None:
        """Write and hash what is still in memory."""
        if self._pieces:
            pieces, self._pieces, self._waiting = self._pieces, [], 0
            await finished_in_thread(lambda: self._write(pieces))

    async def restart(self) -> None:
        """Forget everything received so far."""
        self._pieces.clear()
        self._waiting = 0
        if self.received:
            await finished_in_thread(self._truncate)
        self.received = 0
        self._hashes = {algorithm: hashlib.new(algorithm) for algorithm in self._hashes}

    async def digest(self, algorithm: str = "sha256") -> Digest:
        """The digest of all bytes so far, by sha256 or one of the other algorithms."""
        await self.flush()
        return Digest(f"{algorithm}:{self._hashes[algorithm].hexdigest()}")

    def keep(self) -> None:
        """The file is complete: do not remove it at the end of the block."""
        self._kept = True

    def _write(self, pieces: list[bytes]) -> None:
        try:
            for piece in pieces:
                for digest in self._hashes.values():
                    digest.update(piece)
                written = os.write(self._descriptor, piece)
                while written < len(piece):  # a signal or a nearly full disk cuts a write short
                    written += os.write(self._descriptor, memoryview(piece)[written:])
        except OSError as error:
            raise _refused(self.path, error) from error

    def _truncate(self) -> None:
        try:
            os.ftruncate(self._descriptor, 0)
            os.lseek(self._descriptor, 0, os.SEEK_SET)
        except OSError as error:
            raise _refused(self.path, error) from error


async def finished_in_thread(work: Callable[[], T]) -> T:
    """The value of ``work``, run in a thread. If the caller is cancelled, it still waits for the thread.

    A thread cannot be stopped. If it were left behind, it would write to a descriptor that is closed by then, or that
    already belongs to another file.
    """
    task = asyncio.ensure_future(asyncio.to_thread(work))
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        task.exception()  # seen; the cancellation is what counts
        raise cancelled
    return task.result()


def _refused(path: Path, error: OSError) -> StoreError:
    return store_error(error, f"write {path.name}")
