"""Branches of a real project are switched to and fro, and then the store is collected: is what is left what ``why`` says?

``scripts/collect-switches`` runs it on a clone of a public project; ``tests/end_to_end/test_collect_switches.py`` runs a
small one with wheels of the factory.
"""

import argparse
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storectl.daemon.client import DaemonClient
from storectl_shim.store_daemon import read_store_daemon
from support.machine import Machine, new_machine
from support.project import git

NOTHING_LATELY = {
    "STORECTL_COLLECT_ANY_GRACE": "1",
    "STORECTL_COLLECT_GRACE": "0",
    "STORECTL_COLLECT_KEEP_DAYS": "0",
}
"""Nothing is kept for having been made or used lately."""

LOCK_FILES = ("uv.lock", "poetry.lock", "pdm.lock", "pylock.toml", "Pipfile.lock")


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What a collect left, and what was found wrong afterwards."""

    before: tuple[int, int]
    after: tuple[int, int]
    freed: int
    rolled_back: int
    wrong: tuple[str, ...]


def branches_of(project: Path, count: int) -> list[str]:
    """A branch for each of the last commits that changed a lock file, the newest first."""
    lock_file = next(name for name in LOCK_FILES if (project / name).is_file())
    commits = git(project, "log", "--no-merges", "--format=%H", f"-{count}", "--", lock_file).split()
    for number, commit in enumerate(commits):
        git(project, "branch", f"switch-{number}", commit)
    return [f"switch-{number}" for number in range(len(commits))]


def can_be_made(machine: Machine, project: Path, branch: str) -> bool:
    """Whether the branch has an environment: a project may lock what only its developers have beside it."""
    git(project, "switch", "-q", branch)
    return machine.run("warm", cwd=project, timeout=1200).returncode == 0


def switch(machine: Machine, project: Path, branches: Sequence[str], switches: int) -> None:
    """Go to one branch after the other, never to the one that is checked out, and have its environment made."""
    chance, at = random.Random(1), ""
    for _ in range(switches):
        at = chance.choice([branch for branch in branches if branch != at])
        git(project, "switch", "-q", at)
        machine.ok("warm", cwd=project, timeout=1200)


def collect_and_check(machine: Machine, project: Path, keep: int) -> Left:
    """Collect, keeping so many generations, and compare what is left with what ``why`` said before, and says now.

    Each of the generations that are kept is rolled back to, without the network.
    """
    machine.ok("daemon", "stop")
    machine.environ |= {**NOTHING_LATELY, "STORECTL_COLLECT_KEEP_GENERATIONS": str(keep)}
    machine.ok("daemon", "start")
    kept = kept_things(machine)
    told = machine.json("store", "collect", "--json")
    left = kept_things(machine)
    wrong = [f"{thing} went, though it was kept" for thing, is_kept in kept.items() if is_kept and thing not in left]
    wrong += [f"{thing} is left, though nothing kept it" for thing in left if not kept[thing]]
    wrong += [f"{thing} is left, and nothing keeps it" for thing, is_kept in left.items() if not is_kept]
    verified = machine.run("store", "verify", timeout=1200)
    wrong += [] if verified.returncode == 0 else [f"verify: {verified.stdout}{verified.stderr}"]
    generations = last_generations(machine, project, keep)
    wrong += [problem for each in generations for problem in roll_back(machine, project, each)]
    return Left(
        before=counted(kept), after=counted(left), freed=told["bytes"], rolled_back=len(generations), wrong=tuple(wrong)
    )


def counted(things: Mapping[str, bool]) -> tuple[int, int]:
    """How many environments and entries there are."""
    environments = sum(thing.startswith("environment") for thing in things)
    return environments, len(things) - environments


def kept_things(machine: Machine) -> dict[str, bool]:
    """Everything in the store, and whether ``why`` says that something keeps it."""
    daemon = read_store_daemon(str(machine.store))
    assert daemon is not None
    asked = DaemonClient(daemon.socket, environ={})
    names = {entry["name"] for entry in asked.entries()} | {each.id for each in asked.environments()}
    found = [each for name in sorted(names) for each in asked.why(name)]
    return {
        f"{each['what']} {each['name']} {each['version']} {each['prefix']}": bool(each["reasons"]) for each in found
    }


def last_generations(machine: Machine, project: Path, keep: int) -> list[dict[str, Any]]:
    """The last generation of each of the last environments, the newest first."""
    found: dict[str, dict[str, Any]] = {}
    for generation in reversed(machine.json("env", "history", project, "--json")["generations"]):
        if generation["environment"] in found or len(found) < keep:
            found.setdefault(generation["environment"], generation)
    return list(found.values())


def roll_back(machine: Machine, project: Path, generation: Mapping[str, Any]) -> Iterator[str]:
    """Run a program in the generation, without the network. What is wrong with that."""
    offline = {"STORECTL_OFFLINE": "1"}
    done = machine.run("env", "rollback", str(generation["number"]), cwd=project, env=offline)
    if done.returncode:
        yield f"generation {generation['number']} cannot be rolled back to: {done.stderr}"
        return
    runs = machine.run("run", "-c", "import sys; print(sys.prefix)", cwd=project, env=offline)
    if Path(runs.stdout.strip()).name != generation["environment"]:
        yield f"generation {generation['number']} is {generation['environment']}, and programs run in {runs.stdout}"
    machine.ok("env", "rollback", "--off", cwd=project, env=offline)


def main(arguments: Sequence[str]) -> int:
    """Print rows of docs/collect.md. Exits with 1 if anything is wrong."""
    parser = argparse.ArgumentParser(prog="scripts/collect-switches", description=__doc__)
    parser.add_argument("folder", type=Path, help="a git repository with a lock file")
    parser.add_argument("--commits", type=int, default=6)
    parser.add_argument("--switches", type=int, default=30)
    parser.add_argument("--keep", type=int, nargs="+", default=[10, 3], help="generations, for one collect each")
    asked = parser.parse_args(arguments)
    wrong = 0
    with new_machine() as machine:
        project = machine.home / "project"
        git(machine.home, "clone", "-q", str(asked.folder.resolve()), str(project))
        branches = [each for each in branches_of(project, asked.commits) if can_be_made(machine, project, each)]
        switch(machine, project, branches, asked.switches)
        for keep in asked.keep:
            left = collect_and_check(machine, project, keep)
            wrong += len(left.wrong)
            print(
                f"{asked.switches} switches between {len(branches)} commits, {keep} generations kept: "
                f"{left.before[0]} -> {left.after[0]} environments, {left.before[1]} -> {left.after[1]} entries, "
                f"{left.freed / 1e6:.1f} MB freed; {left.rolled_back} generations rolled back to without the network; "
                f"{len(left.wrong)} wrong"
            )
            print(*(f"  {problem}" for problem in left.wrong), sep="\n", end="")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
