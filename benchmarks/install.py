"""Rows about making environments from a full store, and about switching between two lock files."""

import http.client
import json
import os
import shutil
import socket
import stat
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import combinations
from pathlib import Path
from statistics import median
from typing import Any

from packaging.utils import parse_wheel_filename

from benchmarks.measure import in_turn, ratios, run
from benchmarks.peers import PIP, Peer, aside, peers_here
from benchmarks.processes import processor_seconds
from benchmarks.results import Result
from benchmarks.space import below
from benchmarks.world import UV, World, pull
from support.machine import STORECTL

WARMUPS = 1


def new_environment(world: World, pairs: int) -> Iterator[Result]:
    """Environments never made before, all wheels of them in the store, beside ``uv sync`` with a full cache.

    Each sample is a project of its own whose lock file leaves out other wheels, mostly one. The daemon is up, as when somebody pulls:
    it is asked over its socket, and by ``storectl warm``, which knows nothing and has projects of its own. The figure after a
    restart, with nothing in the daemon's memory yet, stands beside. Nothing is deleted in between.
    Each side begins with a disk that has written all: uv leaves its writing to later, which storectl, whose environments are
    durable before they are ready, would wait for.
    """
    restarts = max(3, pairs // 3)
    rounds = WARMUPS + pairs
    first, *projects = _differing_projects(world, 1 + 2 * rounds + restarts)
    world.do([STORECTL, "warm"], first)
    world.do([UV, "sync", "--quiet", "--frozen"], first)
    samples, commanded, restarted = projects[:rounds], iter(projects[rounds : 2 * rounds]), projects[2 * rounds :]
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

    def command() -> float:
        """All of ``storectl warm``, from its start to its end."""
        return run([STORECTL, "warm"], cwd=next(commanded), environ=world.environ).wall

    sides: dict[str, Callable[[], float]] = {"storectl": storectl, "command": command, "uv": uv}
    linking = [peer for peer in peers_here() if peer is not PIP]  # pip copies: it has no such job
    for peer in linking:
        peer.prepare(world, first)
        sides[peer.name] = partial(_kept_peer, world, first, peer)
    found = in_turn(sides, pairs=pairs, warmups=WARMUPS, before=os.sync)
    processor = (processor_seconds(pid) - before) / (2 * len(asked))
    wheels = len(list(world.wheels.glob("*.whl")))
    row = f"new environment, {wheels} wheels"
    yield Result(row=row, what="storectl warm, uv sync", bar=0.20, ratios=ratios(found["command"], found["uv"]))
    yield Result(row=row, what="in the daemon, uv sync", ratios=ratios(found["storectl"], found["uv"]))
    for peer in linking:
        yield Result(
            row=row, what=f"storectl warm, {peer.name}", bar=0.20, ratios=ratios(found["command"], found[peer.name])
        )
    notes = {
        "slowest": f"{max(found['storectl']) * 1000:.0f} ms",
        "processor of the daemon for each": f"{processor * 1000:.0f} ms",
    }
    yield Result(
        row=row,
        what="until ready, in the daemon",
        bar=120,
        figure=median(found["storectl"]) * 1000,
        unit="ms",
        notes=notes,
    )
    seconds = [_after_restart(world, each) for each in restarted]
    yield Result(
        row=row, what="until ready, in a daemon that has just started", figure=median(seconds) * 1000, unit="ms"
    )
    inodes = [_own_inodes(folder) for folder in (world.machine.store / "environments").iterdir()]
    shared = len(os.listdir(world.machine.store / "links"))
    notes = {"most": str(max(inodes)), "links that all environments share": str(shared)}
    yield Result(row=row, what="inodes", bar=3 * wheels + 30, figure=median(inodes), unit="inodes", notes=notes)


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
