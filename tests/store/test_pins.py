"""Pins: environments that a person wants to keep."""

import os
from pathlib import Path

import pytest

from storectl_store.collecting.pins import KeptEnvironment, is_pin_name, read_pins, remove_pin, write_pin
from storectl_store.digest import EnvironmentId
from storectl_store.entries.layout import StoreLayout
from storectl_store.errors import StoreError, StoreFormatError
from support.golden import check_golden

ENVIRONMENT = EnvironmentId("0123456789abcdef" * 2)


def pin(name: str, project: str = "/home/me/work/site") -> KeptEnvironment:
    return KeptEnvironment(name=name, environment=ENVIRONMENT, at_ns=1_700_000_000_000_000_000, project=Path(project))


@pytest.fixture
def layout(tmp_path: Path) -> StoreLayout:
    return StoreLayout(tmp_path)


def test_a_store_without_pins_has_none(layout: StoreLayout) -> None:
    assert read_pins(layout) == ()
    assert not remove_pin(layout, "course")


def test_what_was_pinned_is_read_again_by_name(layout: StoreLayout) -> None:
    write_pin(layout, pin("thesis"))
    write_pin(layout, pin("course"))
    assert read_pins(layout) == (pin("course"), pin("thesis"))
    assert remove_pin(layout, "course")
    assert read_pins(layout) == (pin("thesis"),)


@pytest.mark.parametrize("project", ["/a b/c", "/a\nb", "/a\\nb", "/a\\", os.fsdecode(b"/a\xff")])
def test_a_pin_has_any_folder(layout: StoreLayout, project: str) -> None:
    write_pin(layout, pin("course", project))
    assert read_pins(layout) == (pin("course", project),)


def test_the_format(layout: StoreLayout) -> None:
    write_pin(layout, pin("course"))
    check_golden("pin.v1", (layout.roots / "course").read_bytes())


@pytest.mark.parametrize(
    "content",
    [b"", b"1", b"2 0123456789abcdef0123456789abcdef 1 /p\n", b"1 ../.. 1 /p\n", b"1 " + b"0" * 32 + b" 1 /p"],
)
def test_a_pin_that_nobody_understands_is_an_error_and_not_nothing(layout: StoreLayout, content: bytes) -> None:
    write_pin(layout, pin("course"))
    (layout.roots / "thesis").write_bytes(content)
    with pytest.raises(StoreFormatError, match="thesis"):
        read_pins(layout)


def test_a_pin_that_cannot_be_read_is_an_error(layout: StoreLayout) -> None:
    (layout.roots / "thesis").mkdir(parents=True)
    with pytest.raises(StoreError, match="roots"):
        read_pins(layout)


@pytest.mark.parametrize("name", ["", ".", "..", ".tmp", "a/b", "a b", "-a", "a" * 65, "a\n"])
def test_what_is_no_name_of_a_pin(name: str) -> None:
    assert not is_pin_name(name)
