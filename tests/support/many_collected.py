"""Mark and collect a store of 10,000 entries and 500 environments, and see what programs notice. ``scripts/collect-many``.

One environment stays, as this process keeps its file open; programs ask for its import map meanwhile.
"""

import http.client
import json
import os
import resource
import socket
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from storectl_shim.leases import LEASED
from storectl_shim.locations import socket_path
from storectl_store.collecting.inventory import read_inventory
from storectl_store.collecting.mark import mark
from storectl_store.collecting.roots import Root
from storectl_store.digest import EnvironmentId
from storectl_store.entries.store import Store
from support.collected import aged
from support.machine import Machine, new_machine
from support.many_counted import CLIENTS, ROUNDS, Daemon, build

MOST_ROUNDS = 100
OLD = 1_700_000_000.0
"""When everything was made, so that nothing is young."""


def mark_seconds(store: Path) -> Iterator[tuple[str, float, float]]:
    """What inventory and mark cost: seconds of the clock and of the processor."""
    opened = Store.open(store)
    for what in ("first", "second", "third"):
        begun, before = time.perf_counter(), time.process_time()
        found = read_inventory(opened)
        roots = [Root(kind="current", environment=each) for each in list(found.environments)[::2]]
        marked = mark(found, roots, now=time.time(), grace=3600)
        assert len(marked.dead_environments) == len(found.environments) // 2
        yield what, time.perf_counter() - begun, time.process_time() - before
    opened.close()


class CollectingDaemon(Daemon):
    """The daemon, which can be asked to collect."""

    def __init__(self, machine: Machine, environment: EnvironmentId) -> None:
        super().__init__(machine, environment)
        self._address = socket_path(machine.environ)

    def collect(self, *, dry_run: bool) -> dict[str, Any]:
        """Collect, and return the last thing that was told."""
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(self._address)
        body = json.dumps({"dry_run": dry_run})
        connection.request("POST", "/v1/collect", body, {"Content-Type": "application/json"})
        lines = [json.loads(line) for line in connection.getresponse().read().splitlines()]
        connection.close()
        assert lines[-1]["event"] == "collected", lines[-1]
        told = next(line for line in lines if line["event"] == "planned") if dry_run else lines[-1]
        return {name: told[name] for name in ("environments", "entries", "bytes", "inodes")}


def p99_while(daemon: CollectingDaemon, work: Callable[[], object]) -> tuple[list[float], float]:
    """The p99 of rounds of map requests until the work is done, and how long that took, in seconds.

    After ``MOST_ROUNDS`` nobody asks any more: what gives way to everybody would never be done.
    """
    working = threading.Thread(target=work)
    figures: list[float] = []
    begun = time.perf_counter()
    working.start()
    while working.is_alive() and len(figures) < MOST_ROUNDS:
        figures.append(daemon.p99())
    working.join()
    return figures, time.perf_counter() - begun


def told(what: str, figures: list[float], seconds: float) -> None:
    shown = f"p99 {statistics.median(figures):.1f} ms (worst round {max(figures):.1f}, {len(figures)} rounds)"
    print(f"{what}: {seconds:.1f} s; map requests of {CLIENTS} clients: {shown}", flush=True)


def until_empty(trash: Path) -> None:
    while os.listdir(trash):
        time.sleep(0.2)


def main() -> None:
    """Build, mark, collect, empty, print."""
    with new_machine() as machine:
        live = build(machine.store)
        aged([*machine.store.glob("environments/*"), *machine.store.glob("environments/*/pyvenv.cfg")], OLD)
        aged(machine.store.glob("meta/*.json"), OLD)
        for what, wall, processor in mark_seconds(machine.store):
            print(f"inventory and mark, {what}: {wall:.2f} s, {processor:.2f} s of processor", flush=True)
        print(f"memory of that process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB")
        with (machine.store / "environments" / live / LEASED).open():
            daemon = CollectingDaemon(machine, live)
            told("nothing", [daemon.p99() for _ in range(ROUNDS)], 0)
            told("dry run", *p99_while(daemon, lambda: print(daemon.collect(dry_run=True), flush=True)))
            told("nothing", [daemon.p99() for _ in range(ROUNDS)], 0)
            told("collect", *p99_while(daemon, lambda: print(daemon.collect(dry_run=False), flush=True)))
            told("emptying the trash", *p99_while(daemon, lambda: until_empty(machine.store / "trash")))
            told("nothing", [daemon.p99() for _ in range(ROUNDS)], 0)
        begun = time.perf_counter()
        machine.ok("store", "verify")
        print(f"verified in {time.perf_counter() - begun:.1f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
