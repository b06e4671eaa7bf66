"""Which Python the folders around a lock file ask for, and that every file looked for is an input."""

import os
from pathlib import Path

import pytest

from storectl_store.projects.version_files import Around, look_around


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """A checkout with a folder ``requirements`` in it, below a folder that has nothing to say about it."""
    (tmp_path / ".python-version").write_text("3.1\n")
    (tmp_path / "work" / "requirements").mkdir(parents=True)
    (tmp_path / "work" / ".git").mkdir()
    return tmp_path / "work"


def look(folder: Path, home: Path | None = None, *, for_project: bool = False) -> Around:
    return look_around(folder, {"HOME": str(home)} if home else {}, for_project=for_project)


def test_the_nearest_version_file_upwards_counts(folders: Path) -> None:
    (folders / ".python-version").write_text("3.12\n")
    assert look(folders / "requirements").pinned == "3.12\n"
    (folders / "requirements" / ".python-version").write_text("3.11\n")
    assert look(folders / "requirements").pinned == "3.11\n"
    assert look(folders).pinned == "3.12\n"


def test_a_file_of_versions_counts_if_there_is_none_of_one(folders: Path) -> None:
    (folders / ".python-versions").write_text("3.10\n3.12\n")
    assert look(folders / "requirements").pinned == "3.10\n3.12\n"
    (folders / ".python-version").write_text("3.12\n")
    assert look(folders / "requirements").pinned == "3.12\n"


def test_the_way_up_ends_with_the_checkout_and_with_the_home_folder(folders: Path) -> None:
    assert look(folders / "requirements").pinned is None
    (folders / ".git").rmdir()
    assert look(folders / "requirements").pinned == "3.1\n"
    assert look(folders / "requirements", home=folders).pinned is None


def test_every_file_that_was_looked_for_is_an_input(folders: Path) -> None:
    (folders / ".python-versions").write_text("3.10\n")
    found = look(folders / "requirements", for_project=True).inputs
    names = {path.relative_to(folders).as_posix(): state is not None for path, state in found.items()}
    assert names == {
        "requirements/.python-version": False,
        "requirements/.python-versions": False,
        ".python-version": False,
        ".python-versions": True,
        "requirements/pyproject.toml": False,
        "pyproject.toml": False,
    }


def test_the_project_around_a_requirements_file_says_which_versions_it_is_for(folders: Path) -> None:
    (folders / "pyproject.toml").write_text('[project]\nname = "x"\nrequires-python = ">=3.11"\n')
    assert look(folders / "requirements", for_project=True).requires_python == ">=3.11"
    assert look(folders / "requirements").requires_python is None


@pytest.mark.parametrize("text", ["", "project = 3", "[project]\nrequires-python = 3\n", "<<<<<<< HEAD", "\xff"])
def test_a_project_that_says_nothing_that_can_be_read_says_nothing(folders: Path, text: str) -> None:
    (folders / "pyproject.toml").write_text(text, encoding="latin-1")
    assert look(folders / "requirements", for_project=True).requires_python is None


def test_a_version_file_of_somebody_else_is_passed_over(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = folders / "requirements" / ".python-version"
    theirs.write_text("/tmp/theirs/python\n")
    (folders / ".python-version").write_text("3.12\n")
    real = os.stat

    def stat(path: str | Path) -> os.stat_result:
        found = real(path)
        return os.stat_result((*found[:4], found.st_uid + 1, *found[5:])) if Path(path) == theirs else found

    monkeypatch.setattr(os, "stat", stat)
    assert look(folders / "requirements").pinned == "3.12\n"


def test_a_folder_named_like_a_version_file_is_none(folders: Path) -> None:
    (folders / "requirements" / ".python-version").mkdir()
    (folders / ".python-version").write_text("3.12\n")
    assert look(folders / "requirements").pinned == "3.12\n"
