"""When the daemon collects by itself, what the settings say, and how much goes for a size."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from storectl_daemon.collecting import collects
from storectl_daemon.collecting.automatic import DAY_S, HOUR_S, Automatic, Room, occasion
from storectl_daemon.collecting.collector import Collector, CollectOrder
from storectl_daemon.collecting.collects import Collects, Took, read_collects, write_collects
from storectl_daemon.collecting.pauses import Pauses
from storectl_daemon.collecting.quiet import QUIET_S, when_quiet
from storectl_daemon.collecting.report import Collected, Planned, Told
from storectl_daemon.collecting.settings import CollectSettings
from storectl_daemon.process.settings import SettingsError
from storectl_store.collecting.holds import Holds
from storectl_store.disk.disk_size import DiskSize
from storectl_store.entries.store import Store
from storectl_store.errors import ProblemError, StoreError
from support.daemon import DEADLINE, turns_until

NOW = 1_800_000_000.0
GB = 1_000_000_000
ROOMY = Room(free=500 * GB, total=1000 * GB)
PLANNED = Planned(groups=(), environments=3, entries=7, size=DiskSize(40, 5000), leases=0, roots=1)


@pytest.mark.parametrize(
    ("free", "total", "lacking"),
    [
        (2.5, 30, 0),  # more than 2 GB and than a twentieth
        (1.5, 30, 0.5),
        (2.5, 100, 2.5),  # a twentieth is 5 GB
        (25, 4000, 0),  # a twentieth would be 200 GB; 20 are enough
        (15, 4000, 5),
        (0.5, 2, 0),  # a fifth of a small one
        (0.3, 2, 0.1),
    ],
)
def test_how_much_room_is_lacking(free: float, total: float, lacking: float) -> None:
    room = Room(free=int(free * GB), total=int(total * GB))
    assert room.lacking == pytest.approx(lacking * GB)


def test_it_is_time_once_a_day_and_hourly_if_the_disk_is_nearly_full() -> None:
    full = replace(ROOMY, free=GB)
    assert occasion(Collects(), ROOMY, now=NOW) == "daily"
    assert occasion(Collects(), full, now=NOW) == "full"
    last = Collects(automatic=NOW - HOUR_S - 1)
    assert occasion(last, ROOMY, now=NOW) is None
    assert occasion(last, full, now=NOW) == "full"
    assert occasion(Collects(automatic=NOW - HOUR_S + 1), full, now=NOW) is None
    assert occasion(Collects(automatic=NOW - DAY_S), ROOMY, now=NOW) == "daily"


def test_a_clock_that_was_wrong_does_not_stop_it() -> None:
    assert occasion(Collects(automatic=NOW + 400 * DAY_S), ROOMY, now=NOW) == "daily"


class FakeCollector(Collector):
    """Notes what it is asked for."""

    def __init__(self) -> None:
        self.orders: list[CollectOrder] = []
        self.trouble: StoreError | None = None

    async def collect(self, order: CollectOrder) -> AsyncIterator[Told]:
        self.orders.append(order)
        if self.trouble is not None:
            raise self.trouble
        yield PLANNED
        yield Collected()


class Scene:
    def __init__(self, folder: Path) -> None:
        self.layout = Store.open(folder / "store").layout
        self.collector = FakeCollector()
        self.environ = {"HOME": str(folder)}
        self.room = ROOMY
        self.now = NOW

    def automatic(self) -> Automatic:
        """As the daemon has it after a start."""

        async def collector() -> Collector:
            return self.collector

        return Automatic(
            layout=self.layout,
            environ=self.environ,
            collector=collector,
            clock=lambda: self.now,
            room=lambda _: self.room,
        )

    def look(self, automatic: Automatic | None = None) -> list[CollectOrder]:
        """What a look makes the collector do."""
        before = len(self.collector.orders)
        asyncio.run((automatic or self.automatic()).look())
        return self.collector.orders[before:]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_the_first_time_it_only_reports_and_after_a_day_it_collects(scene: Scene) -> None:
    (first,) = scene.look()
    assert first.dry_run
    assert read_collects(scene.layout).reported == Took(at=NOW, environments=3, entries=7, bytes=5000, inodes=40)
    assert scene.look() == []
    scene.now += DAY_S
    (second,) = scene.look()
    assert not second.dry_run
    assert (second.free, second.patience) == (0, None)


def test_also_if_the_disk_is_nearly_full_the_first_time_only_reports(scene: Scene) -> None:
    scene.room = Room(free=0, total=20 * GB)
    assert [order.dry_run for order in scene.look()] == [True]
    scene.now += HOUR_S
    (order,) = scene.look()
    assert (order.dry_run, order.free) == (False, 2 * GB)


def test_on_a_disk_on_which_nothing_can_be_written_it_makes_room_all_the_same(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object, **_options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(collects, "replace_file", refuse)
    scene.room, automatic = Room(free=0, total=20 * GB), scene.automatic()
    assert [order.dry_run for order in scene.look(automatic)] == [True]
    assert scene.look(automatic) == []
    scene.now += HOUR_S
    assert [order.dry_run for order in scene.look(automatic)] == [False]


def test_it_can_be_switched_off(scene: Scene) -> None:
    scene.environ["STORECTL_COLLECT_AUTOMATIC"] = "false"
    assert scene.look() == []
    assert read_collects(scene.layout) == Collects()


def test_settings_that_cannot_be_used_are_not_told_every_minute(scene: Scene) -> None:
    scene.environ["STORECTL_COLLECT_KEEP_DAYS"] = "some"
    with pytest.raises(SettingsError):
        scene.look()
    assert scene.look() == []


def test_a_collect_that_fails_is_not_tried_again_every_minute(scene: Scene) -> None:
    scene.collector.trouble = StoreError("a root cannot be read")
    with pytest.raises(StoreError):
        scene.look()
    assert scene.look() == []
    scene.now += DAY_S
    scene.collector.trouble = None
    assert [order.dry_run for order in scene.look()] == [True]  # nothing was reported yet


@pytest.mark.parametrize("content", [b"", b"{}", b'{"format": 1}\nsha256 ' + b"0" * 64 + b"\n"])
def test_if_it_is_forgotten_what_was_collected_it_reports_once_more(scene: Scene, content: bytes) -> None:
    write_collects(scene.layout, Collects(reported=Took(at=1, environments=0, entries=0, bytes=0, inodes=0)))
    assert read_collects(scene.layout).reported is not None
    scene.layout.collects.write_bytes(content)
    assert [order.dry_run for order in scene.look()] == [True]


def test_it_is_looked_again_and_again_while_nothing_goes_on_whatever_goes_wrong() -> None:
    quiet, looks = [0.0], [0]

    async def look() -> None:
        looks[0] += 1
        raise StoreError("no")

    async def main() -> None:
        task = asyncio.create_task(when_quiet(lambda: quiet[0], look, seconds=0))
        for _ in range(20):
            await asyncio.sleep(0)
        assert looks == [0]
        quiet[0] = QUIET_S
        await turns_until(lambda: looks[0] > 2)
        task.cancel()

    async def limited() -> None:
        async with asyncio.timeout(DEADLINE):
            await main()

    asyncio.run(limited())


def test_a_sweep_waits_while_something_is_made_but_not_for_ever_if_a_person_waits() -> None:
    slept: list[float] = []
    pauses = Pauses(busy=lambda: len(slept) < 1000, stopping=lambda: False, patience=0.5, sleep=slept.append)
    assert pauses()
    assert sum(slept) == pytest.approx(0.5, abs=0.06)
    assert pauses()
    assert sum(slept) == pytest.approx(0.5, abs=0.06)  # the patience is for all of it
    endless = Pauses(busy=lambda: True, stopping=lambda: len(slept) > 100, sleep=slept.append)
    assert not endless()


class Immediate(Collector):
    """Has taken everything at once, when it is its turn."""

    async def _collect(self, _order: CollectOrder, tell: Callable[[Told], None]) -> None:
        tell(Collected())


def collector_beside(alone: asyncio.Lock) -> Collector:
    service: Any = SimpleNamespace(store=None, holds=Holds())
    surveyor: Any = None
    return Immediate(service, surveyor, alone=alone, on_swept=lambda: None)


def test_a_collect_waits_for_a_verification_and_a_dry_run_for_nothing() -> None:
    async def main() -> None:
        alone = asyncio.Lock()
        collector = collector_beside(alone)

        async def told(*, dry_run: bool) -> list[Told]:
            order = CollectOrder(settings=CollectSettings(), dry_run=dry_run)
            return [event async for event in collector.collect(order)]

        async with alone:  # a verification is under way
            assert await told(dry_run=True) == [Collected()]
            waiting = asyncio.create_task(told(dry_run=False))
            for _ in range(20):
                await asyncio.sleep(0)
            assert not waiting.done()
        assert await waiting == [Collected()]

    asyncio.run(main())


def test_a_collect_that_waits_is_told_when_the_daemon_stops() -> None:
    async def main() -> None:
        alone = asyncio.Lock()
        collector = collector_beside(alone)
        async with alone:
            waiting = asyncio.ensure_future(anext(collector.collect(CollectOrder(settings=CollectSettings())), None))
            await asyncio.sleep(0)
            await collector.stop()
            with pytest.raises(ProblemError, match="stopping"):
                await waiting

    asyncio.run(main())


def settings(folder: Path, text: str | None = None, variables: Mapping[str, str] | None = None) -> CollectSettings:
    if text is not None:
        (folder / "storectl").mkdir(exist_ok=True)
        (folder / "storectl/config.toml").write_text(text)
    return CollectSettings.read({"XDG_CONFIG_HOME": str(folder), "HOME": "/nowhere", **(variables or {})})


def test_without_any_settings_the_usual_ones_count(tmp_path: Path) -> None:
    assert settings(tmp_path) == CollectSettings()


def test_a_variable_wins_over_the_file_and_an_option_over_both(tmp_path: Path) -> None:
    found = settings(
        tmp_path,
        '[collect]\nautomatic = false\nkeep_days = 7\nkeep_generations = 3\ngrace = 60\nmax_size = "20G"\n',
        {"STORECTL_COLLECT_KEEP_DAYS": "5.5"},
    )
    expected = CollectSettings(automatic=False, keep_days=5.5, keep_generations=3, grace=60, max_size=20 * GB)
    assert found == expected
    assert found.asked(keep_days=0, max_size=None) == replace(expected, keep_days=0)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[collect]\nkeep_days = -1\n", "keep_days"),
        ("[collect]\nkeep_days = true\n", "keep_days"),
        ("[collect]\nkeep_generations = 1.5\n", "keep_generations"),
        ("[collect]\nautomatic = 1\n", "automatic"),
        ('[collect]\nmax_size = "big"\n', 'a size such as "20G"'),
        ("[collect]\ngrace = 59\n", "too short"),
        ("collect = 3\n", "write [collect]"),
        ("[colect]\n", "did you mean collect?"),
        ("[collect]\nkeepdays = 3\n", "did you mean keep_days?"),
        ("[collect\n", "line 1"),
    ],
)
def test_what_cannot_be_used_is_an_error_that_names_it(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(SettingsError, match=r"config\.toml|grace|colect|keep") as raised:
        settings(tmp_path, text)
    assert told in str(raised.value)


def test_a_variable_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="STORECTL_COLLECT_MAX_SIZE is 'x'"):
        settings(tmp_path, variables={"STORECTL_COLLECT_MAX_SIZE": "x"})


def test_settings_of_another_user_decide_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings(tmp_path, "[collect]\n")
    if tmp_path.stat().st_uid == 0:
        os.chown(tmp_path / "storectl/config.toml", 4711, 4711)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 4711)
    with pytest.raises(SettingsError, match="another user's"):
        settings(tmp_path)
