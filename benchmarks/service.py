"""Rows about the daemon: what it costs when idle, and how it answers many clients."""

import json
import os
import selectors
import socket
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.results import Result
from benchmarks.world import World
from support.machine import STORECTL

IDLE_SECONDS = 30


def idle(world: World) -> Iterator[Result]:
    """After a warm of everything: resident memory, processor time, and voluntary context switches."""
    project = world.project("idle")
    world.do([STORECTL, "warm"], project)
    pid = world.machine.daemon_pid()
    time.sleep(15)  # what it does after a warm is over by then: workers leave, memory goes back
    cpu, switches = processor_seconds(pid), _switches(pid)
    time.sleep(IDLE_SECONDS)
    rss = next(int(line.split()[1]) for line in _status(pid) if line.startswith("VmRSS")) / 1024
    yield Result(row="daemon, idle", what="resident after a warm of everything", bar=80, figure=rss, unit="MiB")
    yield Result(
        row="daemon, idle", what="processor", bar=0.1, figure=100 * (processor_seconds(pid) - cpu) / IDLE_SECONDS, unit="%",
        notes={"wake-ups a second": round((_switches(pid) - switches) / IDLE_SECONDS, 2)},
    )  # fmt: skip


def map_requests(world: World, requests: int = 2000) -> Iterator[Result]:
    """The import map of an environment, one connection a request, by 1, 16 and 64 clients at once."""
    project = world.project("maps")
    info = json.loads(world.do([STORECTL, "warm", "--json"], project))
    status = json.loads(world.do([STORECTL, "daemon", "status", "--json"], project))
    path, pid = status["socket"], status["pid"]
    request = (
        f"GET /v1/environments/{info['id']}/import-map HTTP/1.1\r\nHost: storectl\r\nConnection: close\r\n\r\n".encode()
    )
    for clients, which, bar in ((1, 0.5, 1.0), (16, 0.99, None), (64, 0.99, 15.0)):
        before = processor_seconds(pid)
        askers = Askers(path, request, requests=requests)
        askers.run(clients)
        seconds = askers.seconds
        figure = statistics.quantiles(seconds, n=1000)[round(which * 1000) - 1] * 1000
        yield Result(
            row="map requests", what=f"{clients} client{'s' * (clients > 1)}, p{which * 100:.0f}", bar=bar, figure=figure,
            unit="ms", notes={
                "errors": askers.errors, "requests": len(seconds), "p50": f"{statistics.median(seconds) * 1000:.2f} ms",
                "processor of the daemon": f"{(processor_seconds(pid) - before) / len(seconds) * 1e6:.0f} us a request",
            },
        )  # fmt: skip


class Askers:
    """So many clients at once, each a connection a question, in one loop over sockets: what takes time is the daemon."""

    def __init__(self, path: str, request: bytes, *, requests: int) -> None:
        self._path = path
        self._request = request
        self._left = requests
        self._buffer = bytearray(1 << 20)
        self._waiting = selectors.DefaultSelector()
        self._begun: dict[int, float] = {}
        self.seconds: list[float] = []
        self.errors = 0

    def run(self, clients: int) -> None:
        """Ask until all is asked; ``seconds`` and ``errors`` say how it went."""
        with self._waiting:
            for _ in range(clients):
                self._ask()
            while self._begun:
                for key, _ in self._waiting.select():
                    assert isinstance(key.fileobj, socket.socket)
                    self._read(key.fileobj)

    def _ask(self) -> None:
        if self._left:
            self._left -= 1
            connection = socket.socket(socket.AF_UNIX)
            self._begun[connection.fileno()] = time.perf_counter()
            connection.setblocking(False)
            connection.connect(self._path)
            connection.sendall(self._request)
            self._waiting.register(connection, selectors.EVENT_READ, data=[])

    def _read(self, connection: socket.socket) -> None:
        size = connection.recv_into(self._buffer)
        seen: list[bytes] = self._waiting.get_key(connection).data
        if size and not seen:
            seen.append(bytes(self._buffer[:12]))
        elif not size:
            self.seconds.append(time.perf_counter() - self._begun.pop(connection.fileno()))
            self.errors += seen != [b"HTTP/1.1 200"]
            self._waiting.unregister(connection)
            connection.close()
            self._ask()


def _status(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/status").read_text().splitlines()


def _switches(pid: int) -> int:
    """Voluntary context switches of all threads: each is a wake-up."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        lines = (task / "status").read_text().splitlines()
        total += next(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches"))
    return total


def processor_seconds(pid: int) -> float:
    """What the process has used so far, by user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
