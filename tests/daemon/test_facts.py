"""What is read of projects before anything is deleted, and that nothing is overlooked."""

import errno
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from storectl_daemon.collecting.facts import Facts, read_facts
from storectl_daemon.jobs.options import DEFAULT_OPTIONS, Options
from storectl_daemon.projects.book import Project, RecordedEnvironment
from storectl_store.collecting import sightings
from storectl_store.collecting.pins import KeptEnvironment, write_pin
from storectl_store.digest import EnvironmentId
from storectl_store.entries.store import Store
from storectl_store.environments.front.front_record import FrontRecord, write_front
from storectl_store.errors import StoreError
from storectl_store.projects.history import Generation, append_generation
from storectl_store.projects.prefetched import Prefetched, note_prefetched
from storectl_store.projects.project_record import write_record

NOW = 1_800_000_000.0
DAY = 24 * 3600
ONE, TWO, THREE = (EnvironmentId(digit * 32) for digit in "123")


class Scene:
    """A store, and a project with a record, a linked environment, a link of an older version, and a pin."""

    def __init__(self, folder: Path) -> None:
        self.layout = Store.open(folder / "store").layout
        self.project = folder / "home" / "site"
        self.state = folder / "state"
        self.tool = self.state / "tools" / "0123456789abcdef"
        for path in (self.project, self.tool):
            path.mkdir(parents=True)
        self.record(self.project, "default", ONE)
        self.record(self.project, "0123", TWO)
        (self.project / ".venv").mkdir()
        self.front(self.project / ".venv", TWO)
        (self.project / "old").symlink_to(self.layout.environment(THREE))
        (self.project / "docs").mkdir()
        write_pin(self.layout, KeptEnvironment(name="course", environment=THREE, at_ns=1, project=self.project))
        append_generation(self.layout, self.project, granted(THREE))
        fetched = Prefetched(at_ns=1, environment=TWO, commit="c0ffee", ref="origin/x")
        note_prefetched(self.layout, self.project, fetched)
        wish = RecordedEnvironment(options=Options(lock_file=str(self.project / "other.lock")), environment=ONE)
        self.book = [Project(path=self.project, environments=(wish,)), Project(path=self.tool)]

    def record(self, project: Path, key: str, environment: EnvironmentId) -> None:
        folder = self.layout.environment(environment)
        write_record(
            self.layout, project, key=key, environment=folder, lock_file=project / "uv.lock", inputs={}, now_ns=0
        )

    def front(self, path: Path, environment: EnvironmentId) -> None:
        folder = str(self.layout.environment(environment))
        options = DEFAULT_OPTIONS.encode()
        write_front(path, FrontRecord(environment=folder, front=str(path), whole=True, options=options))

    def read(self, *, days: float = 0) -> Facts:
        return read_facts(self.layout, self.book, [self.state], now=NOW + days * DAY)


def granted(environment: EnvironmentId) -> Generation:
    return Generation(
        number=0,
        at_ns=1,
        key="default",
        environment=environment,
        inputs="ab",
        branch="main",
        commit=None,
        snapshot="",
    )


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_everything_that_keeps_an_environment_is_read(scene: Scene) -> None:
    facts = scene.read()
    site, tool = facts.projects
    assert (site.path, tool.path) == (scene.project, scene.tool)
    assert {(each.key, each.environment) for each in site.recorded} == {("default", ONE), ("0123", TWO)}
    assert {(each.path.name, each.environment) for each in site.fronts} == {(".venv", TWO), ("old", THREE)}
    assert [(each.environment, each.branch) for each in site.generations] == [(THREE, "main")]
    assert [each.ref for each in site.prefetched] == ["origin/x"]
    assert site.lost_lock_files == {str(scene.project / "other.lock")}
    assert (site.remembered, tool.remembered) == (False, True)
    assert [pin.name for pin in facts.pins] == ["course"]


def test_a_record_counts_whose_project_is_not_in_the_book(scene: Scene) -> None:
    scene.book.clear()
    (site,) = scene.read().projects
    assert {each.environment for each in site.recorded} == {ONE, TWO}


def test_it_is_remembered_since_when_a_folder_is_missing(scene: Scene) -> None:
    away = scene.project.with_name("away")
    assert scene.read().projects[0].absence is None
    scene.project.rename(away)
    for days in (1, 13, 15):  # each time anew, as after a restart
        absence = scene.read(days=days).projects[0].absence
        assert absence is not None
        assert (absence.since, absence.disk) == (NOW + DAY, False)
    away.rename(scene.project)
    assert scene.read(days=16).projects[0].absence is None
    scene.project.rename(away)
    absence = scene.read(days=17).projects[0].absence
    assert absence is not None
    assert absence.since == NOW + 17 * DAY


