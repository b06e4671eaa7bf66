"""Downloads: one wheel into one file, over as many connections as it takes; or a copy, if its address is a local one.

The bytes are hashed while they arrive. They are compared with the lock file before anything can read the file.

If a transfer breaks, the next try continues it, provided that the server gives the same strong ETag again (RFC 9110,
13.1.5 and 14). Otherwise the next try starts from the beginning. In either case the digest over all bytes decides.
"""

import asyncio
import errno
import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self, TypeVar

import httpx2

from storectl_daemon.errors import FetchError
from storectl_daemon.network.address import Address
from storectl_daemon.network.exchange import FetchLimits, body_of, broken, content_length, refusal
from storectl_store.digest import Digest, algorithm_of
from storectl_store.disk.durability import disk_errors
from storectl_store.errors import WheelError
from storectl_store.selection.pin import WheelFile

T = TypeVar("T")

Progress = Callable[[int], None]
"""Gets the number of bytes received so far; a restart makes it smaller."""

Answer = Callable[[Address, Mapping[str, str]], AbstractAsyncContextManager[httpx2.Response]]
"""Asks for an address with these headers: ``exchange.answer`` with the connections and logins of one command."""

_PIECE = 1 << 20
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(?:\d+|\*)")


class PartialFile:
    """A new file at ``path``, which must not exist. A context manager: it removes the file unless ``keep`` was called.

    The file is written and hashed in large pieces, in threads, beside the event loop.
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
        with disk_errors(f"write {self.path.name}"):
            self._descriptor = os.open(self.path, _FLAGS, 0o600)
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
            await _finished_in_thread(lambda: self._write(pieces))

    async def restart(self) -> None:
        """Forget everything received so far."""
        self._pieces.clear()
        self._waiting = 0
        if self.received:
            await _finished_in_thread(self._truncate)
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
        with disk_errors(f"write {self.path.name}"):
            for piece in pieces:
                for digest in self._hashes.values():
                    digest.update(piece)
                written = os.write(self._descriptor, piece)
                while written < len(piece):  # a signal or a nearly full disk cuts a write short
                    written += os.write(self._descriptor, memoryview(piece)[written:])

    def _truncate(self) -> None:
        with disk_errors(f"write {self.path.name}"):
            os.ftruncate(self._descriptor, 0)
            os.lseek(self._descriptor, 0, os.SEEK_SET)


async def _finished_in_thread(work: Callable[[], T]) -> T:
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


@dataclass(slots=True, kw_only=True)
class Download:
    """One download between its tries: the file so far, and the ETag that its bytes belong to."""

    wheel: WheelFile
    url: Address
    file: PartialFile
    answer: Answer
    limits: FetchLimits
    progress: Progress
    etag: str | None = None
    resumed: bool = False

    async def attempt(self) -> None:
        """One try. Raises TransientError if another try may succeed.

        Raises WheelError E_HASH if the bytes are not the locked ones.
        """
        headers = await self._range_headers()
        async with self.answer(self.url, headers) as response:
            await self._begin(response)
            await self._receive(response)
            length = content_length(response.headers)
        await self._finish(complete=length is not None)

    async def _range_headers(self) -> Mapping[str, str]:
        if self.file.received and self.etag is not None:
            return {"Range": f"bytes={self.file.received}-", "If-Range": self.etag}
        await self.file.restart()
        return {}

    async def _begin(self, response: httpx2.Response) -> None:
        """Read the head of an answer: go on, or start anew."""
        if response.status_code == 206:
            self._continue(response)
        elif response.status_code == 200:
            await self.file.restart()
            self.resumed = False
            self.etag = _strong_etag(response.headers)
        else:
            raise self._refusal(response)

    def _continue(self, response: httpx2.Response) -> None:
        match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        same = self.etag is not None and _strong_etag(response.headers) == self.etag
        if not (same and match and int(match[1]) == self.file.received):
            self.etag = None
            raise broken(self.url, "answered with another part of the file than it was asked for")
        self.resumed = True

    def _refusal(self, response: httpx2.Response) -> Exception:
        if response.status_code == 416 and self.etag is not None:
            self.etag = None
            return broken(self.url, "no longer has the part of the file that is missing")
        return refusal(response.status_code, response.headers, self.url)

    async def _receive(self, response: httpx2.Response) -> None:
        room = _size_limit(self.wheel, self.limits) - self.file.received
        too_large = partial(_too_large, self.wheel, self.limits)
        async for chunk in body_of(response, self.url, self.limits, room=room, too_large=too_large):
            await self.file.append(chunk)
            self.progress(self.file.received)

    async def _finish(self, *, complete: bool) -> None:
        """Compare the file with the lock file. ``complete`` is true if the server stated the length of the body."""
        size = self.wheel.size
        if size is not None and self.file.received < size and not complete:
            raise broken(self.url, f"ended after {self.file.received} of {size} bytes")
        try:
            await _check_received(self.wheel, self.file)
        except WheelError as error:
            if not self.resumed:
                raise
            # The two halves may be of different files. So the file is fetched once more from its beginning.
            self.etag = None
            raise broken(self.url, "changed during the download") from error


async def copy_local(wheel: WheelFile, file: PartialFile, limits: FetchLimits, progress: Progress) -> None:
    """Copy the local file that a ``file:`` address names. Raises WheelError E_HASH if it is not the locked one."""
    url = Address(wheel.url)
    descriptor = await _finished_in_thread(partial(_open_regular, url.path, url))
    try:
        while piece := await _finished_in_thread(lambda: os.read(descriptor, _PIECE)):
            if file.received + len(piece) > _size_limit(wheel, limits):
                raise _too_large(wheel, limits)
            await file.append(piece)
            progress(file.received)
    except OSError as error:
        raise _unreadable(url, error) from error
    finally:
        os.close(descriptor)
    await _check_received(wheel, file)


async def _check_received(wheel: WheelFile, file: PartialFile) -> None:
    """Raise WheelError E_HASH unless the file has the locked size and one of the locked digests."""
    if wheel.size is not None and file.received != wheel.size:
        sizes = {"expected_size": wheel.size, "got_size": file.received}
        raise _not_locked(wheel, f"has {file.received} bytes, {wheel.size} are locked", **sizes)
    got = [await file.digest(algorithm) for algorithm in locked_algorithms(wheel)]
    allowed = wheel.one_of or {wheel.digest}
    if allowed.isdisjoint(got):
        expected = wheel.digest if len(allowed) == 1 else f"one of {len(allowed)} others"
        what = f"has digest {' and '.join(got)}, {expected} is locked"
        raise _not_locked(wheel, what, expected=wheel.digest, got=" ".join(got))


def locked_algorithms(wheel: WheelFile) -> list[str]:
    """The algorithms of the digests that the lock file has for this wheel."""
    return sorted({algorithm_of(digest) for digest in wheel.one_of or {wheel.digest}})


def _size_limit(wheel: WheelFile, limits: FetchLimits) -> int:
    """The largest number of bytes that a body of this wheel may have."""
    return limits.largest_wheel if wheel.size is None else min(wheel.size, limits.largest_wheel)


def _too_large(wheel: WheelFile, limits: FetchLimits) -> WheelError:
    """The error for a body with at least one byte more than allowed."""
    limit = _size_limit(wheel, limits)
    what = "are locked" if wheel.size == limit else "are the most a wheel may have"
    return _not_locked(wheel, f"has more than {limit} bytes, which {what}", expected_size=limit)


def _not_locked(wheel: WheelFile, what: str, **facts: object) -> WheelError:
    return WheelError(
        f"{wheel.filename} {what}",
        code="E_HASH",
        hint="the file is not the one that was locked: lock again if that is expected, else distrust the index",
        filename=wheel.filename,
        url=str(Address(wheel.url)),
        **facts,
    )


def _strong_etag(headers: httpx2.Headers) -> str | None:
    """The ETag; None if there is none, or if it is a weak one (RFC 9110, 8.8.3)."""
    etag = headers.get("ETag", "")
    return etag if etag.startswith('"') and etag.endswith('"') and len(etag) > 2 else None


def _open_regular(path: Path, url: Address) -> int:
    """A descriptor to read the file with. O_NONBLOCK keeps a FIFO from blocking here; for a file it has no effect."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _unreadable(url, error) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _unreadable(url, OSError(errno.EINVAL, "not a regular file"))
    return descriptor


def _unreadable(url: Address, error: OSError) -> FetchError:
    return FetchError(f"{url} cannot be read: {error.strerror}", hint="put the file back, or lock again", url=str(url))
