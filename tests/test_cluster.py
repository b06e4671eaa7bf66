"""The model of what ranks of a job wait: a queue, beside a simulation of it, and beside a file system that is slow."""

import heapq
import random
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from benchmarks.cluster import FOLDER, RANKS, Server, answer_time, chain, main, read, wait

from support.slow_tree import slow_tree
from support.stores import run_python

FACTOR = 1.7
"""So far apart may be what the model says and what a machine does that has other work."""

FILES = 30
SERVER = Server(servers=4, service=0.001, way=0.0)


def simulated(server: Server, askers: int, between: float, *, fixed: bool, calls: int = 60_000) -> float:
    """The mean seconds from call to answer, event by event. Times are exponential, or the service is ``fixed``."""
    choice = random.Random(1)
    coming = [(choice.expovariate(1 / between), n) for n in range(askers)]
    heapq.heapify(coming)
    free = [0.0] * server.servers
    total = 0.0
    for _ in range(calls):
        asked, who = heapq.heappop(coming)
        begins = max(asked, heapq.heappop(free))
        ends = begins + (server.service if fixed else choice.expovariate(1 / server.service))
        heapq.heappush(free, ends)
        total += ends - asked
        heapq.heappush(coming, (ends + choice.expovariate(1 / between), who))
    return total / calls


@pytest.mark.parametrize("askers", [1, 3, 8, 20, 100])
@pytest.mark.parametrize("between", [0.0005, 0.004])
def test_the_queue_is_the_one_that_a_simulation_of_it_gives(askers: int, between: float) -> None:
    said = answer_time(SERVER, askers, between)
    assert said == pytest.approx(simulated(SERVER, askers, between, fixed=False), rel=0.05)
    assert said >= 0.95 * simulated(SERVER, askers, between, fixed=True)  # M/D/c waits less, or as long if it is full


def test_alone_a_call_takes_its_service_and_many_wait_for_the_capacity() -> None:
    assert answer_time(SERVER, 1, 0.01) == pytest.approx(0.001)
    assert answer_time(SERVER, 10_000, 0.01) == pytest.approx(10_000 / SERVER.capacity - 0.01, rel=1e-6)
    assert answer_time(SERVER, 8, 0.0) == pytest.approx(0.002)
    assert chain(SERVER, 5, 0, 0.1) == 0


def test_one_rank_waits_for_each_of_the_calls_that_were_counted() -> None:
    (cluster, *_), ways = read(FOLDER / "counted.toml")
    slow = replace(
        cluster,
        metadata=Server(servers=1, service=0.005, way=0.0),
        data=Server(servers=1, service=0.001, way=0.0),
    )
    waits = {way.name: wait(way, slow, 1) - way.unpack for way in ways}
    assert waits["venv on the slow tree"] == pytest.approx(2232 * 0.005 + 959 * 0.001)
    assert waits["hot image, staged on each node"] == pytest.approx(40 * 0.005 + 228 * 0.001)


def test_more_ranks_never_wait_less_and_fewer_calls_never_longer() -> None:
    clusters, ways = read(FOLDER / "counted.toml")
    for cluster in clusters:
        waits = [[wait(way, cluster, ranks) for ranks in RANKS] for way in ways]
        assert all(row == sorted(row) for row in waits)
        assert all(
            more >= less for before, after in pairwise(waits[:4]) for more, less in zip(before, after, strict=True)
        )


def test_ranks_of_one_node_ask_once_for_what_the_node_keeps() -> None:
    (cluster, *_), (way, *_) = read(FOLDER / "counted.toml")
    one_node = wait(replace(way, again=0), cluster, 1)
    assert wait(replace(way, again=0), cluster, cluster.ranks_per_node) == pytest.approx(one_node)
    assert wait(way, cluster, cluster.ranks_per_node) > one_node


def test_the_table_says_what_was_assumed(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--ranks", "1,7"])
    told = capsys.readouterr().out
    assert "| way | 1 rank | 7 ranks |" in told
    assert "M/M/32, finite population" in told
    assert "no site was measured" in told
    assert "lookups 1,560" in told


ASK = """
import os, sys, threading, time
from support.slow_tree import hurry
folder, askers, files, work = sys.argv[1], *map(float, sys.argv[2:])
hurry()

def start(rank):
    for number in range(int(files)):
        os.stat(f"{folder}/{rank}-{number}")
        time.sleep(work)

threads = [threading.Thread(target=start, args=(rank,)) for rank in range(int(askers))]
begun = time.perf_counter()
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(time.perf_counter() - begun)
"""


def started(tmp_path: Path, askers: int, work: float) -> tuple[float, int, float]:
    """Let so many look at files of a slow tree at once. Seconds, calls of each, and seconds that a call really took."""
    source, folder = tmp_path / f"source {askers}", tmp_path / f"mount {askers}"
    source.mkdir()
    for rank in range(askers):
        for number in range(FILES):
            (source / f"{rank}-{number}").touch()
    with slow_tree(source, folder, metadata=0.005) as tree:
        seconds: float = run_python(ASK, str(folder), str(askers), str(FILES), str(work))
    assert tree.report is not None
    return seconds, tree.report.metadata // askers, tree.report.seconds


@pytest.mark.system
@pytest.mark.parametrize(("askers", "work"), [(4, 0.0), (8, 0.005), (3, 0.03)])
def test_ranks_wait_for_a_file_system_with_5_ms_a_call_as_long_as_the_model_says(
    tmp_path: Path, askers: int, work: float
) -> None:
    alone, calls, service = started(tmp_path, 1, work)
    assert calls >= FILES
    assert service >= 0.005
    way = alone / calls - service - FILES * work / calls  # through the kernel and the pass-through, on this machine
    seconds, calls, service = started(tmp_path, askers, work)
    server = Server(servers=1, service=service, way=max(way, 0.0))
    said = chain(server, askers, calls, FILES * work / calls) + FILES * work
    print(f"{askers} askers, {work} s: said {said:.2f}, took {seconds:.2f}, service {service:.4f}, way {way:.4f}")
    assert said / FACTOR <= seconds <= said * FACTOR
