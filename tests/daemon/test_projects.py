import errno
import os
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from storectl_daemon.environments import Environments
from storectl_daemon.jobs.options import DEFAULT_OPTIONS, Options
from storectl_daemon.projects import files as project_files
from storectl_daemon.projects.book import Project, ProjectBook, RecordedEnvironment
from storectl_daemon.projects.files import LinkError, ProjectFiles
from storectl_store.digest import EnvironmentId
from storectl_store.disk import durability
from storectl_store.entries.layout import StoreLayout


@pytest.fixture
def book(tmp_path: Path) -> ProjectBook:
    return ProjectBook(tmp_path / "projects.json")


@pytest.fixture
def files(tmp_path: Path) -> ProjectFiles:
    layout = StoreLayout(tmp_path / "store")
    return ProjectFiles(layout, Environments(layout), home=None)


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
    book.add(tmp_path / "one", link=".venv")
    book.record(tmp_path / "one", recorded)
    again = ProjectBook(tmp_path / "projects.json")
    assert list(again) == [Project(path=tmp_path / "one", link=".venv", environments=(recorded,))]


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


class Linked:
    """A project with a lock file and a link."""

    def __init__(self, folder: Path, files: ProjectFiles) -> None:
        self.folder, self.files = folder / "project", files
        self.folder.mkdir()
        self.lock_file = self.folder / "uv.lock"
        self.lock_file.touch()
        self.link = self.folder / ".venv"
        self.link.symlink_to(folder / "old")
        self.new = folder / "new"

    def renew(self) -> None:
        self.files.point_link(self.folder, ".venv", self.new, self.lock_file)


@pytest.fixture
def linked(tmp_path: Path, files: ProjectFiles) -> Linked:
    return Linked(tmp_path, files)


@pytest.mark.parametrize("other_disk", [False, True])
def test_a_link_is_moved_to_the_new_environment(linked: Linked, other_disk: bool, monkeypatch: Any) -> None:  # noqa: FBT001
    exchange = durability.exchange

    def as_on_another_disk(one: Path, other: Path) -> None:
        if one.parent != other.parent:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        exchange(one, other)

    if other_disk:
        monkeypatch.setattr(project_files, "exchange", as_on_another_disk)
    linked.renew()
    assert os.readlink(linked.link) == str(linked.new)
    assert sorted(os.listdir(linked.folder)) == [".venv", "uv.lock"]
    assert os.listdir(linked.files._layout.tmp) == []


@pytest.mark.parametrize("gone", ["link", "lock file", "folder"])
def test_a_link_is_renewed_only_where_it_is_and_the_project_has_its_lock_file(linked: Linked, gone: str) -> None:
    if gone == "folder":
        shutil.rmtree(linked.folder)
    else:
        {"link": linked.link, "lock file": linked.lock_file}[gone].unlink()
    before = os.listdir(linked.folder) if gone != "folder" else []
    linked.renew()
    assert (os.listdir(linked.folder) if linked.folder.exists() else []) == before
    assert gone == "link" or not linked.link.is_symlink() or os.readlink(linked.link) != str(linked.new)


def test_a_link_that_goes_while_it_is_renewed_stays_gone(linked: Linked, monkeypatch: pytest.MonkeyPatch) -> None:
    exchange = durability.exchange

    def late(one: Path, other: Path) -> None:
        other.unlink()
        exchange(one, other)

    monkeypatch.setattr(project_files, "exchange", late)
    linked.renew()
    assert os.listdir(linked.folder) == ["uv.lock"]


def test_a_checkout_can_be_deleted_whatever_the_daemon_does_meanwhile(linked: Linked) -> None:
    """The link is renewed again and again, by a thread, until the folder is gone."""
    gone = threading.Event()

    def renew_always() -> None:
        number = 0
        while not gone.is_set():
            number += 1
            linked.files.point_link(linked.folder, ".venv", linked.new / str(number), linked.lock_file)

    renewing = threading.Thread(target=renew_always)
    renewing.start()
    try:
        for number in range(30):
            subprocess.run(["rm", "-r", str(linked.folder)], check=True)
            assert not linked.folder.exists()
            linked.folder.mkdir()
            for name in range(50):
                (linked.folder / f"{name}").touch()
            linked.link.symlink_to(str(number))
            linked.lock_file.touch()
    finally:
        gone.set()
        renewing.join()


@pytest.mark.parametrize("kind", ["folder", "file"])
@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_a_link_never_replaces_anything_but_a_symlink(
    linked: Linked, kind: str, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange = durability.exchange

    def take_its_place() -> None:
        linked.link.unlink()
        if kind == "folder":
            linked.link.mkdir()
        (linked.link / "mine" if kind == "folder" else linked.link).write_text("mine")

    def late(one: Path, other: Path) -> None:
        if other.is_symlink() and os.readlink(other) != str(linked.new):
            take_its_place()
        exchange(one, other)

    if when == "before":
        take_its_place()
    else:
        monkeypatch.setattr(project_files, "exchange", late)
    with pytest.raises(LinkError, match="not a symlink") as caught:
        linked.renew()
    assert caught.value.code == "E_LINK"
    assert (linked.link / "mine" if kind == "folder" else linked.link).read_text() == "mine"


def test_what_was_put_on_top_is_not_what_a_project_is(tmp_path: Path, book: ProjectBook) -> None:
    book.want(tmp_path, numbered(1))
    project = book.want(tmp_path, Options(overlay="/state/overlays/0123/uv.lock"))
    assert project.main == RecordedEnvironment(options=numbered(1))
