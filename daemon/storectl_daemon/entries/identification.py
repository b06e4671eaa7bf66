"""Identification: the sha256 of files that a lock file or an index knows by another digest.

Such a file is fetched. Its locked digest is checked while it arrives, and its sha256 is counted; from then on the store
knows the file by that. The catalogue remembers both digests, so the file is fetched only once. If the catalogue is
lost, the file is fetched again.
"""

import asyncio
import contextlib
import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from storectl_daemon.entries.pipeline import Fetch, FetchedFile
from storectl_daemon.errors import FetchError, OfflineError
from storectl_daemon.process.single_flight import SingleFlight
from storectl_store.digest import Digest, is_sha256, parse_digest
from storectl_store.entries.catalogue import Catalogue
from storectl_store.selection.pin import GitCommit, Pin, SourceArchive, SourcePin, WheelFile

F = TypeVar("F", WheelFile, SourceArchive)

_KIND = "sha256 of the file with this digest"


@dataclass(frozen=True, slots=True, kw_only=True)
class _IdentifiedFile:
    """A file that was fetched to be identified. ``digest`` is its sha256."""

    path: Path
    digest: Digest


class Identification:
    """Gives pins the sha256 of their files. ``session`` is a folder of this process alone. Shared by all commands.

    A file that had to be fetched for this stays in ``session`` until ``hand_over`` takes it.
    """

    def __init__(self, catalogue: Catalogue, *, session: Path) -> None:
        self._catalogue = catalogue
        self._session = session
        self._fetched: dict[Digest, _IdentifiedFile] = {}
        self._flights: SingleFlight[Digest, Digest] = SingleFlight()
        self._numbers = itertools.count()

    async def pins(self, pins: Sequence[Pin], fetch: Fetch, *, offline: bool) -> tuple[Pin, ...]:
        """These pins, in their order, every wheel with its sha256. ``fetch`` fetches on behalf of the caller.

        Raises WheelError E_HASH for a file that has no locked digest, OfflineError for one that would have to be
        fetched.
        """
        wheels = await asyncio.gather(*(self._identified(pin.wheel, fetch, offline=offline) for pin in pins))
        return tuple(
            pin if pin.wheel is wheel else replace(pin, wheel=wheel) for pin, wheel in zip(pins, wheels, strict=True)
        )

    async def source_pins(self, pins: Sequence[SourcePin], fetch: Fetch, *, offline: bool) -> tuple[SourcePin, ...]:
        """These pins, in their order, every archive with its sha256. Raises the errors of ``pins``."""
        return tuple(await asyncio.gather(*(self._source_pin(pin, fetch, offline=offline) for pin in pins)))

    async def hand_over(self, wheel: WheelFile, destination: Path) -> FetchedFile | None:
        """The file that was fetched to identify this wheel, moved to ``destination``; None if there is none."""
        fetched = self._fetched.pop(wheel.digest, None)
        if fetched is None:
            return None
        with contextlib.suppress(OSError):
            await asyncio.to_thread(os.rename, fetched.path, destination)
            return fetched
        return None

    async def _source_pin(self, pin: SourcePin, fetch: Fetch, *, offline: bool) -> SourcePin:
        if isinstance(pin.source, GitCommit):
            return pin
        source = await self._identified(pin.source, fetch, offline=offline)
        return pin if source is pin.source else replace(pin, source=source)

    async def _identified(self, file: F, fetch: Fetch, *, offline: bool) -> F:
        if is_sha256(file.digest) and not file.one_of:
            return file
        key = _key(file)
        known = await asyncio.to_thread(self._catalogue.get_many, _KIND, [key])
        if key in known:
            digest = parse_digest(known[key].decode())
        elif offline and not file.url.startswith("file:"):
            raise OfflineError(
                f"{file.filename} was never fetched, and only {file.digest.partition(':')[0]} is known of it",
                hint="warm the project once without --offline",
                filename=file.filename,
            )
        else:
            digest = await self._counted(key, file, fetch)
        return replace(file, digest=digest, one_of=frozenset())

    async def _counted(self, key: Digest, file: WheelFile | SourceArchive, fetch: Fetch) -> Digest:
        """The sha256 of the file, fetched by any caller. If another caller's fetch fails, this caller tries its own."""
        tried: list[Fetch] = []

        async def count() -> Digest:
            tried.append(fetch)
            return await self._count(key, file, fetch)

        while True:
            try:
                return await self._flights.do(key, count)
            except FetchError:
                if tried:
                    raise

    async def _count(self, key: Digest, file: WheelFile | SourceArchive, fetch: Fetch) -> Digest:
        """Fetch the file, and count its sha256."""
        path = self._session / f"identified.{next(self._numbers)}"
        wanted = WheelFile(filename=file.filename, digest=file.digest, url=file.url, size=file.size, one_of=file.one_of)
        digest = (await fetch(wanted, path, progress=lambda _count: None)).digest
        before = self._fetched.pop(digest, None)
        self._fetched[digest] = _IdentifiedFile(path=path, digest=digest)
        if before is not None:
            await asyncio.to_thread(os.unlink, before.path)
        await asyncio.to_thread(self._catalogue.put, _KIND, {key: digest.encode()})
        return digest


def _key(file: WheelFile | SourceArchive) -> Digest:
    """The file's name in the catalogue: its digest, or if it has one of several, its file name and all of these."""
    return Digest(" ".join([file.filename, *sorted(file.one_of)])) if file.one_of else file.digest
