"""A small run of ``scripts/collect-switches``: branches of a project, switched to and fro, and then collects."""

from pathlib import Path

from support.collect_switches import branches_of, collect_and_check, switch
from support.collecting import OWN
from support.index import LoopbackIndex
from support.machine import Machine
from support.project import git, lock_file_text, write_project
from support.wheels import make_wheel

BOTH = make_wheel("both")
CHANGED = [make_wheel("changed", str(version), files={"changed.py": OWN}) for version in range(4)]


def history_of(folder: Path, index: LoopbackIndex) -> Path:
    """A repository with a commit for each version of a wheel."""
    project = write_project(folder, index, [BOTH, CHANGED[0]])
    git(project, "init", "-q")
    for wheel in CHANGED:
        index.add(wheel)
        (project / "uv.lock").write_text(lock_file_text("uv.lock", index, [BOTH, wheel]))
        git(project, "add", "-A")
        git(project, "commit", "-q", "-m", wheel.filename)
    return project


def test_what_is_left_of_many_branches_is_what_why_says_and_rolls_back(machine: Machine, index: LoopbackIndex) -> None:
    project = history_of(machine.home / "site", index)
    switch(machine, project, branches_of(project, 4), 6)
    everything = collect_and_check(machine, project, 10)
    assert (everything.wrong, everything.before == everything.after) == ((), True)
    some = collect_and_check(machine, project, 2)
    assert some.wrong == ()
    assert (some.after, some.rolled_back) == ((2, 3), 2)
