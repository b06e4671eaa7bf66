"""Many worktrees of one project: how soon each is ready, what it takes of the disk, and whether programs run at once.

``python -m support.many_worktrees`` does it with 296 wheels (``scripts/worktrees``); a test does it with a few.
"""

import argparse
import os
import statistics
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from support.index import LoopbackIndex, serve_index
from support.lock_files import uv_lock_text
from support.machine import DEADLINE, STORECTL, Machine, new_machine
from support.project import git
from support.wheels import WheelBytes, make_wheel

SOURCE = "src/site_code/__init__.py"
_PYPROJECT = """[project]
name = "site-code"
version = "1"
requires-python = ">=3.9"
dependencies = {names}

[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
"""
_POLL_S = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a folder takes: names that have an inode of their own, and bytes of files that nothing else has."""

    inodes: int
    data: int


@dataclass(slots=True)
class Repository:
    """A repository whose project is itself a package, warmed, so that each worktree has an environment of its own."""

    machine: Machine
    index: LoopbackIndex
    wheels: Sequence[WheelBytes]
    folder: Path = field(init=False)

    def __post_init__(self) -> None:
        self.folder = self.machine.home / "main"
        (self.folder / SOURCE).parent.mkdir(parents=True)
        (self.folder / SOURCE).write_text("")
        names = sorted(wheel.name for wheel in self.wheels)
        (self.folder / "pyproject.toml").write_text(_PYPROJECT.format(names=names))
        text = uv_lock_text(self.index, self.wheels, root="site-code").replace("virtual", "editable")
        (self.folder / "uv.lock").write_text(text)
        git(self.folder, "init", "-q")
        git(self.folder, "add", "-A")
        git(self.folder, "commit", "-qm", "first")
        self.machine.ok("warm", cwd=self.folder)
        self.machine.wait_for_state(self.folder, lambda state: state["watched"] and state["state"] == "ready")

    def add(self, name: str) -> Path:
        """A worktree beside the repository."""
        tree = self.folder.with_name(name)
        git(self.folder, "worktree", "add", "-q", "-b", name, str(tree))
        return tree

    def seconds_until_ready(self, tree: Path) -> float:
        """How long it takes until the record of the worktree says that its environment is there."""
        begin, record = time.perf_counter(), self.machine.record(tree) / "ready.default"
        while not record.exists():
            assert time.perf_counter() - begin < DEADLINE, f"{tree} never becomes ready"
            time.sleep(_POLL_S)
        return time.perf_counter() - begin

    def environment(self, tree: Path) -> Path:
        """The environment of the worktree."""
        lines = (self.machine.record(tree) / "ready.default").read_text().splitlines()
        return Path(next(line for line in lines if line.startswith("environment ")).partition(" ")[2])

    def starts_program(self, tree: Path) -> "subprocess.Popen[str]":
        """A program in the worktree that imports its code and says where that is."""
        code = f"import site_code, {self.wheels[-1].name.replace('-', '_')}; print(site_code.__file__)"
        return subprocess.Popen(
            [STORECTL, "run", "-c", code],
            cwd=tree, env=self.machine.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip


def usage(folder: Path) -> Usage:
    """What the folder takes by itself: its folders, links and files but those that are also elsewhere."""
    inodes = data = 0
    for parent, folders, files in os.walk(folder):
        for path in [parent, *(f"{parent}/{name}" for name in [*files, *folders])]:
            found = os.lstat(path)
            own = path == parent if os.path.isdir(path) and not os.path.islink(path) else found.st_nlink == 1
            inodes += own
            data += found.st_size if own and os.path.isfile(path) and not os.path.islink(path) else 0
    return Usage(inodes=inodes, data=data)


def big_wheels(count: int) -> list[WheelBytes]:
    """So many wheels of the usual shape: a package, a licence, every third with a program."""
    return [_big_wheel(f"made-{number:03}", program=number % 3 == 0) for number in range(count)]


def _big_wheel(name: str, *, program: bool) -> WheelBytes:
    module = name.replace("-", "_")
    return make_wheel(
        name,
        files={f"{module}/__init__.py": "def main(): pass\n", f"{module}/more.py": "x = 1\n"},
        entry_points=f"[console_scripts]\n{name} = {module}:main\n" if program else None,
        extra_dist_info={"LICENSE": "free\n", "top_level.txt": f"{module}\n"},
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/worktrees", description=__doc__)
    parser.add_argument("--wheels", type=int, default=296)
    parser.add_argument("--quiet-ones", type=int, default=20, help="worktrees that are added one after the other")
    parser.add_argument("--at-once", type=int, default=30, help="worktrees in a loop, each with a program at once")
    options = parser.parse_args()
    wheels = big_wheels(options.wheels)
    with new_machine() as machine, serve_index(*wheels) as index:
        repository = Repository(machine, index, wheels)
        entries = machine.store / "store"
        before = usage(entries)
        trees = []
        seconds = []
        for number in range(options.quiet_ones):
            trees.append(repository.add(f"quiet-{number}"))
            seconds.append(repository.seconds_until_ready(trees[-1]))
            time.sleep(0.5)
        made = [usage(repository.environment(tree)) for tree in trees]
        print(f"ready after `git worktree add` returned: {_times(seconds)}")
        print(
            f"inodes of {len(trees)} environments: {sum(each.inodes for each in made)}, most {max(m.inodes for m in made)}"
        )
        print(f"bytes of packages: {usage(entries).data - before.data}, inodes {usage(entries).inodes - before.inodes}")
        begin = time.perf_counter()
        programs = {}
        for number in range(options.at_once):
            tree = repository.add(f"loop-{number}")
            programs[tree] = repository.starts_program(tree)
        outcomes = {tree: (*program.communicate(), program.returncode) for tree, program in programs.items()}
        failures = [out for tree, out in outcomes.items() if (out[0].strip(), out[2]) != (f"{tree / SOURCE}", 0)]
        print(
            f"{options.at_once} in a loop: {len(failures)} failures in {time.perf_counter() - begin:.1f} s",
            *failures[:3],
        )
        print(f"most inodes of one of them: {max(usage(repository.environment(tree)).inodes for tree in outcomes)}")


def _times(seconds: Sequence[float]) -> str:
    least, middle, most = min(seconds), statistics.median(seconds), max(seconds)
    return f"median {middle * 1000:.0f} ms, {least * 1000:.0f} to {most * 1000:.0f}"


if __name__ == "__main__":
    main()
