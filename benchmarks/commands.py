"""Rows about every command that is not `run`: each beside ``uv sync`` with nothing to do."""

import shutil
import statistics
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.measure import in_turn, ratios, run
from benchmarks.results import Result
from benchmarks.world import UV, World
from support.machine import STORECTL

COMMANDS = (
    "warm", "env show", "env path", "env list", "daemon status", "store list", "watch list", "--help", "--version",
)  # fmt: skip
COMPLETION = ("complete", "--", "warm", "--group", "")
"""What a shell runs when the name of a group is to be completed."""

ROUNDS = 2
"""Times as many rounds as other rows have pairs: the median of 30 is wanted."""


def commands(world: World, pairs: int) -> Iterator[Result]:
    """Every command in a project that is ready, and ``uv sync`` in one that is synced; then the slowest median."""
    ours = world.project("ours")
    theirs = Path(shutil.copytree(ours, world.machine.home / "theirs"))
    world.do([UV, "sync", "--quiet"], theirs)
    world.do([STORECTL, "warm"], ours)

    def side(command: Sequence[str | Path], cwd: Path, environ: dict[str, str]) -> Callable[[], float]:
        return lambda: run(list(command), cwd=cwd, environ=environ).wall

    sides = {name: side([STORECTL, *name.split()], ours, world.environ) for name in COMMANDS}
    sides["completion"] = side([STORECTL, *COMPLETION], ours, world.environ)
    found = in_turn({**sides, "uv": side([UV, "sync"], theirs, world.for_uv)}, pairs=ROUNDS * pairs, warmups=2)
    for name in sides:
        what = f"storectl {name}, uv sync with nothing to do"
        yield Result(row="commands", what=what, bar=4.0, ratios=ratios(found[name], found["uv"]))
    medians = {name: statistics.median(found[name]) * 1000 for name in sides}
    slowest = max(medians, key=medians.__getitem__)
    yield Result(row="commands", what=f"the slowest, {slowest}", bar=100, figure=medians[slowest], unit="ms")
