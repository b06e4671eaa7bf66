"""From a pinned wheel to an entry: fetch -> stage -> commit, once per digest for any number of callers.

The fetcher bounds the downloads, the worker processes bound the staging. Everything that is staged while a commit runs
shares the next durability barrier.
"""

import asyncio
import contextlib
import itertools
import logging
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from storectl_daemon.errors import FetchError
from storectl_daemon.process.batches import Batcher
from storectl_daemon.process.single_flight import SingleFlight
from storectl_store.digest import Digest, hex_of
from storectl_store.entries.manifest import Manifest
from storectl_store.entries.stage import StagedEntry
from storectl_store.selection.pin import Pin, WheelFile
from storectl_store.wheel.checked import Expectation

ByteProgress = Callable[[int], None]

logger = logging.getLogger(__name__)


class FetchedFile(Protocol):
    """The file that a fetch makes."""

    @property
    def digest(self) -> Digest:
        """The digest that was counted over every byte as it was written, never one that was only stated."""
        ...


class Fetch(Protocol):
    """Fetches one wheel into a new file and checks its digest; reports how many bytes are here."""

    async def __call__(self, wheel: WheelFile, destination: Path, *, progress: ByteProgress) -> FetchedFile:
        """Fetch the wheel. Raises a ProblemError if that fails; then there is no file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """The steps of a pipeline, as the objects that do them.

    ``present`` answers from memory or with a single look at the disk. ``expect`` is told that something will be staged,
    so that a worker can start while the wheel is fetched. ``stage`` checks a wheel file and unpacks it into a folder
    that does not exist yet. ``commit`` makes all that it is given visible, in order. ``discard`` removes a stage.
    """

    present: Callable[[Digest], Manifest | None]
    expect: Callable[[], None]
    stage: Callable[[Path, Expectation, Path, Digest], Awaitable[StagedEntry]]
    commit: Callable[[Sequence[StagedEntry]], Awaitable[Sequence[Manifest]]]
    discard: Callable[[Path], Awaitable[None]]


class PinReport(Protocol):
    """Receives the progress of one pin."""

    def fetching(self, pin: Pin, received: int) -> None:
        """This many bytes of its wheel are here."""

    def fetched(self, pin: Pin) -> None:
        """Its wheel is here."""

    def warn(self, message: str) -> None:
        """A warning about it, for a person."""

    def unpacked(self, pin: Pin) -> None:
        """Its entry is in the store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sofar:
    """How far one wheel is, in full: a caller that joins late gets only the latest of these."""

    received: int = 0
    fetched: bool = False
    warnings: tuple[str, ...] = ()


class _News:
    """Collects what happens to one wheel."""

    def __init__(self, *, tell: Callable[[_Sofar], None]) -> None:
        self._tell = tell
        self._sofar = _Sofar()

    def received(self, count: int) -> None:
        self._change(received=count)

    def fetched(self) -> None:
        self._change(fetched=True)

    def warn(self, warnings: Sequence[str]) -> None:
        self._change(warnings=tuple(warnings))

    def _change(self, **changed: Any) -> None:
        self._sofar = replace(self._sofar, **changed)
        self._tell(self._sofar)


class _Told:
    """What one caller has been told of its pin. Each thing is told once, also to a caller that joined late."""

    def __init__(self, pin: Pin, report: PinReport) -> None:
        self._pin = pin
        self._report = report
        self._last = _Sofar()

    def hear(self, sofar: _Sofar) -> None:
        """Pass on what is new."""
        last, self._last = self._last, sofar
        if sofar.received != last.received:
            self._report.fetching(self._pin, sofar.received)
        if sofar.fetched and not last.fetched:
            self._report.fetched(self._pin)
        for warning in sofar.warnings[len(last.warnings) :]:
            self._report.warn(warning)

    def end(self) -> None:
        """The entry exists. Report the wheel as fetched, even if this caller saw no fetch."""
        self.hear(replace(self._last, fetched=True))
        self._report.unpacked(self._pin)


def _unheard(_sofar: _Sofar) -> None:
    """Ignore the report: no caller waits for it."""


class Pipeline:
    """Makes the entries of wheels. ``session`` is a folder of this process alone, on the store's file system."""

    def __init__(self, steps: Steps, *, session: Path) -> None:
        self._steps = steps
        self._session = session
        self._flights: SingleFlight[Digest, Manifest] = SingleFlight()
        self._commits: Batcher[StagedEntry, Manifest] = Batcher(steps.commit)
        self._numbers = itertools.count()

    async def ensure(self, pin: Pin, report: PinReport, fetch: Fetch) -> Manifest:
        """The manifest of the pin's entry, made now if it is missing. ``fetch`` is the caller's own access to wheels.

        If another caller's fetch of this wheel fails (it may have no login, or another mirror), this caller's own is
        tried.
        """
        manifest = self._steps.present(pin.wheel.digest)
        told = _Told(pin, report)
        tried: list[Fetch] = []

        async def make() -> Manifest:
            tried.append(fetch)
            return await self._make(pin, fetch)

        while manifest is None:
            try:
                manifest = await self._flights.do(pin.wheel.digest, make, progress=told.hear)
            except FetchError:
                if tried:
                    raise
        told.end()
        return manifest

    async def _make(self, pin: Pin, fetch: Fetch) -> Manifest:
        """Make the entry. Every caller that waits for it is told how far it is."""
        staged = await self.staged(pin, fetch, _News(tell=partial(self._flights.report, pin.wheel.digest)))
        try:
            return await self._commits.submit(staged)
        except BaseException:
            await asyncio.shield(self._steps.discard(staged.folder))
            raise

    async def staged(self, pin: Pin, fetch: Fetch, news: "_News | None" = None) -> StagedEntry:
        """The pin's wheel, fetched, checked and unpacked into a stage, even if the store has it."""
        news = news or _News(tell=_unheard)
        name = f"{hex_of(pin.wheel.digest)[:16]}.{next(self._numbers)}"
        wheel, stage = self._session / f"{name}.whl", self._session / name
        self._steps.expect()
        try:
            fetched = await fetch(pin.wheel, wheel, progress=news.received)
            news.fetched()
            staged = await self._steps.stage(wheel, expectation_of(pin), stage, fetched.digest)
            for warning in staged.warnings:
                logger.warning("%s %s: %s", pin.name, pin.version, warning)  # there may be no command to tell
            news.warn([f"{pin.name}: {warning}" for warning in staged.warnings])
        except BaseException:
            await asyncio.shield(self._steps.discard(stage))
            raise
        else:
            return staged
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(wheel)

    async def aclose(self) -> None:
        """Wait for a commit that is running, because a half one would have to be recovered."""
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
    """The order to fetch them in: the biggest first, so that the last download is not the longest."""
    return sorted(pins, key=lambda pin: -(pin.wheel.size or 0))
