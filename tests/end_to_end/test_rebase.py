"""A rebase rewrites the lock file at each of its steps. Only its end is built, unless a command asks before."""

import os
import subprocess
from pathlib import Path

import pytest

from support.index import LoopbackIndex
from support.machine import Machine
from support.project import git, write_project
from support.wheels import WheelBytes, fresh_wheel

GUESTS = True  # the tests do not disturb one another: one daemon serves them all
STEPS = 20
NAMES = [f"p{number:02}" for number in range(STEPS + 1)]
SHOW = f"import {', '.join(NAMES)}; print(*(int(float(p.__version__)) for p in ({', '.join(NAMES)})))"


class Rebased:
    """A clone with local commits that each lock a newer version of one project, while its upstream changes another."""

    def __init__(self, machine: Machine, index: LoopbackIndex) -> None:
        self.machine, self.index = machine, index
        self.wheels = {name: [fresh_wheel(name, f"{version}.0") for version in (1, 2, 3)] for name in NAMES}
        self.versions = dict.fromkeys(NAMES, 1)
        upstream, self.folder = machine.home / "upstream", machine.home / "clone"
        self.write(upstream)
        git(upstream, "init", "-q")
        git(upstream, "add", "-A")
        git(upstream, "commit", "-qm", "first")
        git(machine.home, "clone", "-q", str(upstream), str(self.folder))
        self.lock(upstream, NAMES[0], 2)

    def write(self, folder: Path) -> None:
        chosen: list[WheelBytes] = [self.wheels[name][version - 1] for name, version in self.versions.items()]
        write_project(folder, self.index, chosen)

    def lock(self, folder: Path, name: str, version: int) -> None:
        """Commit a lock file with another version of one project."""
        before = dict(self.versions)
        self.versions[name] = version
        self.write(folder)
        git(folder, "commit", "-qam", f"{name} {version}")
        if folder != self.folder:
            self.versions = before

    def lock_all(self) -> None:
        for name in NAMES[1:]:
            self.lock(self.folder, name, 2)

    def shown(self) -> list[int]:
        return [int(word) for word in self.machine.ok("run", "-c", SHOW, cwd=self.folder).split()]

    def environments(self) -> set[str]:
        return {path.name for path in (self.machine.store / "environments").iterdir()}

    def wait_until_ready(self, different_from: str) -> str:
        state = self.machine.wait_for_state(
            self.folder, lambda state: state["state"] == "ready" and state["environment"]["id"] != different_from
        )
        return str(state["environment"]["id"])

    def current(self) -> str:
        return str(self.machine.json("env", "show", self.folder, "--json")["environment"]["id"])

    def rebase(self, *arguments: str, **environ: str) -> int:
        """The exit code of a rebase; not 0 if it stops."""
        identity = {
            f"GIT_{role}_{what}": "test@localhost" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
        }
        command = ["git", "pull", "-q", "--rebase", *arguments]
        return subprocess.run(
            command, cwd=self.folder, env=os.environ | identity | environ, capture_output=True, check=False
        ).returncode


@pytest.fixture
def rebased(machine: Machine, index: LoopbackIndex) -> Rebased:
    machine.environ["STORECTL_PREFETCH"] = "none"  # what a pull fetches is not to be among what is counted
    return Rebased(machine, index)


def test_a_rebase_of_many_commits_that_all_change_the_lock_file_is_built_at_its_end(rebased: Rebased) -> None:
    rebased.lock_all()
    assert rebased.shown() == [1] + [2] * STEPS
    current, before = rebased.current(), rebased.environments()
    assert rebased.rebase() == 0
    ready = rebased.wait_until_ready(current)
    assert rebased.environments() - before == {ready}
    assert rebased.shown() == [2] * (STEPS + 1)


def test_a_command_in_the_middle_of_a_rebase_gets_what_the_lock_file_says_then(rebased: Rebased) -> None:
    rebased.lock_all()
    rebased.shown()
    assert rebased.rebase("--rebase=interactive", GIT_SEQUENCE_EDITOR="sed -i -e 2s/^pick/edit/") == 0
    assert rebased.shown() == [2, 2, 2] + [1] * (STEPS - 2)
    current = rebased.current()
    git(rebased.folder, "rebase", "--continue")
    rebased.wait_until_ready(current)
    assert rebased.shown() == [2] * (STEPS + 1)


def test_a_conflict_is_told_to_a_command_which_runs_in_the_last_good_environment(rebased: Rebased) -> None:
    rebased.lock(rebased.folder, NAMES[0], 3)
    rebased.shown()
    current, before = rebased.current(), rebased.environments()
    record = (rebased.machine.record(rebased.folder) / "ready.default").read_bytes()
    assert rebased.rebase() != 0
    done = rebased.machine.run("run", "-c", SHOW, cwd=rebased.folder)
    assert done.stdout.startswith("3 ")
    assert "there is a merge conflict in it (running in the last good environment" in done.stderr
    state = rebased.machine.json("env", "show", rebased.folder, "--json")
    assert (state["state"], state["environment"]["id"]) == ("failed", current)
    assert (rebased.machine.record(rebased.folder) / "ready.default").read_bytes() == record
    git(rebased.folder, "rebase", "--abort")
    assert rebased.shown()[0] == 3
    assert rebased.environments() == before


def test_the_resolution_of_a_conflict_is_followed_before_the_rebase_goes_on(rebased: Rebased) -> None:
    rebased.lock(rebased.folder, NAMES[0], 3)
    rebased.shown()
    current = rebased.current()
    assert rebased.rebase() != 0
    git(rebased.folder, "checkout", "-q", "--ours", "uv.lock")  # in a rebase that is the upstream's
    rebased.wait_until_ready(current)
    assert rebased.shown()[0] == 2


@pytest.mark.parametrize("how", ["a branch without it", "a sparse checkout without it"])
def test_without_a_lock_file_the_last_environment_stays_and_that_is_said(rebased: Rebased, how: str) -> None:
    rebased.shown()
    current = rebased.current()
    if how == "a branch without it":
        git(rebased.folder, "checkout", "-q", "--orphan", "other")
        git(rebased.folder, "rm", "-q", "--cached", "uv.lock")
        (rebased.folder / "uv.lock").unlink()
    else:
        git(rebased.folder, "sparse-checkout", "set", "--no-cone", "/*", "!uv.lock")
    rebased.machine.wait_for_state(rebased.folder, lambda state: state["state"] == "failed")
    said = rebased.machine.ok("env", "show", cwd=rebased.folder)
    assert "there is no lock file" in said
    assert "the last good environment stays in service" in said
    assert rebased.current() == current
    git(rebased.folder, "checkout", "-qf", "main")
    git(rebased.folder, "sparse-checkout", "disable")
    rebased.machine.wait_for_state(rebased.folder, lambda state: state["state"] == "ready")
    assert rebased.current() == current
