"""Bringing: a wheel that a user's daemon has fetched already is sent as the body of a request.

The bytes are hashed as they come. They are taken only if an index of the policy lists a file of this name with this
sha256, which anybody could have fetched then: so nothing private, and nothing of a user's own making, gets into the
store. An admin may bring any wheel; that is how what was built is given to all.
"""

import asyncio
import os
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from storectl_daemon.entries.pipeline import ByteProgress, FetchedFile
from storectl_daemon.errors import DaemonError, FetchError
from storectl_daemon.jobs.progress import Progress
from storectl_daemon.models import WarmEvent
from storectl_daemon.network.download import PartialFile
from storectl_daemon.node.ensuring import Ensuring
from storectl_daemon.node.messages import WheelWanted
from storectl_daemon.node.network import NodeNetwork
from storectl_daemon.node.quota import Quotas
from storectl_store.digest import Digest
from storectl_store.entries.store import Store
from storectl_store.errors import WheelError
from storectl_store.selection.pin import WheelFile

_SILENCE_SECONDS = 10.0
_WHOLE_SECONDS = 1800.0

Chunks = Callable[[], Awaitable[tuple[bytes, bool]]]
"""The next bytes of a body, and whether more come."""


class PrivateWheelError(DaemonError):
    """No index of this store lists the wheel; ``facts['filename']``."""

    default_code = "E_PRIVATE"
    default_hint = "it stays in your own store; an admin may bring it"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Brought:
    digest: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Bringing:
    """Takes wheels. ``session`` is a folder of this process, on the file system of the store; ``largest`` in bytes."""

    store: Store
    ensuring: Ensuring
    network: NodeNetwork
    quotas: Quotas
    session: Path
    largest: int

    async def bring(self, uid: int, wheel: WheelWanted, chunks: Chunks, *, trusted: bool) -> None:
        """Make an entry of the wheel in the body. Raises a ProblemError if it is not taken.

        ``wheel.size`` is what the head of the request says. Unless ``trusted``, an index has to list the wheel.
        """
        digest = Digest(wheel.digest)
        if await asyncio.to_thread(self.store.usable_manifest, digest) is not None:
            return
        if wheel.size is None or wheel.size > self.largest:
            raise FetchError(
                f"{wheel.filename} has {wheel.size} bytes, of {self.largest} that a wheel may have",
                code="E_REQUEST",
                hint="say its length in the head of the request",
            )
        if not trusted and not await self.network.attests(wheel.filename, digest):
            raise PrivateWheelError(f"no index of this store lists {wheel.filename} with this digest")
        path = self.session / f"{secrets.token_hex(8)}.brought"
        try:
            with self.quotas.room(uid, wheel.size) as count:
                await _receive(path, wheel, chunks, count)
            await self.ensuring.enter(uid, wheel, _Moved(path, digest), Progress(_unheard))
        finally:
            path.unlink(missing_ok=True)


class _Moved:
    """A fetch that has happened: the file is moved to where it is wanted."""

    def __init__(self, path: Path, digest: Digest) -> None:
        self._path = path
        self._digest = digest

    async def __call__(self, wheel: WheelFile, destination: Path, *, progress: ByteProgress) -> FetchedFile:
        del wheel, progress  # both are known
        await asyncio.to_thread(os.rename, self._path, destination)
        return _Brought(digest=self._digest)


async def _receive(path: Path, wheel: WheelWanted, chunks: Chunks, count: ByteProgress) -> None:
    """Write the body into a new file. Raises FetchError if it does not come, WheelError if it is another wheel."""
    try:
        async with asyncio.timeout(_WHOLE_SECONDS):
            with PartialFile(path) as file:
                more = True
                while more:
                    async with asyncio.timeout(_SILENCE_SECONDS):
                        data, more = await chunks()
                    if file.received + len(data) > (wheel.size or 0):
                        raise FetchError(f"{wheel.filename} has more bytes than the request said", code="E_REQUEST")
                    await file.append(data)
                    count(file.received)
                if await file.digest() != wheel.digest:
                    raise WheelError(f"{wheel.filename} is another file than the one that was named", code="E_HASH")
                file.keep()
    except TimeoutError:
        raise FetchError(f"{wheel.filename} did not arrive in time", code="E_REQUEST", hint="try again") from None


def _unheard(_event: WarmEvent) -> None:
    """Tell nobody: the answer says all."""
