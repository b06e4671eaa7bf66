"""The wheels of one commit: looked up, identified and made present, each by itself: what one lacks ends no other."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from storectl_daemon.entries.pipeline import Pipeline, biggest_first
from storectl_daemon.errors import FetchError, OfflineError
from storectl_daemon.indexes.access import Access
from storectl_daemon.jobs.progress import Progress
from storectl_daemon.prefetching.admission import Known, NotAdmittedError, is_local
from storectl_daemon.process.together import all_of
from storectl_store.collecting.holds import Hold
from storectl_store.digest import Digest, is_sha256
from storectl_store.entries.layers import Layers
from storectl_store.environments.outlines.kept import Outlines
from storectl_store.errors import ProblemError, StoreError
from storectl_store.selection.pin import IndexPin, Pin, SourcePin
from storectl_store.selection.target import Interpreter

_AT_ONCE = 3
"""Wheels that are fetched at once: fewer than for a command, which may come at any moment."""

_MOST_LOOKED_UP = 500
"""Most pins of one commit for which indexes are asked."""


@dataclass(slots=True, kw_only=True)
class Reasons:
    """Why there is no environment, in words for the log. ``passing``: it may be otherwise the next time.

    ``offline``: a server could not be reached at all, so the others are not tried.
    """

    texts: list[str] = field(default_factory=list)
    passing: bool = False
    offline: bool = False

    def add(self, name: str, why: ProblemError | str) -> None:
        """One more reason; ``name`` is the project that it is about."""
        self.texts.append(f"{name}: {why.message if isinstance(why, ProblemError) else why}")
        self.offline |= isinstance(why, OfflineError)
        self.passing |= isinstance(why, FetchError) and not isinstance(why, NotAdmittedError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheels:
    """The work on the pins of one commit. ``made`` are the digests of entries that were not there before."""

    store: Layers
    pipeline: Pipeline
    outlines: Outlines
    access: Access
    interpreter: Interpreter
    progress: Progress
    reasons: Reasons
    hold: Hold
    made: list[Digest] = field(default_factory=list)

    async def looked_up(self, pins: Sequence[IndexPin], known: Known) -> list[Pin | SourcePin]:
        """The pins with their files. An index is asked only if the checkout uses it, too."""
        turns = asyncio.Semaphore(_AT_ONCE)
        allowed = [pin for pin in pins if known.index_pin(pin)]
        for pin in pins:
            if not known.index_pin(pin):
                self.reasons.add(pin.name, "its index is not one that the checkout uses")
        for pin in allowed[_MOST_LOOKED_UP:]:
            self.reasons.add(pin.name, "more than may be looked up ahead")

        async def one(pin: IndexPin) -> Pin | SourcePin | None:
            async with turns:
                return None if self.reasons.offline else await self._looked_up(pin)

        found = await all_of([one(pin) for pin in allowed[:_MOST_LOOKED_UP]])
        return [pin for pin in found if pin is not None]

    async def _looked_up(self, pin: IndexPin) -> Pin | SourcePin | None:
        try:
            return await self.access.resolve(pin, self.interpreter, offline=False)
        except ProblemError as error:
            self.reasons.add(pin.name, error)
            return None

    async def present(self, pins: Sequence[Pin]) -> list[Pin]:
        """Those of the pins whose entries are in the store now, each with its sha256.

        Raises StoreError if the disk refuses: there is no use in the others then.
        """
        self.hold.add(pin.wheel.digest for pin in pins if _is_identified(pin))  # first held, then looked for
        there, missing = await asyncio.to_thread(self._parted, pins)
        turns = asyncio.Semaphore(_AT_ONCE)

        async def one(pin: Pin) -> Pin | None:
            async with turns:
                return None if self.reasons.offline else await self._fetched(pin)

        found = await all_of([one(pin) for pin in biggest_first(missing)])
        return [*there, *(pin for pin in found if pin is not None)]

    def _parted(self, pins: Sequence[Pin]) -> tuple[list[Pin], list[Pin]]:
        """The pins whose entries are there, and the others."""
        parts: tuple[list[Pin], list[Pin]] = [], []
        for pin in pins:
            parts[not (_is_identified(pin) and self._has(pin))].append(pin)
        return parts

    def _has(self, pin: Pin) -> bool:
        return self.store.seems_whole(pin.name, pin.wheel.digest)

    async def _fetched(self, pin: Pin) -> Pin | None:
        """The pin, with its entry in the store; None, with a reason, if it cannot be fetched ahead."""
        try:
            if not _is_identified(pin):
                (pin,) = await self.access.identified([pin], offline=is_local(pin))
                self.hold.add([pin.wheel.digest])
                if await asyncio.to_thread(self._has, pin):
                    return pin
            if is_local(pin):
                self.reasons.add(pin.name, "a file of this machine")
                return None
            manifest = await self.pipeline.ensure(pin, self.progress, self.access)
            await asyncio.to_thread(self.outlines.add, [manifest], self.interpreter.extension_suffixes)
        except StoreError:
            raise
        except ProblemError as error:
            self.reasons.add(pin.name, error)
            return None
        self.made.append(pin.wheel.digest)
        return pin


def _is_identified(pin: Pin) -> bool:
    """Whether the sha256 of the pin's wheel is known."""
    return is_sha256(pin.wheel.digest) and not pin.wheel.one_of


async def known_pins(access: Access, pins: Sequence[IndexPin], interpreter: Interpreter) -> list[Pin]:
    """Those of the pins whose files are known without asking any index."""
    found = []
    for pin in pins:
        try:
            resolved = await access.resolve(pin, interpreter, offline=True)
        except ProblemError:
            continue
        if isinstance(resolved, Pin):
            found.append(resolved)
    return found
