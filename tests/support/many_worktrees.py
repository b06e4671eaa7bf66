"""Many worktrees of one project: how soon each is ready, what it takes of the disk, and whether programs run at once.

``python -m support.many_worktrees`` does it with 296 wheels (``scripts/worktrees``); a test does it with a few.
"""

import argparse
import os
import stat
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
PACKAGED = """[project]
name = "site-code"
version = "{version}"
requires-python = ">=3.9"
dependencies = {names}

[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
"""
_POLL_S = 0.001
_REST_S = 0.5
"""Between two worktrees: what the daemon does behind the first is not to be measured with the second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a folder takes: inodes, and bytes of files."""

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
        (self.folder / "pyproject.toml").write_text(PACKAGED.format(names=names, version=1))
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
    """What is below the folder; a file with many names counts once."""
    found = {}
    for parent, folders, files in os.walk(folder):
        for name in (".", *folders, *files):
            status = os.lstat(f"{parent}/{name}")
            found[status.st_ino] = status.st_size if stat.S_ISREG(status.st_mode) else 0
    return Usage(inodes=len(found), data=sum(found.values()))


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
        before, packages = usage(machine.store), usage(machine.store / "store")
        seconds = []
        for number in range(options.quiet_ones):
            tree = repository.add(f"quiet-{number}")
            seconds.append(repository.seconds_until_ready(tree))
            time.sleep(_REST_S)
        now = usage(machine.store)
        print(f"ready after `git worktree add` returned: {_times(seconds)}")
        print(
            f"inodes of {len(seconds)} worktrees: {now.inodes - before.inodes}, MB: {(now.data - before.data) / 1e6:.1f}"
        )
        print(f"of these, entries: {_added(packages, usage(machine.store / 'store'))}")
        begin = time.perf_counter()
        programs = {}
        for number in range(options.at_once):
            tree = repository.add(f"loop-{number}")
            programs[tree] = repository.starts_program(tree)
        outcomes = {tree: (*program.communicate(), program.returncode) for tree, program in programs.items()}
        took = time.perf_counter() - begin
        failures = [out for tree, out in outcomes.items() if (out[0].strip(), out[2]) != (str(tree / SOURCE), 0)]
        print(f"{len(outcomes)} in a loop: {len(failures)} failures, all done after {took:.1f} s", *failures[:3])
        print(f"inodes of these: {usage(machine.store).inodes - now.inodes}")


def _added(before: Usage, after: Usage) -> str:
    return f"{after.inodes - before.inodes} inodes, {after.data - before.data} bytes"


def _times(seconds: Sequence[float]) -> str:
    least, middle, most = min(seconds), statistics.median(seconds), max(seconds)
    return f"median {middle * 1000:.0f} ms, {least * 1000:.0f} to {most * 1000:.0f}"


if __name__ == "__main__":
    main()
