"""Fronts as the daemon finds and follows them: by what the folder of a project has, and no list."""

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from storectl_daemon.jobs.options import DEFAULT_OPTIONS, Options
from storectl_daemon.projects.fronts import Fronts
from storectl_store.environments.front.place import FrontBusyError, locked
from support.environments import StoreAt, ask_interpreter, interpreters, publish, store_at
from support.wheels import make_wheel

PYTHON = ask_interpreter(interpreters()[0])


class Project:
    """A project with a lock file, and environments for it."""

    def __init__(self, folder: Path) -> None:
        self.store: StoreAt = store_at(folder / "store")
        self.folder = folder / "project"
        self.folder.mkdir()
        self.lock_file.touch()
        self.fronts = Fronts(self.store.layout)

    @property
    def lock_file(self) -> Path:
        return self.folder / "uv.lock"

    def environment(self, version: str) -> Path:
        return publish(self.store, PYTHON, make_wheel("alpha", version))

    def link(self, name: str = ".venv", options: Options = DEFAULT_OPTIONS) -> Path:
        self.fronts.place(self.folder / name, options, self.environment("1.0"), force=False)
        return self.folder / name

    def follow(self, version: str, options: Options = DEFAULT_OPTIONS) -> tuple[list[str], bool]:
        return self.fronts.follow_all(self.folder, options, self.environment(version), self.lock_file)

    def metadata(self, name: str = ".venv") -> list[str]:
        return sorted(path.name for path in (self.folder / name).glob("lib/*/site-packages/*.dist-info"))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_fronts_follow_the_environment_of_their_own_options(project: Project) -> None:
    other = Options(extras=frozenset({"fast"}))
    project.link()
    project.link("env", other)
    assert project.follow("2.0", other) == ([], False)
    assert (project.metadata(), project.metadata("env")) == (["alpha-1.0.dist-info"], ["alpha-2.0.dist-info"])


def test_a_front_in_a_project_that_moved_is_found(project: Project) -> None:
    project.link()
    project.folder = project.folder.rename(project.folder.with_name("moved"))
    project.follow("1.0")
    assert str(project.folder) in (project.folder / ".venv/bin/activate").read_text()


def test_options_that_name_folders_of_the_project_move_with_it(project: Project) -> None:
    here = project.folder
    project.link("env", Options(member=str(here / "member"), lock_file=str(here / "locks/uv.lock")))
    project.folder = here.rename(here.with_name("moved"))
    (front,) = project.fronts.of(project.folder)
    assert front.options == Options(
        member=str(project.folder / "member"), lock_file=str(project.folder / "locks/uv.lock")
    )


def test_a_link_to_an_environment_becomes_a_front(project: Project) -> None:
    (project.folder / ".venv").symlink_to(project.store.layout.environments / ("0" * 32))
    (project.folder / "elsewhere").symlink_to(project.store.layout.root)
    project.follow("2.0")
    assert project.metadata() == ["alpha-2.0.dist-info"]
    assert (project.folder / "elsewhere").is_symlink()


@pytest.mark.parametrize("gone", ["front", "lock file", "project"])
def test_a_front_is_followed_only_where_it_is_and_the_project_has_its_lock_file(project: Project, gone: str) -> None:
    front = project.link()
    shutil.rmtree({"front": front, "project": project.folder}.get(gone, project.store.layout.tmp), ignore_errors=True)
    if gone == "lock file":
        project.lock_file.unlink()
    before = list(project.folder.rglob("*"))
    assert project.follow("2.0") == ([], False)
    assert list(project.folder.rglob("*")) == before


def test_nothing_of_a_checkout_comes_back_that_is_deleted_while_its_front_is_renewed(project: Project) -> None:
    versions = [f"{number}.0" for number in range(2, 6)]
    for version in versions:
        project.environment(version)
    front = project.link()
    renewed = threading.Event()

    def renew_always() -> None:
        while front.exists():
            for version in versions:
                project.follow(version)
                renewed.set()

    renewing = threading.Thread(target=renew_always)
    renewing.start()
    renewed.wait()
    while project.folder.exists():  # a file that is made while its folder is deleted keeps that folder
        shutil.rmtree(project.folder, ignore_errors=True)
    renewing.join()
    assert not project.folder.exists()


def test_a_front_that_another_program_changes_is_to_be_tried_again(project: Project) -> None:
    front = project.link()
    with locked(front, 0):
        assert project.follow("2.0") == ([], True)
        with pytest.raises(FrontBusyError):
            project.fronts.place(front, DEFAULT_OPTIONS, project.environment("2.0"), force=False)
    assert project.follow("2.0") == ([], False)
    assert project.metadata() == ["alpha-2.0.dist-info"]


def test_what_goes_wrong_with_a_front_is_told_and_the_others_follow(project: Project) -> None:
    broken, _ = project.link("broken"), project.link("env")
    shutil.rmtree(broken / "bin")
    (broken / "bin").touch()
    told, busy = project.follow("2.0")
    assert project.metadata("env") == ["alpha-2.0.dist-info"]
    assert (len(told), busy) == (1, False)
    assert os.listdir(broken / "bin")


def test_activation_shows_the_name_of_the_project(project: Project) -> None:
    (project.folder / "pyproject.toml").write_text("[project]\nname = 'my-project'\n")
    front = project.link()
    assert "prompt = my-project" in (front / "pyvenv.cfg").read_text()


@pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="a system without /proc does not tell")
def test_a_front_is_followed_once_a_tool_without_a_lock_is_done_with_the_project(project: Project) -> None:
    project.link()
    pip = project.folder.parent / "pip"
    pip.write_text("input()")
    command = [sys.executable, "-E", str(pip), "install", "beta"]
    with subprocess.Popen(command, cwd=project.folder, stdin=subprocess.PIPE) as installing:
        assert project.follow("2.0") == ([], True)
        installing.communicate(b"\n")
    assert project.follow("2.0") == ([], False)
    assert project.metadata() == ["alpha-2.0.dist-info"]
