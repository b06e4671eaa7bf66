"""Rows about the daemon: what it costs when idle, and how it answers many clients."""

import ctypes
import json
import mmap
import os
import selectors
import socket
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import processor_seconds, resident, switches
from benchmarks.results import Result
from benchmarks.world import World
from support.machine import STORECTL

IDLE_SECONDS = 30

REST_SECONDS = 15
"""What the daemon does after a warm is over by then: workers leave, memory goes back."""

ROUNDS = 5


def idle(world: World) -> Iterator[Result]:
    """Resident memory before and after a warm of everything; then processor time, and voluntary context switches."""
    project = world.project("idle")
    pid = world.machine.start_daemon()
    yield Result(row="daemon, idle", what="resident before any warm", bar=45, figure=resident(pid) / 2**20, unit="MiB")
    world.do([STORECTL, "warm"], project)
    time.sleep(REST_SECONDS)
    cpu, before = processor_seconds(pid), switches(pid)
    time.sleep(IDLE_SECONDS)
    yield Result(
        row="daemon, idle", what="resident after a warm of everything", bar=60, figure=resident(pid) / 2**20, unit="MiB"
    )
    yield Result(
        row="daemon, idle", what="processor", bar=0.1, figure=100 * (processor_seconds(pid) - cpu) / IDLE_SECONDS, unit="%",
        notes={"wake-ups a second": round((switches(pid) - before) / IDLE_SECONDS, 2)},
    )  # fmt: skip


def map_requests(world: World, requests: int = 2000) -> Iterator[Result]:
    """The import map of an environment, one connection a request, by 1, 16 and 64 clients at once.

    A figure is the median of rounds of so many requests each, and the worst round stands beside it. 64 questions that are under
    way are three in a hundred of a round, which takes a third of a second: whatever takes the processor away once for as
    long as two answers take would alone decide on such a round's p99. It begins when the warm is over, on the disk too.
    """
    project = world.project("maps")
    info = json.loads(world.do([STORECTL, "warm", "--json"], project))
    status = json.loads(world.do([STORECTL, "daemon", "status", "--json"], project))
    path, pid = status["socket"], status["pid"]
    request = (
        f"GET /v1/environments/{info['id']}/import-map HTTP/1.1\r\nHost: storectl\r\nConnection: close\r\n\r\n".encode()
    )
    expected = Path(info["path"], "import-map").read_bytes()
    os.sync()
    time.sleep(REST_SECONDS)
    for clients, which, bar in ((1, 0.5, 1.0), (16, 0.99, None), (64, 0.99, 15.0)):
        before = processor_seconds(pid)
        rounds = [Askers(path, request, expected, requests=requests) for _ in range(ROUNDS)]
        for askers in rounds:
            askers.run(clients)
        figures = [statistics.quantiles(askers.seconds, n=1000)[round(which * 1000) - 1] * 1000 for askers in rounds]
        seconds = [each for askers in rounds for each in askers.seconds]
        asking = sum(askers.processor for askers in rounds)
        yield Result(
            row="map requests", what=f"{clients} client{'s' * (clients > 1)}, p{which * 100:.0f}", bar=bar,
            figure=statistics.median(figures), unit="ms", notes={
                "errors": sum(askers.errors for askers in rounds), "requests": len(seconds),
                "p50": f"{statistics.median(seconds) * 1000:.2f} ms", "worst round": f"{max(figures):.2f} ms",
                "processor of the daemon": f"{(processor_seconds(pid) - before) / len(seconds) * 1e6:.0f} us a request",
                "processor of the clients": f"{asking / len(seconds) * 1e6:.0f} us a request",
            },
        )  # fmt: skip


class Askers:
    """So many clients at once, each a connection a question, every answer read whole and compared with the file.

    All are in one process, which leaves the daemon a processor of its own where there are two, and cost little, or it
    would be them that is measured: one loop over sockets that do not block; one buffer for all, which stays in the
    processor's cache; its start a page's, since the kernel copies five times slower to some other addresses on some
    processors; ``memcmp`` on what has just come. A question ends with the last byte of its answer, as it does in the
    shim. ``processor`` are the seconds that the clients themselves took.
    """

    def __init__(self, path: str, request: bytes, expected: bytes, *, requests: int) -> None:
        self._path = path
        self._request = request
        self._left = requests
        self._expected = ctypes.create_string_buffer(expected, len(expected))
        self._buffer = mmap.mmap(-1, 1 << 20)
        self._from = ctypes.addressof(ctypes.c_char.from_buffer(self._buffer))
        self._compare = ctypes.CDLL(None).memcmp
        self._compare.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
        self._waiting = selectors.DefaultSelector()
        self._under_way: dict[int, _Question] = {}
        self.seconds: list[float] = []
        self.errors = 0
        self.processor = 0.0

    def run(self, clients: int) -> None:
        """Ask until all is asked; ``seconds`` and ``errors`` say how it went."""
        before = time.process_time()
        with self._waiting:
            for _ in range(clients):
                self._ask()
            while self._under_way:
                for key, _ in self._waiting.select():
                    self._read(self._under_way[key.fd])
        self.processor = time.process_time() - before

    def _ask(self) -> None:
        if self._left:
            self._left -= 1
            begun = time.perf_counter()
            connection = socket.socket(socket.AF_UNIX)
            connection.setblocking(False)
            connection.connect(self._path)
            connection.send(self._request)
            self._under_way[connection.fileno()] = _Question(connection=connection, begun=begun)
            self._waiting.register(connection, selectors.EVENT_READ)

    def _read(self, question: "_Question") -> None:
        size = question.connection.recv_into(self._buffer)
        start = 0
        if question.come is None:
            start = self._buffer.find(b"\r\n\r\n", 0, size) + 4
            question.come = 0
            question.right = self._buffer[:13] == b"HTTP/1.1 200 " and start > 4
        body = size - start
        left = len(self._expected) - question.come
        if body > left or self._compare(self._from + start, ctypes.addressof(self._expected) + question.come, body):
            question.right = False
        question.come += body
        if not size or body >= left:
            self._end(question, complete=body == left)

    def _end(self, question: "_Question", *, complete: bool) -> None:
        self.seconds.append(time.perf_counter() - question.begun)
        self.errors += not (question.right and complete)
        del self._under_way[question.connection.fileno()]
        self._waiting.unregister(question.connection)
        question.connection.close()
        self._ask()


@dataclass(slots=True, kw_only=True)
class _Question:
    """One question under way. ``come`` are the bytes of the map so far, None before the head; ``right``, so far as well."""

    connection: socket.socket
    begun: float
    come: int | None = None
    right: bool = True
