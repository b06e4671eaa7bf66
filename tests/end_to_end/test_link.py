"""`storectl link`: a virtual environment in the project that follows the lock file, and that tools may change."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from support.index import LoopbackIndex
from support.machine import Machine, base_python
from support.project import git, write_project
from support.wheels import WheelBytes, make_wheel

GUESTS = True  # the tests do not disturb one another: one daemon serves them all

SHOW = "import alpha; print(alpha.__version__)"
UV = Path(sys.executable).with_name("uv")


class Linked:
    """A linked project: its folder, its front, and programs in it."""

    def __init__(self, machine: Machine, index: LoopbackIndex) -> None:
        self.machine, self.index = machine, index
        self.folder = machine.home / "project"
        self.front = self.folder / ".venv"

    def lock(self, *wheels: WheelBytes) -> None:
        write_project(self.folder, self.index, wheels)

    def link(self, *arguments: str) -> str:
        return self.machine.ok("link", *arguments, cwd=self.folder)

    def relock(self, *wheels: WheelBytes) -> None:
        """Lock these wheels, and wait until the daemon has seen it."""
        before = self.record
        self.lock(*wheels)
        self.machine.wait_for_state(self.folder, lambda state: state["state"] == "ready" and self.record != before)

    @property
    def record(self) -> bytes:
        return (self.front / ".storectl/record").read_bytes()

    @property
    def site_packages(self) -> Path:
        return next(self.front.glob("lib/python*/site-packages"))

    def python(self, *arguments: str | Path) -> str:
        return self.tool(self.front / "bin/python", *arguments)

    def tool(self, *command: str | Path) -> str:
        done = subprocess.run(
            [str(word) for word in command],
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @property
    def environ(self) -> dict[str, str]:
        return self.machine.environ | {"UV_INDEX_URL": self.index.url, "PIP_INDEX_URL": self.index.url}

    def uv_pip(self, *arguments: str) -> str:
        return self.tool(UV, "pip", *arguments, "--python", self.front / "bin/python")

    def differs(self) -> dict[str, Sequence[str]]:
        """How the front differs from the lock file, as `env show` says it."""
        (link,) = self.machine.json("env", "show", self.folder, "--json")["links"]
        return {what: link[what] for what in ("added", "removed", "changed") if link[what]}


@pytest.fixture
def linked(machine: Machine, index: LoopbackIndex) -> Linked:
    project = Linked(machine, index)
    project.lock(make_wheel("alpha", "1.0"))
    project.link()
    return project


def test_a_linked_venv_works_with_the_daemon_gone(linked: Linked) -> None:
    os.kill(linked.machine.daemon_pid(), signal.SIGKILL)
    assert linked.python("-c", SHOW) == "1.0\n"


def test_the_front_follows_the_lock_file_in_place_and_a_running_program_keeps_its_environment(linked: Linked) -> None:
    code = "import sys\nprint('up', flush=True)\nsys.stdin.readline()\n" + SHOW
    running = subprocess.Popen(
        [linked.front / "bin/python", "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=linked.environ,
    )
    assert running.stdout is not None
    assert running.stdout.readline() == "up\n"
    before = linked.front.stat().st_ino
    linked.relock(make_wheel("alpha", "2.0"))
    assert linked.front.stat().st_ino == before
    assert linked.python("-c", SHOW) == "2.0\n"
    output, _ = running.communicate("\n", timeout=60)
    assert output == "1.0\n"


def test_a_program_in_the_front_has_the_front_as_its_prefix(linked: Linked) -> None:
    code = "import sys; print(sys.prefix, sys.executable)"
    assert linked.python("-c", code).split() == [str(linked.front), str(linked.front / "bin/python")]


def test_what_is_there_is_kept_until_the_front_is_ready_and_moved_aside_with_force(
    machine: Machine, index: LoopbackIndex
) -> None:
    project = Linked(machine, index)
    project.lock(make_wheel("alpha", "1.0"))
    project.front.mkdir()
    (project.front / "keep").write_text("mine")
    done = machine.run("link", cwd=project.folder)
    assert (done.returncode, "E_LINK" in done.stderr, "--force" in done.stderr) == (1, True, True)
    lock_file = project.folder / "uv.lock"
    good = lock_file.read_text()
    lock_file.write_text("broken")
    assert machine.run("link", "--force", cwd=project.folder).returncode == 1
    assert (project.front / "keep").read_text() == "mine"
    lock_file.write_text(good)
    project.link("--force")
    assert project.python("-c", SHOW) == "1.0\n"
    assert (project.folder / ".venv.before-storectl/keep").read_text() == "mine"
    assert sorted(os.listdir(project.folder)) == [".venv", ".venv.before-storectl", "pyproject.toml", "uv.lock"]


def test_a_link_of_an_older_storectl_becomes_a_front(machine: Machine, index: LoopbackIndex) -> None:
    project = Linked(machine, index)
    project.lock(make_wheel("alpha", "1.0"))
    project.front.symlink_to(machine.store / "environments/0123456789abcdef0123456789abcdef")
    machine.ok("warm", cwd=project.folder)
    assert not project.front.is_symlink()
    assert project.python("-c", SHOW) == "1.0\n"


def test_every_link_has_its_own_options_and_all_follow(linked: Linked) -> None:
    linked.link("--name", "env", "--python", base_python())
    linked.relock(make_wheel("alpha", "2.0"))
    other = linked.folder / "env/bin/python"
    linked.machine.wait_for_state(linked.folder, lambda _: linked.tool(other, "-c", SHOW) == "2.0\n")
    assert linked.python("-c", SHOW) == "2.0\n"


def test_git_does_not_see_it_whatever_the_project_ignores(linked: Linked) -> None:
    git(linked.folder, "init", "--quiet")
    assert ".venv" not in git(linked.folder, "status", "--porcelain")


def test_what_tools_write_below_the_prefix_stays_and_is_the_projects_own(
    linked: Linked, machine: Machine, index: LoopbackIndex
) -> None:
    write = "import pathlib, sys; p = pathlib.Path(sys.prefix, 'etc/tool'); p.mkdir(parents=True); (p / 'a').touch()"
    linked.python("-c", write)
    other = Linked(machine.guest(), index)
    other.lock(make_wheel("alpha", "1.0"))
    other.link()
    linked.relock(make_wheel("alpha", "2.0"))
    assert (linked.front / "etc/tool/a").exists()
    assert not (other.front / "etc").exists()
    assert linked.differs() == {}


def test_a_checkout_that_moves_is_right_after_the_next_run(linked: Linked) -> None:
    linked.folder = linked.folder.rename(linked.folder.with_name("moved"))
    linked.front = linked.folder / ".venv"
    linked.machine.ok("run", "-c", SHOW, cwd=linked.folder)
    assert f"VIRTUAL_ENV={linked.front}" in (linked.front / "bin/activate").read_text()
    linked.relock(make_wheel("alpha", "2.0"))
    assert linked.python("-c", SHOW) == "2.0\n"


def test_what_uv_and_pip_change_is_shown_and_settled_by_the_next_lock_file(linked: Linked) -> None:
    linked.index.add(make_wheel("beta", "1.0"), make_wheel("alpha", "1.5"))
    linked.uv_pip("install", "alpha==1.5", "beta")
    assert linked.python("-c", SHOW) == "1.5\n"
    assert linked.differs() == {"added": ["beta 1.0"], "changed": ["alpha 1.5 instead of 1.0, installed by uv"]}
    assert "added: beta 1.0" in linked.machine.ok("env", "show", cwd=linked.folder)
    linked.relock(make_wheel("alpha", "2.0"))
    assert linked.differs() == {"added": ["beta 1.0"]}
    assert linked.python("-c", f"import beta; {SHOW}") == "2.0\n"


def test_unlink_takes_away_what_link_made_and_names_what_is_left(linked: Linked) -> None:
    (linked.front / "mine.txt").write_text("mine")
    left = linked.machine.ok("unlink", cwd=linked.folder)
    assert left == f"left: {linked.front / 'mine.txt'}\n"
    assert os.listdir(linked.front) == ["mine.txt"]


def test_unlink_leaves_nothing_of_a_front_that_nobody_has_changed(linked: Linked) -> None:
    linked.python("-c", SHOW)
    assert linked.machine.ok("unlink", cwd=linked.folder) == f"removed {linked.front}\n"
    assert sorted(os.listdir(linked.folder)) == ["pyproject.toml", "uv.lock"]


def test_unlink_removes_nothing_that_storectl_has_not_made(linked: Linked) -> None:
    (linked.folder / "env").mkdir()
    done = linked.machine.run("unlink", "--name", "env", cwd=linked.folder)
    assert (done.returncode, "E_LINK" in done.stderr) == (1, True)
    assert (linked.folder / "env").is_dir()
