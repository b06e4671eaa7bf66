"""Where a wheel can be fetched again: what an index said of its digest, then what the lock files of projects name."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path

from packaging.utils import NormalizedName

from storectl_daemon.options import Job
from storectl_daemon.origins import scheme_of
from storectl_daemon.url_book import UrlBook
from storectl_store.digest import Digest
from storectl_store.errors import ProblemError
from storectl_store.selection.choose import parsed_filename
from storectl_store.selection.pin import Pin, WheelFile

logger = logging.getLogger(__name__)

PinsOf = Callable[[Job], Awaitable[Sequence[Pin]]]
"""The wheels that the lock file of a job selects; a ProblemError says why not."""


class Addresses:
    """What is known during one repair. Lock files are read once, for the first wheel that no index has told of."""

    def __init__(self, urls: Path, *, jobs: Iterable[Job], pins_of: PinsOf, offline: bool) -> None:
        self._urls = urls
        self._book = UrlBook(urls)
        self._jobs = list(jobs)
        self._pins_of = pins_of
        self._offline = offline
        self._locked: dict[Digest, Pin] | None = None

    async def pins(self, digest: Digest, names: Sequence[str]) -> list[Pin]:
        """The wheel with this digest, at every address that is known; ``names`` are the projects it may be of, if known."""
        told = await asyncio.to_thread(self._told, digest, names)
        if self._locked is None:
            self._locked = await self._read_lock_files()
        found = [*told, *([self._locked[digest]] if digest in self._locked else [])]
        return [pin for pin in found if not self._offline or scheme_of(pin.wheel.url) == "file"]

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

    async def _read_lock_files(self) -> dict[Digest, Pin]:
        found: dict[Digest, Pin] = {}
        for job in self._jobs:
            try:
                found.update((pin.wheel.digest, pin) for pin in await self._pins_of(job))
            except ProblemError as problem:
                logger.info("%s tells no addresses: %s", job.project, problem)
        return found
