"""ARCHITECTURE.md names modules that exist, every room, and a way for newcomers that does not go back."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "ARCHITECTURE.md").read_text()
PACKAGES = ("client/storectl", "client/storectl_shim", "daemon/storectl_daemon", "store/storectl_store")


def section(title: str) -> str:
    return TEXT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_every_module_that_is_named_exists() -> None:
    named = re.findall(r"`((?:storectl|storectl_shim|storectl_daemon|storectl_store)(?:\.\w+)+)`", TEXT)
    assert len(named) > 20
    for name in named:
        path = name.replace(".", "/")
        assert any((ROOT / top / f"{path}.py").is_file() for top in ("client", "daemon", "store")), name


def test_every_room_has_its_row() -> None:
    rows = set(re.findall(r"`([\w/]+)`", " ".join(re.findall(r"^\|([^|]+)\|", section("Rooms"), re.MULTILINE))))
    for package in PACKAGES:
        for init in (ROOT / package).rglob("__init__.py"):
            room = init.parent.relative_to((ROOT / package).parent).as_posix()
            inner = init.parent.relative_to(ROOT / package).as_posix()
            assert {room, inner, init.parent.relative_to(ROOT).as_posix()} & rows, room


def test_every_folder_that_is_named_exists() -> None:
    for folder in re.findall(r"`([\w/]+)/`", TEXT):
        found = [ROOT / folder, *(ROOT / package / folder for package in PACKAGES)]
        assert folder in STORE_FOLDERS or any(path.is_dir() for path in found), folder


STORE_FOLDERS = {"meta", "tmp", "trash", "quarantine"}


def test_the_walk_has_at_most_twelve_stops_each_of_them_once() -> None:
    stops = re.findall(r"^\d+\. `([^`]+)`", section("A walk for newcomers"), re.MULTILINE)
    assert 0 < len(stops) == len(set(stops)) <= 12
