"""Rows about cold installs: everything that a lock file pins into an empty store, until ready, and until all is compiled.

Each side begins with a disk that has written all: uv leaves its writing to later, which storectl, whose environments are
durable before they are ready, would wait for. What a run leaves is emptied aside: see ``peers.emptied_aside``.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks.measure import in_turn, ratios, run
from benchmarks.peers import PIP, Peer, aside, emptied_aside, peers_here
from benchmarks.processes import Peak, let_rest, resident, tree_seconds
from benchmarks.results import Result
from benchmarks.world import UV, World
from support.machine import STORECTL

_FULL_BYTES, _EMPTIED_BYTES = 12, 1
"""So many times the size of the wheels a pair of cold installs takes on the disk, and once its files are emptied."""
_REST = 2.5
"""Seconds after a warm, in which the daemon gives memory back."""


def until_ready(world: World, pairs: int) -> Iterator[Result]:
    """``storectl run -c pass`` with the daemon up, which has done nothing yet, and with none, beside ``uv sync``."""
    cold = _Cold.of(world, pairs)
    sides: dict[str, Callable[[], float]] = {"up": cold.up, "none": cold.none, "uv": partial(cold.uv)}
    found = in_turn(sides, pairs=pairs, warmups=0, before=os.sync)
    for side, what, bars in (("up", "the daemon up", (1.0, 1.2)), ("none", "no daemon", (1.8, None))):
        notes = {
            "processor of all processes": f"{median(cold.processor[side]):.1f} s",
            "of uv sync": f"{median(cold.processor['uv']):.1f} s",
        }
        yield Result(
            row=cold.row, what=f"uv sync, {what}", bar=bars[cold.wheels > _FEW],
            ratios=ratios(found[side], found["uv"]), notes=notes,
        )  # fmt: skip


_FEW = 50
"""The bars are those of some 15 wheels up to here, and those of some 300 beyond."""


def until_compiled(world: World, pairs: int, *, pip: bool) -> Iterator[Result]:
    """With no daemon, until all bytecode is there, beside ``uv sync --compile-bytecode`` and other installers."""
    cold = _Cold.of(world, pairs)
    peers = [peer for peer in peers_here() if pip or peer is not PIP]
    for peer in peers:
        peer.prepare(world, cold.project)
    aside(world, cold.project / ".venv")  # PDM locks with one
    sides: dict[str, Callable[[], float]] = {
        "storectl": cold.compiled,
        "uv": partial(cold.uv, "--compile-bytecode"),
        **{peer.name: partial(_peer, world, cold.project, peer) for peer in peers},
    }
    found = in_turn(sides, pairs=pairs, warmups=0, before=os.sync)
    ready = [each.ready for each in cold.compilations][: len(found["uv"])]
    for peer in peers:
        bar = 0.35 if peer is PIP else 1.0
        yield Result(row=cold.row, what=f"{peer.name}, no daemon", bar=bar, ratios=ratios(ready, found[peer.name]))
    row = f"{cold.row}, with bytecode"
    notes = {"processor of daemon and workers": f"{median(each.processor for each in cold.compilations):.1f} s"}
    yield Result(
        row=row, what="uv sync --compile-bytecode", bar=0.8, ratios=ratios(found["storectl"], found["uv"]), notes=notes
    )
    if PIP in peers:  # it compiles unless told otherwise; pex and PDM do not
        yield Result(row=row, what=PIP.name, ratios=ratios(found["storectl"], found[PIP.name]))
    peak = max(each.peak for each in cold.compilations) / 2**20
    yield Result(row=cold.row, what="peak memory of daemon and workers", bar=400, figure=peak, unit="MiB")
    rest = max(each.rest for each in cold.compilations) / 2**20
    yield Result(row=cold.row, what="memory of the daemon afterwards", bar=80, figure=rest, unit="MiB")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Compilation:
    """One warm until all is compiled. ``ready`` in seconds from its begin; processor seconds in all; bytes."""

    ready: float
    processor: float
    peak: int
    rest: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cold:
    """One project, and each way to install it from nothing. ``processor`` has the seconds of each run so far, by side."""

    world: World
    project: Path
    wheels: int
    processor: dict[str, list[float]] = field(default_factory=dict)
    compilations: list[_Compilation] = field(default_factory=list)

    @classmethod
    def of(cls, world: World, pairs: int) -> "_Cold":
        """With everything that the world has. RuntimeError if the disk is too small for so many pairs."""
        sizes = [wheel.stat().st_size for wheel in world.wheels.glob("*.whl")]
        needed = (_FULL_BYTES + pairs * _EMPTIED_BYTES) * sum(sizes)
        if shutil.disk_usage(world.machine.root).free < needed:
            raise RuntimeError(
                f"{pairs} pairs of cold installs need {needed >> 30} GiB below {world.machine.root}: ask for fewer"
            )
        return cls(world=world, project=world.project("cold"), wheels=len(sizes))

    @property
    def row(self) -> str:
        return f"cold install, {self.wheels} wheels"

    def up(self) -> float:
        """Until a program can import everything; the daemon has started and done nothing."""
        self.world.do([STORECTL, "daemon", "start"], self.project, STORECTL_STORE=str(self._store))
        (daemon,) = self.world.machine.daemon_processes()
        let_rest(daemon)
        return self._ready("up", tree_seconds(daemon))

    def none(self) -> float:
        """The same, the daemon's start included."""
        return self._ready("none", 0.0)

    def _ready(self, side: str, before: float) -> float:
        cost = run([STORECTL, "run", "-c", "pass"], cwd=self.project, environ=self._environ)
        daemon = sum(map(tree_seconds, self.world.machine.daemon_processes()))
        self.processor.setdefault(side, []).append(cost.cpu + daemon - before)
        self._clear()
        return cost.wall

    def compiled(self) -> float:
        """Until all bytecode is there, the daemon's start included; peaks and rests are kept in ``compilations``."""
        with Peak(self.world.machine.daemon_processes) as peak:
            ready = run([STORECTL, "run", "-c", "pass"], cwd=self.project, environ=self._environ).wall
            seconds = ready + run([STORECTL, "warm"], cwd=self.project, environ=self._environ).wall
            time.sleep(_REST)
            (daemon,) = self.world.machine.daemon_processes()
            rest = resident(daemon)
        self.compilations.append(_Compilation(ready=ready, processor=peak.cpu, peak=peak.rss, rest=rest))
        self._clear()
        return seconds

    def uv(self, *flags: str) -> float:
        """``uv sync`` with neither a cache nor an environment."""
        cache = self.world.machine.root / "cold-cache"
        environ = self.world.for_uv | {"UV_CACHE_DIR": str(cache)}
        cost = run([UV, "sync", "--quiet", "--frozen", *flags], cwd=self.project, environ=environ)
        self.processor.setdefault("uv", []).append(cost.cpu)
        emptied_aside(self.world, cache, self.project / ".venv")
        return cost.wall

    def _clear(self) -> None:
        self.world.end_daemons()
        emptied_aside(self.world, self._store)

    @property
    def _store(self) -> Path:
        return self.world.machine.root / "cold-store"

    @property
    def _environ(self) -> dict[str, str]:
        return self.world.environ | {"STORECTL_STORE": str(self._store)}


def _peer(world: World, project: Path, peer: Peer) -> float:
    """From nothing at all: neither a cache nor an environment."""
    target, cache = world.machine.root / "peer-environment", world.machine.root / "peer-cache"
    seconds = peer.install(world, project, target, cache)
    emptied_aside(world, target, cache)
    return seconds
