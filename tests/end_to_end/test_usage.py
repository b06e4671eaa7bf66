"""What `storectl store du` says of a store that two projects use."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from storectl.commands.usage_documents import Usage
from storectl_store.disk.disk_size import DiskSize
from support.daemon import until
from support.index import LoopbackIndex, serve_index
from support.json_page import differences
from support.lived_in import walked
from support.machine import Machine, new_machine
from support.project import write_project
from support.wheels import make_wheel

TEXT = "".join(f"def f{n}(): return {n}\n" for n in range(2000))
BOTH = make_wheel("both", files={"both.py": TEXT})
LEFT = make_wheel("left", files={"left.py": TEXT, "left.txt": TEXT})
RIGHT = make_wheel("right", files={"right.py": ""})
NOW = {
    "STORECTL_COLLECT_ANY_GRACE": "1",
    "STORECTL_COLLECT_GRACE": "0",
    "STORECTL_COLLECT_KEEP_DAYS": "0",
    "STORECTL_COLLECT_KEEP_GENERATIONS": "1",
}
"""Nothing is kept for having been made or used lately."""


@pytest.fixture(scope="module")
def used() -> Iterator[Machine]:
    """A machine with two projects, one of them linked, which all look at."""
    with new_machine() as machine, serve_index() as index:
        _use(machine, index)
        machine.ok("link", cwd=machine.home / "left")
        yield machine


def _use(machine: Machine, index: LoopbackIndex) -> None:
    left = write_project(machine.home / "left", index, [BOTH, LEFT])
    right = write_project(machine.home / "right", index, [BOTH, RIGHT])
    machine.ok("warm", cwd=left)
    machine.ok("warm", cwd=right)


def counted(machine: Machine, *options: str) -> Any:
    return json.loads(machine.ok("store", "du", "--json", *options))


def test_the_store_and_whose_it_is(used: Machine) -> None:
    usage = counted(used)
    left, right = (next(s for s in usage["shares"] if s["name"] == str(used.home / n)) for n in ("left", "right"))
    assert left["own"]["bytes"] > right["own"]["bytes"]
    assert left["entries"] == right["entries"] == 2
    for share in (left, right):
        assert {n: share["own"][n] + share["shared"][n] for n in ("inodes", "bytes")} == share["full"]
        assert share["shared"]["bytes"] > len(TEXT)
    assert left["linked"]["inodes"] > 5
    assert right["linked"] is None
    parts = ("wheels", "bytecode", "manifests", "environments", "links", "trash")
    assert sum(part["inodes"] for part in usage["parts"] if part["name"] in parts) + 1 == _collectable(used).inodes


def test_shares_of_each_kind_are_told_to_people_and_to_programs(used: Machine) -> None:
    expected = {
        "project": {str(used.home / "left"), str(used.home / "right")},
        "package": {"both", "left", "right"},
        "age": {"1 day"},
        "environment": {path.name for path in (used.store / "environments").iterdir()},
        "entry": {"both", "left", "right"},
    }
    for by, names in expected.items():
        usage = counted(used, "--by", by, *(["--exact"] if by == "entry" else []))
        assert list(differences(usage, Usage)) == []
        assert {each["name"] for each in usage["entries" if by == "entry" else "shares"]} == names
        said = used.ok("store", "du", "--by", by)
        assert re.match(rf"{re.escape(str(used.store))}: [\d.]+ .?B, [\d,]+ inodes\n", said)
        assert all(name in said for name in names)


def test_what_a_dry_run_promises_is_what_a_collect_frees(machine: Machine, index: LoopbackIndex) -> None:
    _use(machine, index)
    write_project(machine.home / "left", index, [BOTH, RIGHT])
    machine.ok("warm", cwd=machine.home / "left")
    before = _collectable(machine)
    promised = json.loads(machine.ok("store", "collect", "--dry-run", "--json", env=NOW))
    assert (promised["environments"], promised["entries"]) == (1, 1)
    collected = json.loads(machine.ok("store", "collect", "--json", env=NOW))
    assert [collected[name] for name in ("inodes", "bytes")] == [promised[name] for name in ("inodes", "bytes")]
    until(lambda: (before - _collectable(machine)).inodes >= promised["inodes"])  # the trash is emptied behind
    freed = before - _collectable(machine)
    assert (promised["inodes"], promised["bytes"]) == (freed.inodes, pytest.approx(freed.bytes, rel=0.01))


def _collectable(machine: Machine) -> DiskSize:
    """What entries and environments take up, without the store's notes on them, but with its own folder."""
    parts = ("store", "meta", "environments", "links", "trash")
    return walked(machine.store, without=[name for name in os.listdir(machine.store) if name not in parts])


def test_the_picture_has_the_entries(used: Machine, tmp_path: Path) -> None:
    used.ok("store", "du", "--svg", str(tmp_path / "store.svg"))
    text = (tmp_path / "store.svg").read_text()
    assert ET.fromstring(text).tag.endswith("svg")
    assert "~/left" in text
    for name in ("both", "left", "right"):
        assert f"{name} 1.0" in text
    assert used.ok("store", "du", "--svg", "-").startswith("<svg ")


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--svg", "x.svg", "--by", "age"], 2, "--svg is a picture of its own, without --by"),
        (["--svg", "/nowhere/x.svg"], 1, "cannot write /nowhere/x.svg: No such file or directory"),
        (["--by", "colour"], 2, "'colour' is not one of"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(machine: Machine, options: list[str], code: int, said: str) -> None:
    done = machine.run("store", "du", *options)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_an_empty_store_is_counted(machine: Machine) -> None:
    assert machine.ok("store", "du", cwd=Path(os.sep)).startswith(f"{machine.store}: ")
