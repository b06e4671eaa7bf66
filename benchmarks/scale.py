"""The scale rows: ten times as many pins, entries and watched projects, each cost beside ten times what it was.

A figure of 1 is growth as fast as the number of things; less is better. The notes say both costs.
"""

import http.client
import json
import socket
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.made_store import fill, made_wheels, write_lock
from benchmarks.measure import in_turn, ratios, run
from benchmarks.processes import processor_seconds
from benchmarks.results import Result
from benchmarks.service import IDLE_SECONDS, Askers
from benchmarks.world import World
from storectl_shim.locations import socket_path
from storectl_store.entries.trash import delete_tree
from support.machine import STORECTL, Machine, new_machine
from support.wheels import WheelBytes

PINS, ENTRIES, PROJECTS = (100, 1_000), (1_000, 10_000), (20, 200)
_MAP_REQUESTS = 50
_DEADLINE = 60.0

Costs = dict[str, float]
"""What was measured -> milliseconds."""


def scale(world: World, pairs: int) -> Iterator[Result]:
    """Pins of a lock file, entries of the store, watched projects; and hello world in all of it."""
    big = _Big(world.machine, pairs)
    fill(world.machine.store, big.wheels[: ENTRIES[0]])
    start_few = big.daemon_start()
    pins = [big.environment(number) for number in PINS]
    yield from _growth("pins in a lock file", PINS, *pins)
    big.stop()
    fill(world.machine.store, big.wheels[ENTRIES[0] :])
    many = {**big.daemon_start(), **big.environment(PINS[1])}
    yield from _growth("entries in the store", ENTRIES, {**start_few, **pins[1]}, many)
    watched = [big.watched(number) for number in PROJECTS]
    yield from _growth("watched projects", PROJECTS, *watched)
    yield big.idle()
    yield from big.hello(pairs)


def _growth(what: str, numbers: tuple[int, int], few: Costs, many: Costs) -> Iterator[Result]:
    """The growth of each cost, beside linear growth."""
    times = numbers[1] / numbers[0]
    for name, cost in many.items():
        yield Result(
            row=f"scale, {numbers[1]} {what}", what=name, bar=1.0, figure=cost / few[name] / times, unit="x linear",
            notes={f"{number}": f"{side[name]:.1f} ms" for number, side in zip(numbers, (few, many), strict=True)},
        )  # fmt: skip


