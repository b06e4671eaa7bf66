"""Row about a storm: 256 programs started at once, as a cluster's job or a test runner does."""

import os
import subprocess
import time
from collections.abc import Iterator, Mapping

from benchmarks.counts import Start
from benchmarks.measure import in_turn, ratios
from benchmarks.results import Result
from benchmarks.shapes import HELLO, Shape, Shapes
from benchmarks.world import UV, World
from support.machine import STORECTL

STARTS = 256
WARMUPS = 1


class Storm:
    """So many starts at once; ``failed`` counts those that did not end well or did not print what they should."""

    def __init__(self, start: Start, environ: Mapping[str, str]) -> None:
        self.failed = 0
        self._start = start
        self._environ = {**environ, **start.environ}

    def __call__(self) -> float:
        """Seconds until the last one has ended."""
        command = list(map(str, self._start.command))
        begun = time.perf_counter()
        running = [
            subprocess.Popen(
                command, cwd=self._start.cwd, env=self._environ,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            )
            for _ in range(STARTS)
        ]  # fmt: skip
        ends = [(process.communicate()[0], process.returncode) for process in running]
        seconds = time.perf_counter() - begun
        self.failed += sum(end != (b"hello\n", 0) for end in ends)
        return seconds


def storm(world: World, pairs: int) -> Iterator[Result]:
    """Hello world, with options, and as a script with a block, each beside the venv's python as often."""
    shapes = Shapes(world)
    found = {**_options(shapes), "script": shapes.script()}
    shapes.settle(list(found.values()))
    for name, shape in found.items():
        ours, theirs = Storm(shape.ours, world.environ), Storm(shape.venv, world.environ)
        measured = in_turn({"storectl": ours, "venv": theirs}, pairs=pairs, warmups=WARMUPS, before=os.sync)
        row = f"storm, {STARTS} starts at once"
        yield Result(row=row, what=f"{name}, venv", bar=1.2, ratios=ratios(measured["storectl"], measured["venv"]))
        notes = {"the venv's own": theirs.failed, "starts": STARTS * (pairs + WARMUPS)}
        yield Result(row=row, what=f"{name}, failed", bar=0, figure=ours.failed, unit="starts", notes=notes)


def _options(shapes: Shapes) -> dict[str, Shape]:
    """Without options and with some, of the same project."""
    with_options = shapes.options()["--extra, --group"]
    folder = with_options.ours.cwd
    plain = Shape(
        ours=Start(command=[STORECTL, "run", "hello.py"], cwd=folder, environ={}),
        venv=with_options.venv,
        uv=Start(command=[UV, "run", "hello.py"], cwd=with_options.uv.cwd, environ={}),
    )
    assert (folder / "hello.py").read_text() == HELLO
    return {"hello": plain, "options": with_options}
