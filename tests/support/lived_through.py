"""A day of changing branches: 30 switches over 6 commits, a collect, and then the way back to what there was, offline.

Wheels are made up and served on loopback. Each commit has 12 wheels, of which it changes three.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from storectl_daemon.collecting.settings import TESTS
from support.index import LoopbackIndex, serve_index
from support.machine import Machine, new_machine
from support.project import git, write_project
from support.wheels import WheelBytes, make_wheel

COMMITS, SWITCHES, NAMES, CHANGED = 6, 30, 12, 3
SHOW = "import name0; print(name0.__version__)"


def wheels_of(commit: int) -> list[WheelBytes]:
    """The wheels of a commit: the first has the commit for its version, two more change with it."""
    changed = {0, *((commit + each) % NAMES for each in range(1, CHANGED))}
    return [
        make_wheel(f"name{number}", version, files={f"name{number}/__init__.py": f'__version__ = "{version}"\n'})
        for number in range(NAMES)
        for version in [f"1.{commit}" if number in changed else "1.0"]
    ]


def commit_all(folder: Path, index: LoopbackIndex) -> None:
    """A branch for each commit."""
    for commit in range(COMMITS):
        write_project(folder, index, wheels_of(commit))
        if not commit:
            git(folder, "init", "-q")
        git(folder, "checkout", "-qb", f"branch{commit}")
        git(folder, "add", "-A")
        git(folder, "commit", "-qm", f"commit {commit}")


class Day:
    """The machine of a person who has this project."""

    def __init__(self, machine: Machine, folder: Path) -> None:
        self.machine, self.folder = machine, folder

    def ok(self, *arguments: str) -> str:
        return self.machine.ok(*arguments, cwd=self.folder)

    def switch(self, number: int) -> None:
        """Switch to the next branch, and wait until the environment follows."""
        commit = number * 5 % COMMITS
        git(self.folder, "checkout", "-q", f"branch{commit}")
        assert self.ok("run", "-c", SHOW) == f"1.{commit}\n"

    def generations(self) -> list[dict[str, object]]:
        found: list[dict[str, object]] = json.loads(self.ok("env", "history", "--json"))["generations"]
        return found

    def environments(self) -> set[str]:
        return {folder.name for folder in (self.machine.store / "environments").iterdir() if len(folder.name) == 32}


@contextmanager
def day() -> Iterator[Day]:
    """The project before the first switch."""
    with new_machine() as machine, serve_index() as index:
        machine.environ |= {"STORECTL_COLLECT_GRACE": "0", TESTS: "1"}
        folder = machine.home / "site"
        commit_all(folder, index)
        yield Day(machine, folder)


def roll_back(lived: Day, generations: list[dict[str, object]]) -> int:
    """Roll back to each of these generations offline, run a program in it, and count them."""
    for generation in generations:
        lived.ok("env", "rollback", str(generation["number"]), "--offline")
        branch = str(generation["branch"])
        assert lived.ok("run", "--offline", "-c", SHOW) == f"1.{branch.removeprefix('branch')}\n"
    lived.ok("env", "rollback", "--off")
    return len(generations)


def collect(lived: Day, *options: str) -> None:
    """Collect, and check what is left: `why` gives a reason for each environment, and `verify` finds nothing."""
    before = lived.environments()
    print(f"store collect {' '.join(options)}".strip())
    print(f"  {lived.ok('store', 'collect', *options).strip()}")
    left = lived.environments()
    for environment in sorted(left):
        why = lived.ok("store", "why", environment)
        assert "current" in why or "generation" in why, why
    print(f"  {len(before)} environments, then {len(left)}; {lived.ok('store', 'verify').strip()}")


def main() -> int:
    """Live through it, and print what was found."""
    with day() as lived:
        for number in range(SWITCHES):
            lived.switch(number)
        generations = lived.generations()
        print(f"{SWITCHES} switches over {COMMITS} commits: {len(generations)} generations")
        collect(lived)
        print(f"  rolled back offline: {roll_back(lived, generations[-10:])} of the last 10")
        collect(lived, "--keep-generations", "2", "--keep-days", "0")
        gone = [generation for generation in lived.generations()[-10:] if generation["missing"]]
        said = lived.machine.run("env", "rollback", str(gone[0]["number"]), "--offline", cwd=lived.folder)
        assert "E_OFFLINE" in said.stderr
        print(f"  of the last 10 generations {len(gone)} have lost wheels; offline: {said.stderr.splitlines()[0]}")
        lived.ok("env", "rollback", str(gone[0]["number"]))
        print(f"  with the network: {lived.ok('run', '-c', SHOW).strip()}")
        assert git(lived.folder, "status", "--porcelain") == ""
    return 0


if __name__ == "__main__":
    sys.exit(main())