class _Big:
    """The machine whose store grows."""

    def __init__(self, machine: Machine, repeats: int) -> None:
        self._machine = machine
        self._repeats = repeats
        self.wheels = made_wheels(ENTRIES[1])

    def daemon_start(self) -> Costs:
        """From the command to a daemon that answers; it recovers the store before."""
        seconds = []
        for _ in range(self._repeats):
            self.stop()
            seconds.append(self._storectl("daemon", "start"))
        return {"daemon start": _median(seconds)}

    def stop(self) -> None:
        self._machine.run("daemon", "stop")

    def environment(self, pins: int) -> Costs:
        """A new environment of that many pins, a warm that finds nothing to do, and its map."""
        project = write_lock(self._machine.home / f"pins-{pins}", self.wheels[:pins])
        environment = self._warm(project)
        new, nothing = [], []
        for _ in range(self._repeats):
            delete_tree(environment)
            new.append(_seconds(lambda: self._warm(project)))
            nothing.append(_seconds(lambda: self._warm(project)))
        path = f"/v1/environments/{environment.name}/import-map"
        question = f"GET {path} HTTP/1.1\r\nHost: storectl\r\nConnection: close\r\n\r\n"
        expected = (environment / "import-map").read_bytes()
        askers = Askers(self._socket, question.encode(), expected, requests=_MAP_REQUESTS)
        askers.run(1)
        return {
            "new environment": _median(new),
            "warm with nothing to do": _median(nothing),
            "import map": _median(askers.seconds),
        }

    def watched(self, number: int) -> Costs:
        """With that many watched projects: the daemon's start, and a change of one of two lock files seen before."""
        projects = [
            write_lock(self._machine.home / f"watched-{place}", self.wheels[place : place + 5])
            for place in range(number)
        ]
        for project in projects:
            self._ask("POST", "/v1/projects", {"path": str(project)})
        self._until_all_are_watched()
        ready = _median(self._switches(projects[number // 2], number // 2))
        return {**self.daemon_start(), "ready after a lock file changed": ready}

    def _switches(self, project: Path, place: int) -> list[float]:
        """Seconds until the record follows, there and back again."""
        record = self._machine.record(project) / "ready.default"
        sides = (self.wheels[place : place + 4], self.wheels[place : place + 5])
        seen = []
        for wheels in sides:
            write_lock(project, wheels)
            seen.append(str(self._warm(project)))
        seconds = []
        for turn in range(2 * self._repeats):
            write_lock(project, sides[turn % 2])
            start = time.perf_counter()
            while seen[turn % 2] not in record.read_text():
                if time.perf_counter() > start + _DEADLINE:
                    raise RuntimeError(f"the daemon does not follow {project}")
                time.sleep(0.0005)
            seconds.append(time.perf_counter() - start)
        return seconds

    def _until_all_are_watched(self) -> None:
        _until(
            lambda: all(state["watched"] and state["state"] == "ready" for state in self._ask("GET", "/v1/projects"))
        )

    def idle(self) -> Result:
        """The processor time of a daemon that looks after all of it."""
        self._until_all_are_watched()
        pid = self._machine.daemon_pid()
        time.sleep(5)
        before = processor_seconds(pid)
        time.sleep(IDLE_SECONDS)
        share = 100 * (processor_seconds(pid) - before) / IDLE_SECONDS
        return Result(
            row=f"scale, {PROJECTS[1]} watched projects", what="processor when idle", bar=0.1, figure=share, unit="%"
        )

    def hello(self, pairs: int) -> Iterator[Result]:
        """Hello world in a project of five pins: in all of this, and on a machine that has nothing else."""
        with new_machine() as other:
            fill(other.store, self.wheels[:5])
            alone = _hello_project(other, self.wheels[:5])
            among = _hello_project(self._machine, self.wheels[:5])
            sides: dict[str, Callable[[], float]] = {
                "among": lambda: _hello(self._machine, among),
                "alone": lambda: _hello(other, alone),
            }
            found = in_turn(sides, pairs=2 * pairs, warmups=3)
        row = f"scale, {ENTRIES[1]} entries and {PROJECTS[1]} projects"
        yield Result(
            row=row, what="hello, beside a store of five", bar=1.05, ratios=ratios(found["among"], found["alone"])
        )

    def _warm(self, project: Path) -> Path:
        """The environment, asked for over the socket."""
        last = self._lines("POST", "/v1/warm", {"start": str(project)})[-1]
        assert last["event"] == "ready", last
        return Path(last["environment"]["path"])

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        return self._lines(method, path, body)[0]

    def _lines(self, method: str, path: str, body: object) -> list[Any]:
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        try:
            connection.sock.connect(self._socket)
            connection.request(method, path, json.dumps(body), {"Content-Type": "application/json"})
            return [json.loads(line) for line in connection.getresponse().read().splitlines()]
        finally:
            connection.close()

    @property
    def _socket(self) -> str:
        return socket_path(self._machine.environ)

    def _storectl(self, *arguments: str) -> float:
        return run([STORECTL, *arguments], cwd=self._machine.home, environ=self._machine.environ).wall


def _hello_project(machine: Machine, wheels: Sequence[WheelBytes]) -> Path:
    project = write_lock(machine.home / "hello", wheels)
    (project / "hello.py").write_text("print('hello')\n")
    machine.ok("warm", cwd=project)
    record = machine.record(project) / "fast.default/environment"
    _until(record.exists)  # the launcher's record is complete two seconds after the last change
    return project


def _hello(machine: Machine, project: Path) -> float:
    return run([STORECTL, "run", "hello.py"], cwd=project, environ=machine.environ).wall


def _until(reached: Callable[[], bool]) -> None:
    end = time.perf_counter() + _DEADLINE
    while not reached():
        if time.perf_counter() > end:
            raise RuntimeError("the daemon does not get there")
        time.sleep(0.0005)


def _seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def _median(seconds: Sequence[float]) -> float:
    return statistics.median(seconds) * 1000
