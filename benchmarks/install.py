"""Rows about making environments: into an empty store, from a full one, and switching between two lock files."""

import http.client
import json
import os
import shutil
import socket
import stat
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

from packaging.utils import parse_wheel_filename

from benchmarks.measure import in_turn, ratios, run
from benchmarks.peers import PIP, Peer, aside, emptied_aside, peers_here
from benchmarks.processes import Peak, processor_seconds, resident
from benchmarks.results import Result
from benchmarks.space import below
from benchmarks.world import UV, World, pull
from support.machine import STORECTL

WARMUPS = 1
_FULL_BYTES, _EMPTIED_BYTES = 12, 1
"""So many times the size of the wheels a pair of cold installs takes on the disk, and once its files are emptied: see ``emptied_aside``."""
_REST = 2.5
"""Seconds after a warm, in which the daemon gives memory back."""


def new_environment(world: World, pairs: int) -> Iterator[Result]:
    """Environments never made before, all wheels of them in the store, beside ``uv sync`` with a full cache.

    Each sample is a project of its own whose lock file leaves out other wheels, mostly one. The daemon is up, as when somebody pulls;
    the figure after a restart, with nothing in the daemon's memory yet, stands beside. Nothing is deleted in between.
    Each side begins with a disk that has written all: uv leaves its writing to later, which storectl, whose environments are
    durable before they are ready, would wait for.
    """
    restarts = max(3, pairs // 3)
    first, *projects = _differing_projects(world, 1 + WARMUPS + pairs + restarts)
    world.do([STORECTL, "warm"], first)
    world.do([UV, "sync", "--quiet", "--frozen"], first)
    samples, restarted = projects[:-restarts], projects[-restarts:]
    ours, theirs = iter(samples), iter(samples)
    asked: list[float] = []
    pid = world.machine.daemon_pid()
    before = processor_seconds(pid)

    def storectl() -> float:
        """The daemon's own time, as a client of its API sees it."""
        asked.append(_warm_over_socket(world, next(ours)))
        return asked[-1]

    def uv() -> float:
        return run([UV, "sync", "--quiet", "--frozen"], cwd=next(theirs), environ=world.for_uv).wall

    sides: dict[str, Callable[[], float]] = {"storectl": storectl, "uv": uv}
    linking = [peer for peer in peers_here() if peer is not PIP]  # pip copies: it has no such job
    for peer in linking:
        peer.prepare(world, first)
        sides[peer.name] = partial(_kept_peer, world, first, peer)
    found = in_turn(sides, pairs=pairs, warmups=WARMUPS, before=os.sync)
    processor = (processor_seconds(pid) - before) / len(asked)
    wheels = len(list(world.wheels.glob("*.whl")))
    row = f"new environment, {wheels} wheels"
    yield Result(row=row, what="uv sync, warm cache", bar=0.05, ratios=ratios(found["storectl"], found["uv"]))
    for peer in linking:
        yield Result(row=row, what=peer.name, bar=0.05, ratios=ratios(found["storectl"], found[peer.name]))
    notes = {
        "slowest": f"{max(found['storectl']) * 1000:.0f} ms",
        "processor of the daemon": f"{processor * 1000:.0f} ms",
    }
    yield Result(row=row, what="until ready", bar=50, figure=_median(found["storectl"]) * 1000, unit="ms", notes=notes)
    seconds = [_after_restart(world, each) for each in restarted]
    yield Result(row=row, what="until ready, after a restart", figure=_median(seconds) * 1000, unit="ms")
    inodes = [_own_inodes(folder) for folder in (world.machine.store / "environments").iterdir()]
    shared = len(os.listdir(world.machine.store / "links"))
    notes = {"most": str(max(inodes)), "links that all environments share": str(shared)}
    yield Result(row=row, what="inodes", bar=3 * wheels + 30, figure=_median(inodes), unit="inodes", notes=notes)


def _differing_projects(world: World, number: int) -> list[Path]:
    """So many projects; the first has all the wheels, each of the others leaves out others, as few as can be."""
    first = world.project("new")
    packages = [each for each in tomllib.loads((first / "uv.lock").read_text())["package"] if each["name"] != "new"]
    chosen = _to_leave_out({each["name"]: frozenset(_needed_by(each)) for each in packages}, number - 1)
    return [first, *(world.project(f"new-{place}", without=sorted(names)) for place, names in enumerate(chosen))]


def _needed_by(package: Mapping[str, Any]) -> Iterator[str]:
    """Whatever stays locked while this package of a ``uv.lock`` is: what it depends on, by itself and by its extras."""
    for edges in (package.get("dependencies", []), *package.get("optional-dependencies", {}).values()):
        yield from (edge["name"] for edge in edges)


def _to_leave_out(needs: Mapping[str, frozenset[str]], number: int) -> list[frozenset[str]]:
    """So many sets of names, the smallest first, that nothing else needs: each name with all that need it, and two such sets."""
    alone = {_with_dependents(name, needs) for name in needs}
    sets = alone if len(alone) > number else alone | {one | other for one, other in combinations(alone, 2)}
    chosen = sorted(sets - {frozenset(needs)}, key=lambda names: (len(names), sorted(names)))[:number]
    if len(chosen) < number:
        raise RuntimeError(f"{number} different projects cannot be made of {len(needs)} wheels: ask for fewer pairs")
    return chosen


def _with_dependents(name: str, needs: Mapping[str, frozenset[str]]) -> frozenset[str]:
    found, new = frozenset[str](), frozenset({name})
    while new:
        found |= new
        new = frozenset(other for other, needed in needs.items() if needed & new) - found
    return found


def _after_restart(world: World, project: Path) -> float:
    world.do([STORECTL, "daemon", "stop"], project)
    world.do([STORECTL, "daemon", "start"], project)
    return _warm_over_socket(world, project)


def _own_inodes(folder: Path) -> int:
    """Inodes that are there for the environment alone: a file that is one of the store's as well costs none."""
    return sum(stat.S_ISDIR(status.st_mode) or status.st_nlink == 1 for status in below(folder))


def _kept_peer(world: World, project: Path, peer: Peer) -> float:
    """With all that earlier runs kept; the first of them is a warm-up."""
    target = world.machine.root / "peer-environment"
    seconds = peer.install(world, project, target, world.machine.root / f"kept-{peer.command[0]}")
    aside(world, target)
    return seconds


def branch_switch(world: World, pairs: int) -> Iterator[Result]:
    """Two lock files that differ in five wheels, both seen before: from the change of the file to ready."""
    names = sorted(parse_wheel_filename(wheel.name)[0] for wheel in world.wheels.glob("*.whl"))
    one, other = world.project("one"), world.project("other", without=names[-5:])
    folder = world.machine.home / "switched"
    shutil.copytree(one, folder)
    world.do([STORECTL, "watch", "add"], folder)
    paths = {}
    for source in (one, other):
        pull(source, folder)
        paths[source] = json.loads(world.do([STORECTL, "warm", "--json"], folder))["path"]
    record = world.machine.record(folder) / "ready.default"
    seconds = []
    for number in range(2 * pairs):
        source = (one, other)[number % 2]
        pull(source, folder)
        start = time.perf_counter()
        while paths[source] not in record.read_text() or str(_mtime(folder)) not in record.read_text():
            if time.perf_counter() - start > 30:
                raise RuntimeError("the daemon does not follow the lock file")
            time.sleep(0.0005)
        seconds.append(time.perf_counter() - start)
    yield Result(
        row="branch switch", what="ready after the file changed", bar=20,
        figure=sorted(seconds)[len(seconds) // 2] * 1000, unit="ms", notes={"slowest": f"{max(seconds) * 1000:.1f} ms"},
    )  # fmt: skip


def _mtime(folder: Path) -> int:
    return (folder / "uv.lock").stat().st_mtime_ns


def cold_install(world: World, pairs: int, *, pip: bool) -> Iterator[Result]:
    """Everything into an empty store: until a program can import it all, and until all is compiled; peers likewise.

    Each side begins with a disk that has written all, as in ``new_environment``.
    """
    needed = (_FULL_BYTES + pairs * _EMPTIED_BYTES) * sum(wheel.stat().st_size for wheel in world.wheels.glob("*.whl"))
    if shutil.disk_usage(world.machine.root).free < needed:
        raise RuntimeError(
            f"{pairs} pairs of cold installs need {needed >> 30} GiB below {world.machine.root}: ask for fewer"
        )
    project = world.project("cold")
    chosen = [peer for peer in peers_here() if pip or peer is not PIP]
    for peer in chosen:
        peer.prepare(world, project)
    aside(world, project / ".venv")  # PDM locks with one
    runs: list[_Cold] = []
    sides: dict[str, Callable[[], float]] = {
        "storectl": lambda: _cold_storectl(world, project, runs),
        "uv": lambda: _cold_uv(world, project),
        "uv bytecode": lambda: _cold_uv(world, project, "--compile-bytecode"),
        **{peer.name: partial(_cold_peer, world, project, peer) for peer in chosen},
    }
    found = in_turn(sides, pairs=pairs, warmups=0, before=os.sync)
    del runs[len(found["storectl"]) :]
    row = f"cold install, {len(list(world.wheels.glob('*.whl')))} wheels"
    compiled = [cold.compiled for cold in runs]
    notes = {"CPU seconds of daemon and workers": round(_median([cold.cpu_importable for cold in runs]), 1)}
    yield Result(row=row, what="uv sync", bar=1.0, ratios=ratios(found["storectl"], found["uv"]), notes=notes)
    for peer in chosen:
        bar = 0.35 if peer is PIP else 1.0
        yield Result(row=row, what=peer.name, bar=bar, ratios=ratios(found["storectl"], found[peer.name]))
    if PIP in chosen:  # it compiles unless told otherwise; pex and PDM do not
        yield Result(row=f"{row}, with bytecode", what=PIP.name, ratios=ratios(compiled, found[PIP.name]))
    notes = {"CPU seconds of daemon and workers": round(_median([cold.cpu for cold in runs]), 1)}
    yield Result(
        row=f"{row}, with bytecode", what="uv sync --compile-bytecode", bar=0.8,
        ratios=ratios(compiled, found["uv bytecode"]), notes=notes,
    )  # fmt: skip
    peak = max(cold.peak for cold in runs) / 2**20
    yield Result(row=row, what="peak memory of daemon and workers", bar=400, figure=peak, unit="MiB")
    rest = max(cold.rest for cold in runs) / 2**20
    yield Result(row=row, what="memory of the daemon afterwards", bar=80, figure=rest, unit="MiB")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cold:
    """One cold warm. ``compiled`` in seconds from its begin; processor seconds until importable and in all; bytes."""

    compiled: float
    cpu_importable: float
    cpu: float
    peak: int
    rest: int


def _median(figures: Sequence[float]) -> float:
    return sorted(figures)[len(figures) // 2]


def _cold_storectl(world: World, project: Path, runs: list[_Cold]) -> float:
    """A program run with a store of its own, the daemon's start and the program's included; then the bytecode."""
    store = world.machine.root / "cold-store"
    environ = world.environ | {"STORECTL_STORE": str(store)}
    with Peak(world.machine.daemon_processes) as peak:
        importable = run([STORECTL, "run", "-c", "pass"], cwd=project, environ=environ).wall
        cpu_importable = peak.cpu
        compiled = importable + run([STORECTL, "warm"], cwd=project, environ=environ).wall
        time.sleep(_REST)
        (daemon,) = world.machine.daemon_processes()
        rest = resident(daemon)
    runs.append(_Cold(compiled=compiled, cpu_importable=cpu_importable, cpu=peak.cpu, peak=peak.rss, rest=rest))
    world.do([STORECTL, "daemon", "stop"], project, STORECTL_STORE=str(store))
    emptied_aside(world, store)
    return importable


def _cold_uv(world: World, project: Path, *flags: str) -> float:
    cache = world.machine.root / "cold-cache"
    environ = world.for_uv | {"UV_CACHE_DIR": str(cache)}
    seconds = run([UV, "sync", "--quiet", "--frozen", *flags], cwd=project, environ=environ).wall
    emptied_aside(world, cache, project / ".venv")
    return seconds


def _cold_peer(world: World, project: Path, peer: Peer) -> float:
    """From nothing at all: neither a cache nor an environment."""
    target, cache = world.machine.root / "peer-environment", world.machine.root / "peer-cache"
    seconds = peer.install(world, project, target, cache)
    emptied_aside(world, target, cache)
    return seconds


def _warm_over_socket(world: World, project: Path) -> float:
    """Seconds from the request to the line that says ready."""
    path = json.loads(world.do([STORECTL, "daemon", "status", "--json"], project))["socket"]
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(path)
    start = time.perf_counter()
    connection.request("POST", "/v1/warm", json.dumps({"start": str(project)}), {"Content-Type": "application/json"})
    lines = connection.getresponse().read().splitlines()
    seconds = time.perf_counter() - start
    assert json.loads(lines[-1])["event"] == "ready", lines[-1]
    if not any(json.loads(line).get("phase") == "publish" for line in lines):
        raise RuntimeError(f"{project}: its environment was there before")
    return seconds
