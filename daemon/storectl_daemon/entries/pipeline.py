"""From a pinned wheel to an entry: fetch -> stage -> commit, once per digest for any number of callers.

The fetcher bounds the downloads, the worker processes bound the staging. Everything that is staged while a commit runs
shares the next durability barrier.
"""

import asyncio
import contextlib
import itertools
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

from storectl_daemon.entries import staging
from storectl_daemon.entries.workers import WorkerError, Workers
from storectl_daemon.errors import FetchError
from storectl_daemon.jobs.progress import Progress
from storectl_daemon.process.batches import Batcher
from storectl_daemon.process.single_flight import SingleFlight
from storectl_store.digest import Digest, hex_of
from storectl_store.entries.commit import commit
from storectl_store.entries.layers import Layers
from storectl_store.entries.manifest import Manifest
from storectl_store.entries.staged import StagedEntry
from storectl_store.entries.store import Store
from storectl_store.entries.trash import delete_tree
from storectl_store.selection.pin import Pin, WheelFile
from storectl_store.wheel.checked import Expectation

ByteProgress = Callable[[int], None]

logger = logging.getLogger(__name__)


class FetchedFile(Protocol):
    """The file that a fetch makes."""

    @property
    def digest(self) -> Digest:
        """The digest, counted over the bytes as they were written. It is never taken from a lock file or an index."""
        ...


class Fetch(Protocol):
    """Fetches one wheel into a new file and checks its digest; reports how many bytes are here."""

    async def __call__(self, wheel: WheelFile, destination: Path, *, progress: ByteProgress) -> FetchedFile:
        """Fetch the wheel. Raises a ProblemError if that fails; then there is no file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _WheelProgress:
    """How far one wheel is, in full: a caller that joins late gets only the latest of these."""

    received: int = 0
    fetched: bool = False
    warnings: tuple[str, ...] = ()


class _Listener:
    """Tells one caller what is new of its pin, and each thing once, even if the caller joined late."""

    def __init__(self, pin: Pin, report: Progress) -> None:
        self._pin = pin
        self._report = report
        self._last = _WheelProgress()

    def hear(self, progress: _WheelProgress) -> None:
        """Pass on what is new."""
        last, self._last = self._last, progress
        if progress.received != last.received:
            self._report.fetching(self._pin, progress.received)
        if progress.fetched and not last.fetched:
            self._report.fetched(self._pin)
        for warning in progress.warnings[len(last.warnings) :]:
            self._report.warn(warning)

    def end(self) -> None:
        """The entry exists. Report the wheel as fetched, even if this caller saw no fetch."""
        self.hear(replace(self._last, fetched=True))
        self._report.unpacked(self._pin)


def _unheard(_progress: _WheelProgress) -> None:
    """Ignore the report: no caller waits for it."""


class Pipeline:
    """Makes the entries of wheels. The caller holds the writer's lock.

    ``session`` is a folder of this process alone, on the store's file system. ``layers`` are the store and those below
    it; an entry that one of these has is not made.
    """

    def __init__(self, store: Store, workers: Workers, *, session: Path, layers: Layers | None = None) -> None:
        self._store = store
        self._layers = layers or Layers(store)
        self._workers = workers
        self._session = session
        self._flights: SingleFlight[Digest, Manifest] = SingleFlight()
        self._commits: Batcher[StagedEntry, Manifest] = Batcher(self._commit)
        self._numbers = itertools.count()

    def expect(self) -> None:
        """Load in the background what workers need: wheels will be staged."""
        self._workers.expect(staging.NEEDS)

    async def ensure(self, pin: Pin, report: Progress, fetch: Fetch) -> Manifest:
        """The manifest of the pin's entry, made now if it is missing. ``fetch`` is the caller's own access to wheels.

        If another caller's fetch of this wheel fails (it may have no login, or another mirror), this caller's own is
        tried.
        """
        manifest = await asyncio.to_thread(self._layers.usable_manifest, pin.wheel.digest)
        listener = _Listener(pin, report)
        tried: list[Fetch] = []

        async def make() -> Manifest:
            tried.append(fetch)
            return await self._make(pin, fetch)

        while manifest is None:
            try:
                manifest = await self._flights.do(pin.wheel.digest, make, progress=listener.hear)
            except FetchError:
                if tried:
                    raise
        listener.end()
        return manifest

    async def _make(self, pin: Pin, fetch: Fetch) -> Manifest:
        """Make the entry. Every caller that waits for it is told how far it is."""
        staged = await self.staged(pin, fetch, partial(self._flights.report, pin.wheel.digest))
        try:
            return await self._commits.submit(staged)
        except BaseException:
            await asyncio.shield(_discard(staged.folder))
            raise

    async def staged(self, pin: Pin, fetch: Fetch, tell: Callable[[_WheelProgress], None] = _unheard) -> StagedEntry:
        """The pin's wheel, fetched, checked and unpacked into a stage, even if the store has it."""
        name = f"{hex_of(pin.wheel.digest)[:16]}.{next(self._numbers)}"
        wheel, stage = self._session / f"{name}.whl", self._session / name
        self._workers.expect(staging.NEEDS)  # they load while the wheel is fetched
        received = 0

        def count(size: int) -> None:
            nonlocal received
            received = size
            tell(_WheelProgress(received=size))

        try:
            fetched = await fetch(pin.wheel, wheel, progress=count)
            tell(_WheelProgress(received=received, fetched=True))
            staged = await self._stage(wheel, expectation_of(pin), stage, fetched.digest)
        except BaseException:
            await asyncio.shield(_discard(stage))
            raise
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(wheel)
        for warning in staged.warnings:
            logger.warning("%s %s: %s", pin.name, pin.version, warning)  # there may be no command to tell
        warnings = tuple(f"{pin.name}: {warning}" for warning in staged.warnings)
        tell(_WheelProgress(received=received, fetched=True, warnings=warnings))
        return staged

    async def _stage(self, wheel: Path, expectation: Expectation, stage: Path, verified: Digest) -> StagedEntry:
        """Stage the wheel in a worker. If the worker dies, try once more and alone: it may have died of another wheel.

        ``verified`` is the digest that was counted while the wheel was fetched.
        """
        job = partial(staging.stage_wheel, wheel, expectation, stage, verified=verified)
        try:
            return await self._workers.run(expectation.filename, job)
        except WorkerError:
            await _discard(stage)
            return await self._workers.run_alone(expectation.filename, job)

    async def _commit(self, staged: Sequence[StagedEntry]) -> list[Manifest]:
        """Make these entries visible, in order."""
        done = await asyncio.to_thread(commit, self._store, staged)
        return [committed.manifest for committed in done]

    async def aclose(self) -> None:
        """Wait for a commit that is running, because a half one would have to be recovered."""
        await self._commits.aclose()


async def _discard(stage: Path) -> None:
    with contextlib.suppress(OSError):  # recovery sweeps what cannot be deleted now
        await asyncio.to_thread(delete_tree, stage)


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
    """The order to fetch them in: the biggest first, so that the last download is not the longest."""
    return sorted(pins, key=lambda pin: -(pin.wheel.size or 0))
