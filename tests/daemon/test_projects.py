import os
from pathlib import Path

import pytest

from storectl_daemon.environments import Environments
from storectl_daemon.options import DEFAULT_OPTIONS, Options
from storectl_daemon.project_files import DiskProjectFiles, LinkError
from storectl_daemon.projects import Project, ProjectBook, Wish
from storectl_store.entries.layout import StoreLayout


@pytest.fixture
def book(tmp_path: Path) -> ProjectBook:
    return ProjectBook(tmp_path / "projects.json")


@pytest.fixture
def files(tmp_path: Path) -> DiskProjectFiles:
    layout = StoreLayout(tmp_path / "store")
    return DiskProjectFiles(layout, Environments(layout), home=None)


def numbered(number: int) -> Options:
    return Options(extras=frozenset({f"x{number}"}))


def test_what_was_recorded_is_there_after_a_restart(tmp_path: Path, book: ProjectBook) -> None:
    wish = Wish(
        options=Options(python="3.12", extras=frozenset({"a"}), groups=frozenset({"g"}), lock_file="/x/uv.lock"),
        lock_file="/x/uv.lock",
        inputs="ab",
        environment="cd",
        last_used=12.5,
    )
    book.add(tmp_path / "one", link=".venv")
    book.record(tmp_path / "one", wish)
    again = ProjectBook(tmp_path / "projects.json")
    assert list(again) == [Project(path=tmp_path / "one", link=".venv", wishes=(wish,))]


def test_sixteen_sets_of_options_are_kept_and_the_default_ones_always(tmp_path: Path, book: ProjectBook) -> None:
    book.record(tmp_path, Wish(options=DEFAULT_OPTIONS))
    for number in range(30):
        book.record(tmp_path, Wish(options=numbered(number)))
    project = book.get(tmp_path)
    assert project is not None
    kept = [wish.options for wish in project.wishes]
    assert kept == [numbered(number) for number in range(29, 14, -1)] + [DEFAULT_OPTIONS]


def test_wanting_options_again_keeps_what_came_of_them(tmp_path: Path, book: ProjectBook) -> None:
    granted = Wish(options=DEFAULT_OPTIONS, inputs="ab", environment="cd")
    book.record(tmp_path, granted)
    assert book.want(tmp_path, DEFAULT_OPTIONS).wishes == (granted,)


def test_a_link_stays_until_there_is_another(tmp_path: Path, book: ProjectBook) -> None:
    book.add(tmp_path, link=".venv")
    assert book.add(tmp_path).link == ".venv"
    assert book.add(tmp_path, link="env").link == "env"


def test_the_nearest_registered_project_contains_a_folder(tmp_path: Path, book: ProjectBook) -> None:
    book.add(tmp_path)
    inner = book.add(tmp_path / "a/b")
    assert book.containing(tmp_path / "a/b/c") == inner
    assert book.containing(tmp_path / "a") == book.get(tmp_path)
    assert book.containing(tmp_path.parent) is None


def test_a_removed_project_is_gone_after_a_restart(tmp_path: Path, book: ProjectBook) -> None:
    book.add(tmp_path)
    assert book.remove(tmp_path)
    assert not book.remove(tmp_path)
    assert list(ProjectBook(tmp_path / "projects.json")) == []


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"format": 2, "projects": [1]}', b'{"format": 1, "projects": [{}]}', b"\xff", b"[" * 100_000],
)
def test_a_broken_book_starts_empty_and_is_replaced(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "projects.json"
    file.write_bytes(content)
    book = ProjectBook(file)
    assert list(book) == []
    book.add(tmp_path)
    assert [project.path for project in ProjectBook(file)] == [tmp_path]


def test_a_folder_whose_name_is_not_unicode_survives_a_restart(tmp_path: Path, book: ProjectBook) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    book.add(folder)
    assert [project.path for project in ProjectBook(tmp_path / "projects.json")] == [folder]


def test_a_link_is_moved_to_the_new_environment(tmp_path: Path, files: DiskProjectFiles) -> None:
    for environment in ("one", "two"):
        files.point_link(tmp_path, ".venv", tmp_path / environment)
        assert os.readlink(tmp_path / ".venv") == str(tmp_path / environment)
    assert os.listdir(tmp_path) == [".venv"]


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_a_link_never_replaces_anything_but_a_symlink(tmp_path: Path, files: DiskProjectFiles, kind: str) -> None:
    place = tmp_path / ".venv"
    if kind == "folder":
        place.mkdir()
    else:
        place.write_text("mine")
    with pytest.raises(LinkError, match="not a symlink") as caught:
        files.point_link(tmp_path, ".venv", tmp_path / "one")
    assert caught.value.code == "E_LINK"
    assert not place.is_symlink()


def test_what_was_put_on_top_is_not_what_a_project_is(tmp_path: Path, book: ProjectBook) -> None:
    book.want(tmp_path, numbered(1))
    project = book.want(tmp_path, Options(overlay="/state/overlays/0123/uv.lock"))
    assert project.main == Wish(options=numbered(1))
