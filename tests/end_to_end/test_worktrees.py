"""Worktrees that are added in a loop, with a program in each at once. ``scripts/worktrees`` does it with 296 wheels."""

from support.index import LoopbackIndex
from support.machine import Machine
from support.many_worktrees import SOURCE, Repository, big_wheels, usage
from support.project import git

COUNT = 10
WHEELS = 6


def test_worktrees_in_a_loop_with_a_program_in_each_at_once(machine: Machine, index: LoopbackIndex) -> None:
    wheels = big_wheels(WHEELS)
    index.add(*wheels)
    repository = Repository(machine, index, wheels)
    requests, entries = index.requests.total(), set((machine.store / "store").iterdir())

    before, programs = usage(machine.store), {}
    for number in range(COUNT):
        tree = repository.add(f"tree-{number}")
        programs[tree] = repository.starts_program(tree)

    for tree, program in programs.items():
        out, err = program.communicate()
        assert (out.strip(), program.returncode) == (str(tree / SOURCE), 0), err
    added = usage(machine.store).inodes - before.inodes
    assert added <= COUNT * (60 + 1.5 * WHEELS)  # an environment of no wheel has some 40, its record and entry have 20
    assert index.requests.total() == requests
    assert set((machine.store / "store").iterdir()) == entries  # nothing of any other project

    for tree in programs:
        git(repository.folder, "worktree", "remove", "--force", str(tree))
    machine.wait_for_state(repository.folder, lambda _: not any(machine.record(tree).exists() for tree in programs))
    assert [project["path"] for project in machine.json("watch", "list", "--json")] == [str(repository.folder)]
