"""The wheels of one warm, with fakes for what makes entries."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from storectl_daemon.errors import FetchError
from storectl_daemon.jobs.progress import Progress
from storectl_daemon.models import ProgressEvent, WarmEvent
from storectl_daemon.warming.arrivals import Arrivals
from storectl_store.collecting.holds import Holds
from storectl_store.digest import digest_of_hex
from storectl_store.entries.layers import Layers
from storectl_store.entries.store import Store
from storectl_store.selection.pin import Pin, WheelFile
from support.wheels import make_wheel


class Warm:
    """What one warm hears and makes. Entries are made once their name is in ``let``, or fail if it is in ``fail``."""

    def __init__(self, store: Store) -> None:
        self.begun: list[str] = []
        self.made: list[str] = []
        self.given_up: list[str] = []
        self.gate = asyncio.Event()
        self.fail: set[str] = set()
        self.told: list[ProgressEvent] = []
        self.hold = Holds().keep()
        self.arrivals = Arrivals(Layers(store), self._make, progress=Progress(self._hear), hold=self.hold)

    def _hear(self, message: WarmEvent) -> None:
        assert isinstance(message, ProgressEvent)
        self.told.append(message)

    async def _make(self, pin: Pin) -> None:
        self.begun.append(pin.name)
        if pin.name in self.fail:
            raise FetchError(f"no {pin.name}")
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.given_up.append(pin.name)
            raise
        self.made.append(pin.name)

    def totals(self) -> list[tuple[int, int]]:
        return [(event.total, event.bytes_total) for event in self.told if event.phase == "fetch"]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(Store.open(tmp_path / "store")) as store:
        yield store


def pin_of(name: str, size: int = 1) -> Pin:
    digest = digest_of_hex(make_wheel(name).hexdigest)
    file = WheelFile(filename=f"{name}-1.0-py3-none-any.whl", digest=digest, url="https://x.invalid/", size=size)
    return Pin(name=name, version="1.0", wheel=file)  # type: ignore[arg-type]


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_each_wheel_is_begun_when_it_is_known_and_made_once(store: Store) -> None:
    async def scenario() -> None:
        warm = Warm(store)
        with closing(warm.hold):
            async with warm.arrivals as arrivals:
                await arrivals.begin([pin_of("alpha", 3)])
                await turns()
                assert warm.begun == ["alpha"]
                await arrivals.begin([pin_of("alpha", 3), pin_of("beta", 4)])
                everything = asyncio.create_task(arrivals.all([pin_of("alpha", 3), pin_of("beta", 4), pin_of("gamma")]))
                warm.gate.set()
                await everything
            assert sorted(warm.made) == sorted(warm.begun) == ["alpha", "beta", "gamma"]
            assert warm.totals() == [(1, 3), (2, 7), (3, 8)]

    asyncio.run(scenario())


def test_of_several_that_are_known_at_once_the_biggest_comes_first(store: Store) -> None:
    async def scenario() -> None:
        warm = Warm(store)
        warm.gate.set()
        with closing(warm.hold):
            async with warm.arrivals as arrivals:
                await arrivals.all([pin_of("alpha", 1), pin_of("beta", 9), pin_of("gamma", 5)])
        assert warm.begun == ["beta", "gamma", "alpha"]

    asyncio.run(scenario())


def test_the_first_error_ends_the_wait_and_gives_up_the_rest(store: Store) -> None:
    async def scenario() -> None:
        warm = Warm(store)
        warm.fail = {"beta"}
        with closing(warm.hold):
            async with warm.arrivals as arrivals:
                await arrivals.begin([pin_of("alpha")])
                with pytest.raises(FetchError, match="no beta"):
                    await arrivals.all([pin_of("alpha"), pin_of("beta")])
            assert warm.given_up == ["alpha"]

    asyncio.run(scenario())


def test_what_nobody_waits_for_any_more_is_given_up(store: Store) -> None:
    async def scenario() -> None:
        warm = Warm(store)
        with closing(warm.hold):
            async with warm.arrivals as arrivals:
                await arrivals.begin([pin_of("alpha")])
                await turns()
            assert warm.given_up == ["alpha"]

    asyncio.run(scenario())


def test_a_file_of_which_one_of_several_digests_is_right_is_not_begun(store: Store) -> None:
    async def scenario() -> None:
        warm = Warm(store)
        pin = pin_of("alpha")
        with closing(warm.hold):
            async with warm.arrivals as arrivals:
                await arrivals.begin([replace(pin, wheel=replace(pin.wheel, one_of=frozenset({pin.wheel.digest})))])
                await turns()
            assert warm.begun == []

    asyncio.run(scenario())
