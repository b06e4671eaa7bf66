"""Count a store of 10,000 entries and 500 environments, and see what programs notice of it. For ``scripts/count-many``."""

import http.client
import json
import random
import socket
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.made_store import fill, made_wheels
from benchmarks.processes import processor_seconds
from benchmarks.service import Askers

from storectl.commands.usage_picture import usage_picture
from storectl_shim.locations import socket_path
from storectl_store.digest import EnvironmentId
from storectl_store.entries.bytecode.compile import compile_entries
from storectl_store.environments.outlines.outline import outline_of
from storectl_store.environments.planning.plan import plan_environment
from storectl_store.environments.publish import publish_environment
from support.environments import ask_interpreter
from support.lived_in import walked
from support.machine import Machine, new_machine
from support.stores import written_store

ENTRIES, ENVIRONMENTS, EACH = 10_000, 500, 120
CLIENTS, REQUESTS, ROUNDS = 16, 2000, 5


def build(store: Path) -> EnvironmentId:
    """Fill the store. Returns one of its environments."""
    wheels = made_wheels(ENTRIES)
    fill(store, wheels)
    interpreter, choice = ask_interpreter(sys.executable), random.Random(1)
    with written_store(store) as written:
        layout = written.store.layout
        manifests = list(written.store.manifests())
        compile_entries(layout, manifests, interpreter, processes=2, tmp=written.writer.session)
        outlines = [outline_of(manifest, interpreter.extension_suffixes) for manifest in manifests]
        for _ in range(ENVIRONMENTS):
            chosen = choice.sample(outlines, EACH)
            made = publish_environment(written.store, plan_environment(chosen, interpreter, written.store, layout))
    return EnvironmentId(made.name)


class Daemon:
    """The daemon of the machine, asked over its socket."""

    def __init__(self, machine: Machine, environment: EnvironmentId) -> None:
        self.pid = machine.start_daemon()
        self._socket = socket_path(machine.environ)
        path = f"/v1/environments/{environment}/import-map"
        self._question = f"GET {path} HTTP/1.1\r\nHost: storectl\r\nConnection: close\r\n\r\n".encode()
        self._map = (machine.store / "environments" / environment / "import-map").read_bytes()

    def count(self, by: str, *, exact: bool = False) -> tuple[float, float, dict[str, object]]:
        """Seconds, seconds of the daemon's processor, and the answer."""
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(self._socket)
        begun, before = time.perf_counter(), processor_seconds(self.pid)
        connection.request("GET", f"/v1/usage?by={by}&exact={str(exact).lower()}")
        lines = [json.loads(line) for line in connection.getresponse().read().splitlines()]
        connection.close()
        assert lines[-1]["event"] == "usage", lines[-1]
        return time.perf_counter() - begun, processor_seconds(self.pid) - before, lines[-1]

    def p99(self) -> float:
        """Milliseconds of a map request."""
        askers = Askers(self._socket, self._question, self._map, requests=REQUESTS)
        askers.run(CLIENTS)
        assert not askers.errors
        return statistics.quantiles(askers.seconds, n=100)[98] * 1000


def meanwhile(daemon: Daemon) -> Iterator[tuple[float, float]]:
    """The p99 of map requests without a count, and while one follows the other."""
    for _ in range(ROUNDS):
        without = daemon.p99()
        stop = threading.Event()
        counting = threading.Thread(target=_count_until, args=(daemon, stop))
        counting.start()
        time.sleep(0.2)  # into the first count
        during = daemon.p99()
        stop.set()
        counting.join()
        yield without, during


def _count_until(daemon: Daemon, stop: threading.Event) -> None:
    while not stop.is_set():
        daemon.count("project")


def main() -> None:
    """Build, count, print."""
    with new_machine() as machine:
        begun = time.perf_counter()
        daemon = Daemon(machine, build(machine.store))
        print(f"built in {time.perf_counter() - begun:.0f} s")
        for by in ("project", "project", "package", "age", "environment", "entry"):
            seconds, processor, usage = daemon.count(by)
            print(f"{by}: {seconds:.2f} s, {processor:.2f} s of processor, {usage['total']}")
        seconds, processor, usage = daemon.count("project", exact=True)
        print(
            f"exact: {seconds:.2f} s, {processor:.2f} s of processor, {usage['total']}; walked {walked(machine.store)}"
        )
        picture = usage_picture(daemon.count("entry")[2], now=time.time())
        print(f"picture: {len(picture)} bytes")
        pairs = list(meanwhile(daemon))
        shown = ", ".join(f"{without:.1f} -> {during:.1f}" for without, during in pairs)
        without, during = (statistics.median(side) for side in zip(*pairs, strict=True))
        print(f"map requests, {CLIENTS} clients, p99: {without:.1f} ms, while counting {during:.1f} ms ({shown})")


if __name__ == "__main__":
    main()
