"""A wheel that was built, and that a collect takes away before its entry is held, is made once more."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from storectl_daemon.building.builder import Builder, BuildError
from storectl_daemon.building.known_builds import BuiltWheel
from storectl_store.collecting.holds import Holds
from storectl_store.selection.pin import Pin, WheelFile
from support.stores import WrittenStore, digest, written_store
from support.wheels import make_wheel

WHEEL = make_wheel("built")
PIN = Pin(
    name=WHEEL.name,  # type: ignore[arg-type]
    version="1.0",
    wheel=WheelFile(filename=WHEEL.filename, digest=digest(WHEEL), url="file:///built", size=1),
)


@pytest.fixture
def written(tmp_path: Path) -> Iterator[WrittenStore]:
    with written_store(tmp_path / "store") as written:
        yield written


class Building(Builder):
    """Says that the wheel is there, which is true from the ``there``-th time on."""

    def __init__(self, written: WrittenStore, there: int) -> None:
        self._store = written.store
        self.written = written
        self.there = there
        self.asked = 0

    async def _known_or_built(self, _order: Any, _report: Any) -> BuiltWheel:
        self.asked += 1
        if self.asked == self.there:
            self.written.commit(WHEEL)
        return BuiltWheel(pin=PIN)


def made(builder: Building, holds: Holds) -> BuiltWheel:
    order: Any = SimpleNamespace(how=SimpleNamespace(hold=holds.keep()), label="built 1.0", name="built")
    report: Any = None
    return asyncio.run(builder._made(order, report))


@pytest.mark.parametrize("there", [1, 2])
def test_it_is_held_when_it_is_handed_over(written: WrittenStore, there: int) -> None:
    holds, builder = Holds(), Building(written, there)
    assert made(builder, holds).pin == PIN
    assert builder.asked == there
    assert holds.held() == {digest(WHEEL)}


def test_one_that_is_gone_again_and_again_is_an_error(written: WrittenStore) -> None:
    with pytest.raises(BuildError, match="gone again"):
        made(Building(written, 100), Holds())
