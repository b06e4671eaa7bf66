"""What becomes of shortcuts: those that lead nowhere go, and a damaged one is told from a whole one."""

import os
from pathlib import Path

import pytest

from storectl_shim.shortcuts import FORMAT, quoted, read_target, shortcut_content, shortcut_path, stamp_path
from storectl_store.entries.layout import StoreLayout
from storectl_store.projects.shortcuts import (
    drop_lost_shortcuts,
    forget_shortcuts,
    shortcut_files,
    shortcut_problem,
)

KEY = "0123456789abcdef"
AT = 1_700_000_000_123_456_789
SPELLING = "python=3.11+extras=a"


class Place:
    """A store and a project in it, whose record has one set of options beside the default ones."""

    def __init__(self, folder: Path) -> None:
        self.layout = StoreLayout(folder / "store")
        self.project = folder / "it's a project"
        (self.project / "inner").mkdir(parents=True)
        self.record(self.project, "default", KEY)

    def record(self, project: Path, *keys: str) -> None:
        self.layout.project_record(project).mkdir(parents=True)
        for key in keys:
            self.layout.ready_record(project, key).touch()

    def write(self, start: Path, target: Path | None = None, key: str = KEY, spelling: str = SPELLING) -> Path:
        """A shortcut with two conditions, as the command line writes it."""
        path = shortcut_path(str(self.layout.root), str(start), spelling)
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        calls = [f"_storectl_as_before {quoted('/some where')} +{AT}", "_storectl_absent '/else'"]
        to = f"_storectl_to {quoted(str(target or self.project))} {key}"
        Path(stamp_path(path, AT)).touch()
        os.utime(stamp_path(path, AT), ns=(AT, AT))
        Path(path).write_bytes(shortcut_content([*calls, to]))
        return Path(path)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path.resolve())


def test_a_whole_shortcut_says_which_record_it_leads_to(place: Place) -> None:
    file = place.write(place.project)
    assert read_target(str(file)) == (str(place.project), KEY)
    assert shortcut_problem(file) is None
    assert shortcut_files(place.layout) == [file]


def test_a_shortcut_that_leads_somewhere_stays(place: Place) -> None:
    script = place.project / "script.py"
    script.touch()
    files = {
        place.write(place.project),
        place.write(place.project / "inner", key="default", spelling="plain"),
        place.write(script),
        place.write(Path("/@tools/ruff@0.6.1")),
    }
    assert drop_lost_shortcuts(place.layout) == 0
    assert set(shortcut_files(place.layout)) == files


@pytest.mark.parametrize("start", ["gone", "/@tools/ruff", "inner"])
def test_a_shortcut_goes_with_the_record_that_it_leads_to(place: Place, start: str) -> None:
    file = place.write(place.project / start)
    place.layout.ready_record(place.project, KEY).unlink()
    assert drop_lost_shortcuts(place.layout) == 1
    assert not file.exists()


def test_a_shortcut_goes_with_the_script_where_it_starts(place: Place) -> None:
    place.write(place.project / "script.py")
    assert drop_lost_shortcuts(place.layout) == 1
    assert shortcut_files(place.layout) == []


def test_stamps_and_scraps_of_an_hour_ago_go_and_younger_ones_may_be_of_a_writer(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, lost = place.write(place.project), place.write(place.project, spelling="python=3.12")
    scrap = kept.with_name(".tmp-1")
    scrap.touch()
    lost.unlink()
    stamps = Path(stamp_path(str(kept), AT)), Path(stamp_path(str(lost), AT))
    drop_lost_shortcuts(place.layout)
    assert all(path.exists() for path in (scrap, *stamps))
    monkeypatch.setattr("storectl_store.projects.shortcuts.time.time", lambda: scrap.stat().st_ctime + 3601)
    drop_lost_shortcuts(place.layout)
    assert [path.exists() for path in (kept, *stamps, scrap)] == [True, True, False, False]


def test_folders_without_shortcuts_go(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    file = place.write(place.project / "gone" / "deeper")
    stamp = Path(stamp_path(str(file), AT))
    monkeypatch.setattr("storectl_store.projects.shortcuts.time.time", lambda: stamp.stat().st_ctime + 3601)
    drop_lost_shortcuts(place.layout)
    assert not place.layout.shortcuts.exists()
    assert place.layout.root.exists()


def test_forgetting_a_project_takes_its_own_shortcuts_and_no_other_project_s(place: Place) -> None:
    inner, beside = place.project / "inner", place.project.with_name("beside")
    place.record(inner, KEY)
    theirs = [place.write(inner, inner), place.write(beside, beside)]
    for start in (place.project, place.project / "member", place.project / "script.py"):
        place.write(start)
    forget_shortcuts(place.layout, place.project)
    assert shortcut_files(place.layout) == sorted(theirs)
    forget_shortcuts(place.layout, place.project)


def test_a_store_without_shortcuts_has_none_to_drop(tmp_path: Path) -> None:
    assert drop_lost_shortcuts(StoreLayout(tmp_path)) == 0
    forget_shortcuts(StoreLayout(tmp_path), Path("/nowhere"))


@pytest.mark.parametrize("content", [b"", b"\0\xff", shortcut_content(["_storectl_to '/x'"]), f"{FORMAT}\n".encode()])
def test_a_shortcut_that_nobody_understands_is_damaged_and_goes(place: Place, content: bytes) -> None:
    file = place.write(place.project)
    file.write_bytes(content)
    assert shortcut_problem(file)
    assert drop_lost_shortcuts(place.layout) == 1


def test_no_flipped_bit_of_a_shortcut_passes(place: Place) -> None:
    file = place.write(place.project)
    content = file.read_bytes()
    for number in range(len(content) * 8):
        damaged = bytearray(content)
        damaged[number // 8] ^= 1 << number % 8
        file.write_bytes(damaged)
        assert read_target(str(file)) is None


def test_a_stamp_that_is_gone_or_of_another_time_is_damage(place: Place) -> None:
    file = place.write(place.project)
    stamp = Path(stamp_path(str(file), AT))
    os.utime(stamp, ns=(AT, AT + 1))
    assert shortcut_problem(file)
    stamp.unlink()
    assert shortcut_problem(file)


def test_a_shortcut_that_went_while_it_was_looked_at_is_no_damage(place: Place) -> None:
    file = place.write(place.project)
    file.unlink()
    assert shortcut_problem(file) is None
