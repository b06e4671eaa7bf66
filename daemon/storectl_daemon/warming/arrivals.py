"""The wheels of one warm: each is fetched and unpacked from the moment it is known to be needed.

So the first wheel of a requirements.txt arrives while the last one is still looked up, and all of them while sources
are built.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Self

from storectl_daemon.entries.pipeline import biggest_first
from storectl_daemon.jobs.progress import Progress
from storectl_store.collecting.holds import Hold
from storectl_store.digest import Digest, is_sha256
from storectl_store.entries.layers import Layers
from storectl_store.errors import ProblemError
from storectl_store.selection.pin import Pin


class Arrivals:
    """An async context manager. What is still on its way when the block ends is given up.

    ``make`` makes the entry of a pin that is missing. ``hold`` keeps every entry that is asked for.
    """

    def __init__(
        self,
        store: Layers,
        make: Callable[[Pin], Coroutine[Any, Any, None]],
        *,
        progress: Progress,
        hold: Hold,
    ) -> None:
        self._store = store
        self._make = make
        self._progress = progress
        self._hold = hold
        self._tasks: dict[Digest, asyncio.Task[None]] = {}
        self._here: set[Digest] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def begin(self, pins: Sequence[Pin]) -> None:
        """Begin to make the entries of these pins, those that are missing. Pins without a known sha256 are left out."""
        known = [pin for pin in pins if is_sha256(pin.wheel.digest) and not pin.wheel.one_of]
        self._hold.add(pin.wheel.digest for pin in known)  # first held, then looked for
        new = [pin for pin in known if pin.wheel.digest not in self._here]  # what is held stays
        self._here |= await asyncio.to_thread(present, self._store, new)
        missing = {pin.wheel.digest: pin for pin in new if pin.wheel.digest not in self._here}
        begun = biggest_first([pin for digest, pin in missing.items() if digest not in self._tasks])
        size = sum(pin.wheel.size or 0 for pin in begun)
        self._progress.more("fetch", len(begun), bytes_total=size)
        self._progress.more("unpack", len(begun))
        for pin in begun:
            self._tasks[pin.wheel.digest] = asyncio.create_task(self._make(pin))

    async def all(self, pins: Sequence[Pin]) -> None:
        """Return when the entries of all pins are in the store. Raises the first error, which ends the wait."""
        await self.begin(pins)
        tasks = [self._tasks[pin.wheel.digest] for pin in pins if pin.wheel.digest in self._tasks]
        if not tasks:
            return
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        errors = [error for task in tasks if task.done() and (error := task.exception()) is not None]
        if errors:
            raise next((error for error in errors if isinstance(error, ProblemError)), errors[0])


def present(store: Layers, pins: Sequence[Pin]) -> set[Digest]:
    """The pins whose entries are in the store or a layer, as far as a look at the folder of each tells. May block."""
    return {pin.wheel.digest for pin in pins if store.seems_whole(pin.name, pin.wheel.digest)}
