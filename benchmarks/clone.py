"""Row from clone to first result: an empty store, a lock file, and a program that imports numpy, pandas and matplotlib.

Both sides run the same program in a project that they have never seen, from the same loopback index: ``storectl run``
with a store of its own, ``uv run`` with a cache of its own and no environment. The index is shaped by itself
(``wheel_server.Line``): a token bucket over all connections, which needs neither root nor another network, and is the same
for both sides. Each side begins with a disk that has written all. Bytecode is written or not as each tool does by default.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from benchmarks.measure import in_turn, ratios, run
from benchmarks.peers import emptied_aside
from benchmarks.processes import let_rest, tree_seconds
from benchmarks.results import Result
from benchmarks.start import IMPORTS
from benchmarks.world import UV, World
from support.machine import STORECTL

WARMUPS = 1
"""The first imports of matplotlib ever make its list of fonts, below HOME, which both sides share."""

RATES = {"100 Mbit/s": (100, 0.60, 0.80), "1 Gbit/s": (1000, 0.70, 0.90), "unshaped": (0, 0.80, 1.0)}
"""Mbit/s; what storectl may take of uv's time with the daemon up, and with none."""


@dataclass(frozen=True, slots=True)
class _Clone:
    """One project that nothing is known of; ``processor`` has the seconds of all processes of each run so far, by side."""

    world: World
    project: Path
    processor: dict[str, list[float]] = field(default_factory=dict)

    def up(self) -> float:
        """``storectl run`` with a daemon that has started and done nothing."""
        store = self.world.machine.root / "clone-store"
        self.world.do([STORECTL, "daemon", "start"], self.project, STORECTL_STORE=str(store))
        (pid,) = self.world.machine.daemon_processes()
        let_rest(pid)
        return self._storectl("up", store, tree_seconds(pid))

    def none(self) -> float:
        """``storectl run`` that has to start the daemon."""
        return self._storectl("none", self.world.machine.root / "clone-store", 0.0)

    def _storectl(self, side: str, store: Path, before: float) -> float:
        environ = self.world.environ | {"STORECTL_STORE": str(store)}
        cost = run([STORECTL, "run", "-c", IMPORTS], cwd=self.project, environ=environ)
        daemon = sum(map(tree_seconds, self.world.machine.daemon_processes()))
        self.processor.setdefault(side, []).append(cost.cpu + daemon - before)
        self.world.end_daemons()
        emptied_aside(self.world, store)
        return cost.wall

    def uv(self) -> float:
        """``uv run`` with neither a cache nor an environment."""
        cache = self.world.machine.root / "clone-cache"
        environ = self.world.for_uv | {"UV_CACHE_DIR": str(cache)}
        cost = run([UV, "run", "--quiet", "python", "-c", IMPORTS], cwd=self.project, environ=environ)
        self.processor.setdefault("uv", []).append(cost.cpu)
        emptied_aside(self.world, cache, self.project / ".venv")
        return cost.wall


def clone(world: World, pairs: int) -> Iterator[Result]:
    """All rates one after the other, three sides in turn at each."""
    wheels = len(list(world.wheels.glob("*.whl")))
    row = f"clone to first result, {wheels} wheels"
    for name, (mbit, bar_up, bar_none) in RATES.items():
        ours = _Clone(world, world.project(f"clone-{mbit}"))
        world.shape(mbit)
        sides: dict[str, Callable[[], float]] = {"up": ours.up, "none": ours.none, "uv": ours.uv}
        found = in_turn(sides, pairs=pairs, warmups=WARMUPS, before=os.sync)
        world.shape(0)
        notes = partial(_notes, ours)
        for side, what, bar in (("up", "the daemon up", bar_up), ("none", "no daemon", bar_none)):
            yield Result(
                row=row,
                what=f"uv run, {name}, {what}",
                bar=bar,
                ratios=ratios(found[side], found["uv"]),
                notes=notes(side),
            )


def _notes(clone: _Clone, side: str) -> dict[str, str]:
    seconds = {name: sorted(each)[len(each) // 2] for name, each in clone.processor.items()}
    return {"processor of all processes until then": f"{seconds[side]:.1f} s", "of uv run": f"{seconds['uv']:.1f} s"}
