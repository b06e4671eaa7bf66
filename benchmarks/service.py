"""Rows about the daemon: what it costs when idle, and how it answers many clients."""

import asyncio
import json
import os
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
    cpu, switches = _cpu(pid), _switches(pid)
    time.sleep(IDLE_SECONDS)
    rss = next(int(line.split()[1]) for line in _status(pid) if line.startswith("VmRSS")) / 1024
    yield Result(row="daemon, idle", what="resident after a warm of everything", bar=80, figure=rss, unit="MiB")
    yield Result(
        row="daemon, idle", what="processor", bar=0.1, figure=100 * (_cpu(pid) - cpu) / IDLE_SECONDS, unit="%",
        notes={"wake-ups a second": round((_switches(pid) - switches) / IDLE_SECONDS, 2)},
    )  # fmt: skip


def map_requests(world: World, requests: int = 2000) -> Iterator[Result]:
    """The import map of an environment, one connection a request, by 1, 16 and 64 clients at once."""
    project = world.project("maps")
    info = json.loads(world.do([STORECTL, "warm", "--json"], project))
    path = json.loads(world.do([STORECTL, "daemon", "status", "--json"], project))["socket"]
    request = f"GET /v1/environments/{info['id']}/import-map HTTP/1.0\r\nHost: localhost\r\n\r\n".encode()
    for clients, which, bar in ((1, 0.5, 1.0), (16, 0.99, None), (64, 0.99, 15.0)):
        seconds, errors = asyncio.run(_ask(path, request, clients, requests))
        figure = statistics.quantiles(seconds, n=1000)[round(which * 1000) - 1] * 1000
        yield Result(
            row="map requests", what=f"{clients} client{'s' * (clients > 1)}, p{which * 100:.0f}", bar=bar, figure=figure,
            unit="ms", notes={"errors": errors, "requests": len(seconds), "p50": f"{statistics.median(seconds) * 1000:.2f} ms"},
        )  # fmt: skip


async def _ask(path: str, request: bytes, clients: int, requests: int) -> tuple[list[float], int]:
    seconds: list[float] = []
    errors = 0

    async def client() -> None:
        nonlocal errors
        for _ in range(requests // clients):
            start = time.perf_counter()
            try:
                reader, writer = await asyncio.open_unix_connection(path)
                writer.write(request)
                answer = await reader.read(-1)
                writer.close()
                errors += not answer.startswith(b"HTTP/1.1 200")
            except OSError:
                errors += 1
            seconds.append(time.perf_counter() - start)

    await asyncio.gather(*(client() for _ in range(clients)))
    return seconds, errors


def _status(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/status").read_text().splitlines()


def _switches(pid: int) -> int:
    """Voluntary context switches of all threads: each is a wake-up."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        lines = (task / "status").read_text().splitlines()
        total += next(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches"))
    return total


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
