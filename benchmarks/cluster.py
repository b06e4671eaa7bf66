"""``python -m benchmarks.cluster``: what 1, 100, 1,000 and 10,000 ranks of a job wait for a slow file system. A model.

What one start asks for comes from a file (``benchmarks/clusters/*.toml``), as does what the cluster is. The model:

- A start is a chain: a rank makes its next call when the answer to the last one is there. So each asker has one call at
  the metadata server or on its way, and the server is a queue M/M/c with a finite population: n askers, c servers, a
  mean service time, and between two calls a time for the way and for the rank's own work. Its mean answer is exact.
- The ranks of a node share what the node's kernel has looked up and read. So what a start asks for once is asked by one
  rank of each node, while the others wait for it; what each open asks for anew (``again``) is asked by all ranks.
- Reads are such a queue, too, at the data servers. Together they have a bandwidth: what all nodes read takes that long
  at least. Everybody begins at once.

Left out: other jobs; calls in parallel (a client that reads ahead); servers that slow down under load; a file system
that gives one client less than its servers have. The ranks' own work is the same for all ways and no part of a wait.
"""

import argparse
import math
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "clusters"
RANKS = (1, 100, 1_000, 10_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Servers that work side by side. ``service`` and ``way`` (there and back) are in seconds."""

    servers: int
    service: float
    way: float

    @property
    def capacity(self) -> float:
        """The most calls in a second."""
        return self.servers / self.service


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A cluster. ``bandwidth`` is what all nodes together may read, in MB/s; ``work`` a start's own seconds."""

    name: str
    metadata: Server
    data: Server
    bandwidth: float
    ranks_per_node: int
    work: float
    source: str

    def nodes(self, ranks: int) -> int:
        """So many nodes have these ranks."""
        return -(-ranks // self.ranks_per_node)


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way of having an environment: what the first start on a node asks for, and where that was counted.

    Of the metadata ``calls``, ``again`` are made by every further rank, too. ``unpack`` are seconds on each node.
    """

    name: str
    calls: int
    again: int
    reads: int
    megabytes: float
    unpack: float
    source: str


def answer_time(server: Server, askers: int, between: float) -> float:
    """The mean seconds from call to answer, without the way, if so many askers ask again after ``between`` seconds.

    M/M/c with a finite population, as a chain of birth and death: so many of them are at the servers.
    """
    if between <= 0:
        return askers * server.service / min(askers, server.servers)
    logs, log = [0.0], 0.0
    for there in range(1, askers + 1):
        arriving = (askers - there + 1) / between
        leaving = min(there, server.servers) / server.service
        log += math.log(arriving / leaving)
        logs.append(log)
    most = max(logs)
    weights = [math.exp(each - most) for each in logs]
    waiting = math.fsum(there * weight for there, weight in enumerate(weights))
    leaving = math.fsum(min(there, server.servers) / server.service * weight for there, weight in enumerate(weights))
    return waiting / leaving


def chain(server: Server, askers: int, calls: int, work: float) -> float:
    """The seconds that a chain of calls waits, with so many askers and ``work`` seconds between two calls."""
    if not calls:
        return 0.0
    return calls * (answer_time(server, askers, server.way + work) + server.way)


def wait(way: Way, cluster: Cluster, ranks: int) -> float:
    """The seconds that a rank waits until it has started, beyond its own work."""
    nodes = cluster.nodes(ranks)
    work = cluster.work / max(way.calls + way.reads, 1)
    once = chain(cluster.metadata, nodes, way.calls - way.again, work)
    again = chain(cluster.metadata, ranks, way.again, work)
    reading = max(
        chain(cluster.data, nodes, way.reads, work),
        nodes * way.megabytes / cluster.bandwidth,
    )
    return once + again + reading + way.unpack


def read(path: Path) -> tuple[list[Cluster], list[Way]]:
    """The clusters and the ways of a file. Raises KeyError or TypeError if something is missing or unknown in it."""
    with path.open("rb") as stream:
        document = tomllib.load(stream)
    clusters = [
        Cluster(**{**each, "metadata": Server(**each["metadata"]), "data": Server(**each["data"])})
        for each in document["cluster"]
    ]
    return clusters, [Way(**each) for each in document["way"]]


def table(ways: Sequence[Way], cluster: Cluster, ranks: Iterable[int]) -> Iterator[str]:
    """The waits as a Markdown table, with what was assumed."""
    ranks = tuple(ranks)
    yield f"### {cluster.name}"
    yield ""
    yield f"Assumed: {cluster.source}"
    for what, server in (("metadata", cluster.metadata), ("reads", cluster.data)):
        yield (
            f"- {what}: {server.servers} servers of {server.service * 1e3:g} ms a call ({server.capacity:,.0f} calls/s),"
            f" {server.way * 1e3:g} ms for the way; M/M/{server.servers}, finite population"
        )
    yield (
        f"- {cluster.bandwidth:,.0f} MB/s for all reads; {cluster.ranks_per_node} ranks a node;"
        f" {cluster.work:g} s of own work in a start, which is not in the table"
    )
    yield ""
    yield f"| way | {' | '.join(f'{each:,} ranks' if each > 1 else '1 rank' for each in ranks)} | calls, again; reads, MB |"
    yield f"|---|{'---|' * (len(ranks) + 1)}"
    for way in ways:
        waits = " | ".join(_seconds(wait(way, cluster, each)) for each in ranks)
        yield f"| {way.name} | {waits} | {way.calls:,}, {way.again:,}; {way.reads:,}, {way.megabytes:g} |"


def _seconds(seconds: float) -> str:
    if seconds >= 600:
        return f"{seconds / 60:,.0f} min"
    return f"{seconds:,.0f} s" if seconds >= 10 else f"{seconds:.1f} s"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables of a file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cluster", description=__doc__.partition("\n")[0])
    parser.add_argument("file", nargs="*", type=Path, default=[FOLDER / "counted.toml"], help="what was counted")
    parser.add_argument("--ranks", type=lambda text: [int(each) for each in text.split(",")], default=RANKS)
    asked = parser.parse_args(arguments)
    for file in asked.file:
        clusters, ways = read(file)
        for cluster in clusters:
            print(*table(ways, cluster, asked.ranks), "", sep="\n")
        print("Counted:", *(f"- {way.name}: {way.source}" for way in ways), "", sep="\n")


if __name__ == "__main__":
    main()