def test_a_project_on_a_disk_that_is_not_mounted_is_missing_with_its_disk(scene: Scene) -> None:
    scene.read()
    seen = json.loads(scene.layout.sightings.read_bytes().partition(b"\n")[0])
    for sighting in seen["projects"].values():
        sighting["mount"] = str(scene.project.parent)
    scene.layout.sightings.write_text(json.dumps(seen))
    scene.project.rename(scene.project.with_name("away"))
    absence = scene.read().projects[0].absence
    assert absence is not None
    assert absence.disk


@pytest.mark.parametrize("content", [b"", b"{", b'{"format": 1}\nsha256 ' + b"0" * 64 + b"\n"])
def test_if_it_is_forgotten_since_when_a_folder_is_missing_the_time_begins_anew(scene: Scene, content: bytes) -> None:
    scene.project.rename(scene.project.with_name("away"))
    scene.read()
    scene.layout.sightings.write_bytes(content)
    absence = scene.read(days=20).projects[0].absence
    assert absence is not None
    assert absence.since == NOW + 20 * DAY


def test_a_clock_that_was_ahead_does_not_make_a_folder_missing_for_longer(scene: Scene) -> None:
    scene.project.rename(scene.project.with_name("away"))
    scene.read(days=10_000)
    absence = scene.read().projects[0].absence
    assert absence is not None
    assert absence.since == NOW


def test_a_full_disk_does_not_hinder_a_collect_which_then_keeps_more(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.project.rename(scene.project.with_name("away"))

    def refuse(*_arguments: object, **_options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(sightings, "replace_file", refuse)
    for days in (0, 20):
        absence = scene.read(days=days).projects[0].absence
        assert absence is not None
        assert absence.since == NOW + days * DAY


def test_a_folder_that_a_checkout_brings_is_no_linked_environment(scene: Scene) -> None:
    record = scene.project / "docs" / ".storectl" / "record"
    record.parent.mkdir()
    record.write_text("{}")
    assert {each.path.name for each in scene.read().projects[0].fronts} == {".venv", "old"}


@pytest.mark.parametrize("name", ["ready.0123", "fast.0123/environment"])
@pytest.mark.parametrize("content", ["", "storectl-record 2\nenvironment /nowhere\n"])
def test_a_record_that_nobody_understands_is_an_error_and_not_nothing(scene: Scene, name: str, content: str) -> None:
    file = scene.layout.project_record(scene.project) / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(content)
    with pytest.raises(StoreError, match="names no environment"):
        scene.read()


def test_a_project_that_nobody_can_look_for_is_an_error_that_says_how_to_go_on(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, lambda path: path == str(scene.project))
    with pytest.raises(StoreError) as raised:
        scene.read()
    assert str(scene.project) in raised.value.message
    assert f"storectl watch remove {scene.project}" in str(raised.value.hint)


def test_if_any_single_read_fails_nothing_is_taken_for_not_there(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call of the system that looks at anything fails in turn, with EIO."""
    whole, failed, number = scene.read(), 0, 0
    while True:
        number += 1
        with monkeypatch.context() as patch:
            count = failing(patch, lambda path: "/store/" in path or "/home" in path, only=number)
            try:
                assert scene.read() == whole
            except StoreError:
                failed += 1
            if count() < number:
                break
    assert failed > 20


def failing(
    monkeypatch: pytest.MonkeyPatch, concerned: Callable[[str], bool], *, only: int | None = None
) -> Callable[[], int]:
    """Let reading calls fail with EIO whose path is concerned: all, or only that of this number."""
    count = 0

    def refusing(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any = ".", *arguments: Any, **options: Any) -> Any:
            nonlocal count
            if not isinstance(path, int) and concerned(os.fspath(path)):
                count += 1
                if only in (None, count):
                    raise OSError(errno.EIO, "Input/output error", os.fspath(path))
            return real(path, *arguments, **options)

        return call

    for name in ("stat", "lstat", "scandir", "listdir", "readlink"):
        monkeypatch.setattr(os, name, refusing(getattr(os, name)))
    monkeypatch.setattr(io, "open", refusing(io.open))
    monkeypatch.setattr("builtins.open", refusing(open))
    return lambda: count


def test_a_store_without_anything_keeps_nothing(tmp_path: Path) -> None:
    layout = Store.open(tmp_path / "store").layout
    assert read_facts(layout, [], [], now=NOW) == Facts()
