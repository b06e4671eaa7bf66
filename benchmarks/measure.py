"""Measuring: one process at a time, two sides in turn, medians of paired ratios."""

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a command cost: wall clock and processor seconds, and the largest resident set of one process in bytes."""

    wall: float
    cpu: float
    rss: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratios:
    """Paired ratios of one side to the other: median, quartiles, number of pairs; medians of both sides in seconds."""

    median: float
    low: float
    high: float
    pairs: int
    ours: float
    theirs: float


def run(command: Sequence[str | Path], *, cwd: Path, environ: Mapping[str, str]) -> Cost:
    """Run a command to its end; RuntimeError with its last words where it fails."""
    with open(os.devnull, "r+b") as nothing:
        start = time.perf_counter()
        process = subprocess.Popen(
            list(map(str, command)), cwd=cwd, env=dict(environ), stdin=nothing, stdout=nothing, stderr=subprocess.PIPE
        )
        assert process.stderr is not None
        words = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command}: exit {process.returncode}: {words.decode(errors='replace')[-2000:]}")
    return Cost(wall=wall, cpu=usage.ru_utime + usage.ru_stime, rss=usage.ru_maxrss * 1024)


def in_turn(
    sides: Mapping[str, Callable[[], float]],
    *,
    pairs: int,
    warmups: int = 1,
    before: Callable[[], object] = lambda: None,
) -> dict[str, list[float]]:
    """Seconds of each side, A B A B …: the first rounds are not counted, and every other round goes backwards.

    ``before`` is done before each side. Who interrupts it gets the whole rounds so far, if there is one.
    """
    found: dict[str, list[float]] = {name: [] for name in sides}
    with suppress(KeyboardInterrupt):
        for number in range(-warmups, pairs):
            names = sorted(sides, reverse=number % 2 == 0)
            for name in names:
                before()
                seconds = sides[name]()
                if number >= 0:
                    found[name].append(seconds)
    whole = min(map(len, found.values()))
    if not whole:
        raise KeyboardInterrupt
    return {name: seconds[:whole] for name, seconds in found.items()}


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> Ratios:
    """The spread of ours / theirs, pair by pair."""
    each = sorted(a / b for a, b in zip(ours, theirs, strict=True))
    low, _, high = statistics.quantiles(each, n=4, method="inclusive") if len(each) > 1 else (each[0],) * 3
    return Ratios(
        median=statistics.median(each), low=low, high=high, pairs=len(each),
        ours=statistics.median(ours), theirs=statistics.median(theirs),
    )  # fmt: skip
