"""Ensure: wheels that a client names are made entries, each once for all who ask, and the client is told how it goes.

    wheel -> known? -> its address: of an origin? -> the account: a turn, room in its quota? -> pipeline -> ready

What is wrong with one wheel is told of that wheel; the others go on. A client that leaves ends only its own waiting.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from pathlib import Path

from storectl_daemon.entries.pipeline import ByteProgress, Fetch, FetchedFile, Pipeline
from storectl_daemon.jobs.progress import Progress
from storectl_daemon.messages import Sent
from storectl_daemon.models import ProgressEvent, WarmEvent
from storectl_daemon.node.kept import Kept
from storectl_daemon.node.limits import Turns
from storectl_daemon.node.messages import EnsureDone, StillWorking, WheelEvent, WheelState, WheelWanted, digest_in
from storectl_daemon.node.network import NodeNetwork, OriginError
from storectl_daemon.node.quota import QuotaError, Quotas
from storectl_store.collecting.holds import Holds
from storectl_store.entries.store import Store
from storectl_store.errors import ProblemError, WheelError
from storectl_store.selection.pin import Pin, WheelFile
from storectl_store.wheel.filename import parse_filename

WORKING_SECONDS = 5.0
"""The longest time, in seconds, without a line for the client."""

_MOST_WAITING = 1000
"""Lines that a client may leave unread; beyond, those about bytes are dropped."""

_REFUSED = (OriginError, QuotaError)
"""What is not tried at all, in contrast to what failed."""


class Ensuring:
    """Makes entries for accounts."""

    def __init__(
        self,
        *,
        store: Store,
        pipeline: Pipeline,
        network: NodeNetwork,
        quotas: Quotas,
        turns: Turns,
        kept: Kept,
        holds: Holds,
    ) -> None:
        self._store = store
        self._pipeline = pipeline
        self._network = network
        self._quotas = quotas
        self._turns = turns
        self._kept = kept
        self._holds = holds

    async def ensure(self, uid: int, wheels: Sequence[WheelWanted]) -> AsyncIterator[Sent]:
        """What becomes of each wheel, as it happens; the last line is ``done``."""
        lines: asyncio.Queue[WheelEvent] = asyncio.Queue()
        ready = 0
        with self._holds.keep(digest_in(wheel.digest) for wheel in wheels):
            tasks = [asyncio.create_task(self._one(uid, wheel, lines)) for wheel in wheels]
            try:
                left = len(tasks)
                while left:
                    try:
                        async with asyncio.timeout(WORKING_SECONDS):
                            line = await lines.get()
                    except TimeoutError:
                        yield StillWorking()
                        continue
                    left -= line.state != "fetching"
                    ready += line.state == "ready"
                    yield line
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        yield EnsureDone(ready=ready)

    async def _one(self, uid: int, wheel: WheelWanted, lines: "asyncio.Queue[WheelEvent]") -> None:
        """Make one wheel an entry, and say what became of it as the last thing."""
        try:
            if await asyncio.to_thread(self._store.usable_manifest, digest_in(wheel.digest)) is None:
                await self.make(uid, wheel, partial(self._tell, wheel.digest, lines))
            lines.put_nowait(WheelEvent(digest=wheel.digest, state="ready"))
        except ProblemError as error:
            state: WheelState = "refused" if isinstance(error, _REFUSED) else "failed"
            lines.put_nowait(WheelEvent(digest=wheel.digest, state=state, code=error.code, detail=error.message))

    def _tell(self, digest: str, lines: "asyncio.Queue[WheelEvent]", event: WarmEvent) -> None:
        if isinstance(event, ProgressEvent) and event.phase == "fetch" and lines.qsize() < _MOST_WAITING:
            lines.put_nowait(WheelEvent(digest=digest, state="fetching", received=event.bytes_done))

    async def make(self, uid: int, wheel: WheelWanted, tell: Callable[[WarmEvent], None]) -> None:
        """Fetch the wheel for this account and make it an entry. Raises a ProblemError if that cannot be."""
        self._network.check_client_address(wheel.url, wheel.filename)
        await self.enter(uid, wheel, self._network.fetch(uid), Progress(tell))

    async def enter(self, uid: int, wheel: WheelWanted, fetch: Fetch, report: Progress) -> None:
        """Make the file of ``fetch`` an entry, in a turn of this account and within its quota."""
        pin = _pin_of(wheel)
        async with self._turns.turn(uid):
            with self._quotas.room(uid, wheel.size or 0) as count:
                counted = _Counted(fetch, count)
                report.begin("fetch", 1, bytes_total=wheel.size or 0)
                while True:
                    try:
                        await self._pipeline.ensure(pin, report, counted)
                    except WheelError:
                        if counted.used:
                            raise
                        continue  # what another account had fetched was not this wheel
                    break
        self._kept.fetched(uid, pin.wheel.digest)


class _Counted:
    """A fetch of one account. ``used`` is whether it was needed: another one may fetch the same wheel."""

    def __init__(self, fetch: Fetch, count: ByteProgress) -> None:
        self._fetch = fetch
        self._count = count
        self.used = False

    async def __call__(self, wheel: WheelFile, destination: Path, *, progress: ByteProgress) -> FetchedFile:
        self.used = True

        def both(received: int) -> None:
            self._count(received)
            progress(received)

        return await self._fetch(wheel, destination, progress=both)


def _pin_of(wheel: WheelWanted) -> Pin:
    named = parse_filename(wheel.filename)
    return Pin(
        name=named.name,
        version=str(named.version),
        wheel=WheelFile(filename=wheel.filename, digest=digest_in(wheel.digest), url=wheel.url, size=wheel.size),
    )
