"""From a pinned wheel to an entry: fetch -> stage -> commit, once per digest however many ask.

Downloads are bounded by the fetcher, staging by the worker processes, and everything that is staged while a commit
runs shares the next durability barrier.
"""

import asyncio
import contextlib
import itertools
import logging
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from storectl_daemon.batches import Batcher
from storectl_daemon.errors import FetchError
from storectl_daemon.single_flight import SingleFlight
from storectl_store.digest import Digest, hex_of
from storectl_store.entries.manifest import Manifest
from storectl_store.entries.stage import StagedEntry
from storectl_store.selection.pin import Pin, WheelFile
from storectl_store.wheel.checked import Expectation

ByteProgress = Callable[[int], None]

logger = logging.getLogger(__name__)


class FetchedFile(Protocol):
    """What a fetch leaves behind."""

    @property
    def digest(self) -> Digest:
        """The digest that was counted over every byte as it was written, never one that somebody stated."""
        ...


class Fetch(Protocol):
    """Brings one wheel into a new file, its digest checked; reports how many bytes are here."""

    async def __call__(self, wheel: WheelFile, destination: Path, *, progress: ByteProgress) -> FetchedFile:
        """A ProblemError says why not; then there is no file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """The collaborators of a pipeline, each one step of the way.

    ``present`` answers from memory or with a single look at the disk; ``expect`` is told that something will be staged, so
    that what does it can start while the wheel is fetched; ``stage`` checks and unpacks a wheel file into a
    folder that does not exist yet; ``commit`` makes all it is given visible, in order; ``discard`` removes a stage.
    """

    present: Callable[[Digest], Manifest | None]
    expect: Callable[[], None]
    stage: Callable[[Path, Expectation, Path, Digest], Awaitable[StagedEntry]]
    commit: Callable[[Sequence[StagedEntry]], Awaitable[Sequence[Manifest]]]
    discard: Callable[[Path], Awaitable[None]]


class PinReport(Protocol):
    """Who is told how far one pin is."""

    def fetching(self, pin: Pin, received: int) -> None:
        """So many bytes of its wheel are here."""

    def fetched(self, pin: Pin) -> None:
        """Its wheel is here."""

    def warn(self, message: str) -> None:
        """Something a person should know of it."""

    def unpacked(self, pin: Pin) -> None:
        """Its entry is in the store."""


class Pipeline:
    """Makes wheels present. ``session`` is a folder of this process alone, on the store's file system."""

    def __init__(self, steps: Steps, *, session: Path) -> None:
        self._steps = steps
        self._session = session
        self._flights: SingleFlight[Digest, Manifest] = SingleFlight()
        self._commits: Batcher[StagedEntry, Manifest] = Batcher(steps.commit)
        self._numbers = itertools.count()

    async def ensure(self, pin: Pin, report: PinReport, fetch: Fetch) -> Manifest:
        """The manifest of the pin's entry, made now if it is not there. ``fetch`` is the way that the caller has to wheels.

        If another caller's fetch of this wheel fails (it may have no login, or another mirror), this caller's own is tried.
        """
        present = self._steps.present(pin.wheel.digest)
        if present is not None:
            return present
        tried: list[Fetch] = []

        async def make() -> Manifest:
            tried.append(fetch)
            return await self._make(pin, report, fetch)

        while True:
            try:
                manifest = await self._flights.do(pin.wheel.digest, make)
            except FetchError:
                if tried:
                    raise
            else:
                report.unpacked(pin)
                return manifest

    async def _make(self, pin: Pin, report: PinReport, fetch: Fetch) -> Manifest:
        name = f"{hex_of(pin.wheel.digest)[:16]}.{next(self._numbers)}"
        wheel, stage = self._session / f"{name}.whl", self._session / name
        self._steps.expect()
        try:
            fetched = await fetch(pin.wheel, wheel, progress=lambda count: report.fetching(pin, count))
            report.fetched(pin)
            staged = await self._steps.stage(wheel, expectation_of(pin), stage, fetched.digest)
            for warning in staged.warnings:
                logger.warning("%s %s: %s", pin.name, pin.version, warning)  # no command may be there to be told
                report.warn(f"{pin.name}: {warning}")
            return await self._commits.submit(staged)
        except BaseException:
            await asyncio.shield(self._steps.discard(stage))
            raise
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(wheel)

    async def aclose(self) -> None:
        """Wait for a commit that is running; a half one would have to be recovered."""
        await self._commits.aclose()


def expectation_of(pin: Pin) -> Expectation:
    """What the lock file says of the pin's wheel."""
    return Expectation(
        filename=pin.wheel.filename,
        digests={"sha256": hex_of(pin.wheel.digest)},
        size=pin.wheel.size,
        name=pin.name,
        version=pin.version,
    )


def biggest_first(pins: Sequence[Pin]) -> list[Pin]:
    """The order to ask for them in: the last download should not be the longest."""
    return sorted(pins, key=lambda pin: -(pin.wheel.size or 0))
