"""Pipfile.lock whose sections say different things; beside what Pipenv itself installs (tests/oracles)."""

import json
from pathlib import Path
from typing import Any

import pytest

from storectl_store.selection.pin import Selection
from storectl_store.selection.reading import read_lock_file
from storectl_store.selection.select import select
from support.targets import make_target

HASHES = {version: "sha256:" + f"{version}"[0] * 64 for version in ("1.0", "2.0")}


def entry(version: str, **more: str) -> dict[str, Any]:
    return {"version": f"=={version}", "hashes": [HASHES[version]], **more}


def selected(folder: Path, sections: dict[str, Any], groups: tuple[str, ...]) -> Selection:
    meta = {"pipfile-spec": 6, "requires": {}, "sources": [{"name": "own", "url": "http://127.0.0.1:9/simple"}]}
    (folder / "Pipfile.lock").write_text(json.dumps({"_meta": meta, "default": {}, "develop": {}, **sections}))
    return select(read_lock_file(folder / "Pipfile.lock"), make_target(groups=groups))


def test_the_later_section_counts_where_both_lock_a_project(tmp_path: Path) -> None:
    sections = {"default": {"a": entry("1.0"), "b": entry("1.0")}, "develop": {"a": entry("2.0"), "b": entry("1.0")}}
    selection = selected(tmp_path, sections, ("dev",))
    assert [(pin.name, pin.version) for pin in selection.index_pins] == [("a", "2.0"), ("b", "1.0")]
    (warning,) = selection.warnings
    assert "`a` " in warning
    assert "pipenv lock" in warning
    alone = selected(tmp_path, sections, ())
    assert [(pin.name, pin.version) for pin in alone.index_pins] == [("a", "1.0"), ("b", "1.0")]
    assert alone.warnings == ()


@pytest.mark.parametrize(
    ("markers", "holds"),
    [
        ("'dev' in dependency_groups", True),
        ("('dev' in dependency_groups) and (python_version >= '3.10')", True),
        ("('dev' in dependency_groups or 'more' in dependency_groups) and (sys_platform == 'linux')", True),
        ("('dev' in dependency_groups) and (sys_platform == 'win32')", False),
    ],
)
def test_what_a_section_says_of_its_own_group_holds(tmp_path: Path, markers: str, *, holds: bool) -> None:
    selection = selected(tmp_path, {"develop": {"a": entry("1.0", markers=markers)}}, ("dev",))
    assert [pin.name for pin in selection.index_pins] == (["a"] if holds else [])
