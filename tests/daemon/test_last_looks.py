"""What a warm with nothing to do looks at: the times of folders, if all files were found right a short while ago."""

from collections.abc import Callable
from pathlib import Path

import pytest

from storectl_daemon.repair import last_looks
from storectl_daemon.repair.last_looks import LastLooks, times_of


def noted(folder: Path) -> LastLooks:
    (folder / "entry" / "package" / "inner").mkdir(parents=True)
    (folder / "entry" / "package" / "inner" / "module.py").write_text("X = 1\n")
    (folder / "environment.json").write_text("{}")
    looks = LastLooks()
    looks.note(folder, times_of([folder / "entry"], [folder / "environment.json"]))
    return looks


def replace(path: Path) -> None:
    (path.parent / "other").write_text("X = 1\n")
    (path.parent / "other").replace(path)


CHANGES: dict[str, Callable[[Path], object]] = {
    "a file is gone": lambda folder: (folder / "entry/package/inner/module.py").unlink(),
    "a file has come": lambda folder: (folder / "entry/package/inner/more.py").touch(),
    "a file is another": lambda folder: replace(folder / "entry/package/inner/module.py"),
    "a folder has come": lambda folder: (folder / "entry/package/more").mkdir(),
    "a folder is gone": lambda folder: (folder / "entry/package").rename(folder / "elsewhere"),
    "the record is written to": lambda folder: (folder / "environment.json").write_text("{ }"),
    "the record is gone": lambda folder: (folder / "environment.json").unlink(),
}


def test_what_was_found_right_is_right_as_long_as_nothing_comes_or_goes(tmp_path: Path) -> None:
    looks = noted(tmp_path)
    assert looks.holds(tmp_path)
    looks.forget(tmp_path)
    assert not looks.holds(tmp_path)


@pytest.mark.parametrize("change", CHANGES)
def test_what_comes_goes_or_is_replaced_is_seen(tmp_path: Path, change: str) -> None:
    looks = noted(tmp_path)
    CHANGES[change](tmp_path)
    assert not looks.holds(tmp_path)


def test_what_is_changed_in_place_is_looked_at_after_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = noted(tmp_path)
    (tmp_path / "entry/package/inner/module.py").write_text("")
    assert looks.holds(tmp_path)
    monkeypatch.setattr(last_looks, "GOOD_FOR_S", -1.0)
    assert not looks.holds(tmp_path)


def test_only_so_many_environments_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(last_looks, "_MOST", 2)
    looks = LastLooks()
    folders = [tmp_path / name for name in ("a", "b", "c")]
    for folder in folders:
        folder.mkdir()
        looks.note(folder, times_of([folder], []))
    assert [looks.holds(folder) for folder in folders] == [False, True, True]
