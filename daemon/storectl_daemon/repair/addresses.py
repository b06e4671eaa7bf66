"""Addresses at which a wheel can be fetched again: from the lock files of projects, then from the indexes."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import NormalizedName

from storectl_daemon.indexes.url_book import UrlBook
from storectl_daemon.jobs.options import Job
from storectl_daemon.network.address import Address
from storectl_store.digest import Digest
from storectl_store.errors import ProblemError
from storectl_store.selection.choose import parsed_filename
from storectl_store.selection.pin import Pin, WheelFile

logger = logging.getLogger(__name__)

PinsOf = Callable[[Job], Awaitable[Sequence[Pin]]]
"""The wheels that the lock file of a job selects. Raises a ProblemError if they cannot be found out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelAddress:
    """A wheel, and the job that may fetch it, with the settings and logins of its project."""

    pin: Pin
    job: Job


class Addresses:
    """The addresses known during one repair. The lock files are read once, when the first wheel is asked for.

    If no lock file names a wheel, but an index has told of it, the job ``otherwise`` fetches it.
    """

    def __init__(self, urls: Path, *, jobs: Iterable[Job], otherwise: Job, pins_of: PinsOf) -> None:
        self._urls = urls
        self._book = UrlBook(urls)
        self._jobs = list(jobs)
        self._otherwise = otherwise
        self._pins_of = pins_of
        self._locked: dict[Digest, WheelAddress] | None = None

    async def of(self, digest: Digest, names: Sequence[str]) -> list[WheelAddress]:
        """The wheel with this digest, at every known address.

        ``names`` are the projects that the wheel may be of. If there are none, the addresses of all projects are
        searched.
        """
        if self._locked is None:
            self._locked = await self._read_lock_files()
        locked = self._locked.get(digest)
        job = locked.job if locked else self._otherwise
        told = [WheelAddress(pin=pin, job=job) for pin in await asyncio.to_thread(self._told, digest, names)]
        found = [*([locked] if locked else []), *told]
        return [each for each in found if not each.job.offline or Address(each.pin.wheel.url).is_file]

    def _told(self, digest: Digest, names: Sequence[str]) -> list[Pin]:
        books = names or sorted(path.stem for path in self._urls.glob("*.json"))
        files = [(name, self._book.address(NormalizedName(name), digest)) for name in books]
        return [
            Pin(
                name=NormalizedName(name),
                version=str(parsed[1]),
                wheel=WheelFile(filename=file.filename, digest=digest, url=file.url, size=file.size),
            )
            for name, file in files
            if file is not None and (parsed := parsed_filename(file.filename)) is not None
        ]

    async def _read_lock_files(self) -> dict[Digest, WheelAddress]:
        found: dict[Digest, WheelAddress] = {}
        for job in self._jobs:
            try:
                found |= {pin.wheel.digest: WheelAddress(pin=pin, job=job) for pin in await self._pins_of(job)}
            except ProblemError as problem:
                logger.info("%s tells no addresses: %s", job.project, problem)
        return found
