import os
from pathlib import Path

import pytest

from storectl_daemon.jobs.options import DEFAULT_OPTIONS, Options
from storectl_daemon.projects.book import Project, ProjectBook, RecordedEnvironment
from storectl_store.digest import EnvironmentId


@pytest.fixture
def book(tmp_path: Path) -> ProjectBook:
    return ProjectBook(tmp_path / "projects.json")


def numbered(number: int) -> Options:
    return Options(extras=frozenset({f"x{number}"}))


def test_what_was_recorded_is_there_after_a_restart(tmp_path: Path, book: ProjectBook) -> None:
    recorded = RecordedEnvironment(
        options=Options(python="3.12", extras=frozenset({"a"}), groups=frozenset({"g"}), lock_file="/x/uv.lock"),
        lock_file="/x/uv.lock",
        inputs="ab",
        environment=EnvironmentId("cd"),
        last_used=12.5,
    )
    book.add(tmp_path / "one")
    book.record(tmp_path / "one", recorded)
    again = ProjectBook(tmp_path / "projects.json")
    assert list(again) == [Project(path=tmp_path / "one", environments=(recorded,))]


def test_sixteen_sets_of_options_are_kept_and_the_default_ones_always(tmp_path: Path, book: ProjectBook) -> None:
    book.record(tmp_path, RecordedEnvironment(options=DEFAULT_OPTIONS))
    for number in range(30):
        book.record(tmp_path, RecordedEnvironment(options=numbered(number)))
    project = book.get(tmp_path)
    assert project is not None
    kept = [recorded.options for recorded in project.environments]
    assert kept == [numbered(number) for number in range(29, 14, -1)] + [DEFAULT_OPTIONS]


def test_wanting_options_again_keeps_what_came_of_them(tmp_path: Path, book: ProjectBook) -> None:
    known = RecordedEnvironment(options=DEFAULT_OPTIONS, inputs="ab", environment=EnvironmentId("cd"))
    book.record(tmp_path, known)
    assert book.want(tmp_path, DEFAULT_OPTIONS).environments == (known,)


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


def test_what_was_put_on_top_is_not_what_a_project_is(tmp_path: Path, book: ProjectBook) -> None:
    book.want(tmp_path, numbered(1))
    project = book.want(tmp_path, Options(overlay="/state/overlays/0123/uv.lock"))
    assert project.main == RecordedEnvironment(options=numbered(1))
