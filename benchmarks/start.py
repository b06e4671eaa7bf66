"""Rows about starting programs: hello world, heavy imports, hot and cold, and the first run after a pull."""

import json
import os
import shutil
import statistics
import subprocess
from collections.abc import Iterator
from pathlib import Path

from benchmarks.counts import MODULES, Start, beside, count_rows, modules_row, traced
from benchmarks.measure import in_turn, ratios, run
from benchmarks.results import Result
from benchmarks.world import UV, World, pull
from storectl_store.entries.trash import delete_tree
from support.machine import STORECTL

IMPORTS = "import numpy, pandas, matplotlib.pyplot\n"
HEAVY = ("numpy", "pandas", "matplotlib")

SHIM_PAIRS = 14
"""Times as many starts of the bare interpreter as of programs: they take 20 ms."""


class Started:
    """One project three times: for storectl, with the daemon up, for a venv with bytecode, and for uv."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.ours = world.project("ours")
        self.theirs = world.machine.home / "theirs"
        shutil.copytree(self.ours, self.theirs)
        for folder in (self.ours, self.theirs):
            (folder / "hello.py").write_text("print('hello')\n")
            (folder / "heavy.py").write_text(IMPORTS)
            (folder / "modules.py").write_text(MODULES)
        self.venv = world.venv(self.theirs, world.machine.root / "venv")
        world.do([UV, "sync", "--quiet", "--frozen", "--compile-bytecode"], self.theirs)
        self.environment = Path(json.loads(world.do([STORECTL, "warm", "--json"], self.ours))["path"])
        self._let_settle()
        self._let_pack()

    def _let_settle(self) -> None:
        """Wait until the launcher runs programs by itself: its record is complete two seconds after the last change."""
        record = self.world.machine.record(self.ours) / "fast.default/environment"
        subprocess.run(["sh", "-c", f"until [ -e {record} ]; do sleep 0.1; done"], check=True, timeout=30)

    def _let_pack(self) -> None:
        """Wait until the daemon has made a pack of what a first run imported: some seconds after its end."""
        self.storectl("heavy.py")
        pack = self.world.machine.store / "packs" / self.environment.name
        subprocess.run(["sh", "-c", f"until [ -e {pack} ]; do sleep 0.1; done"], check=True, timeout=60)

    def storectl(self, script: str) -> float:
        """Seconds of `storectl run`."""
        return run([STORECTL, "run", script], cwd=self.ours, environ=self.world.environ).wall

    def python(self, script: str) -> float:
        """Seconds of the venv's python."""
        return run([self.venv, script], cwd=self.theirs, environ=self.world.environ).wall

    def uv(self, script: str) -> float:
        """Seconds of `uv run`."""
        return run([UV, "run", script], cwd=self.theirs, environ=self.world.for_uv).wall

    def bare(self, python: Path | str) -> float:
        """Processor seconds of an interpreter that does nothing: a millisecond of wall clock drowns on a busy machine."""
        return run([python, "-c", "pass"], cwd=self.ours, environ=self.world.environ).cpu


def hello(started: Started, pairs: int) -> Iterator[Result]:
    """``storectl run hello.py`` beside the venv's python and ``uv run``, and what the shim adds by itself.

    That is the median difference of many pairs: one start varies by more than what is looked for, and the median of 30 differences by half a
    millisecond from run to run.
    """
    sides = {
        "storectl": lambda: started.storectl("hello.py"),
        "venv": lambda: started.python("hello.py"),
        "uv": lambda: started.uv("hello.py"),
    }
    found = in_turn(sides, pairs=pairs, warmups=3)
    yield Result(row="hello", what="venv/bin/python", bar=1.12, ratios=ratios(found["storectl"], found["venv"]))
    yield Result(row="hello", what="uv run", bar=0.50, ratios=ratios(found["storectl"], found["uv"]))
    bare = in_turn(
        {"view": lambda: started.bare(started.environment / "bin/python"), "venv": lambda: started.bare(started.venv)},
        pairs=SHIM_PAIRS * pairs, warmups=3,
    )  # fmt: skip
    differences = sorted(a - b for a, b in zip(bare["view"], bare["venv"], strict=True))
    yield Result(
        row="hello",
        what="the shim itself, processor",
        bar=1.5,
        figure=differences[len(differences) // 2] * 1000,
        unit="ms",
        notes={
            "pairs": len(differences),
            "middle half": f"{differences[len(differences) // 4] * 1000:.2f} to {differences[-len(differences) // 4] * 1000:.2f} ms",
            "the venv itself": f"{statistics.median(bare['venv']) * 1000:.1f} ms",
        },
    )
    yield from _counts(started)


def _counts(started: Started) -> Iterator[Result]:
    """What a start costs on any machine."""
    for script, rows in (("modules.py", modules_row), ("hello.py", count_rows)):
        ours = Start(command=[STORECTL, "run", script], cwd=started.ours, environ={})
        theirs = Start(command=[started.venv, script], cwd=started.theirs, environ={})
        yield from rows("hello", ours, theirs, started.world)


def import_hot(started: Started, pairs: int) -> Iterator[Result]:
    """numpy, pandas and matplotlib.pyplot, everything in the page cache."""
    sides = {"storectl": lambda: started.storectl("heavy.py"), "venv": lambda: started.python("heavy.py")}
    found = in_turn(sides, pairs=pairs, warmups=2)
    yield Result(
        row="import, hot", what="venv with bytecode", bar=0.95, ratios=ratios(found["storectl"], found["venv"])
    )
    if shutil.which("strace"):
        ours = Start(command=[STORECTL, "run", "heavy.py"], cwd=started.ours, environ={})
        theirs = Start(command=[started.venv, "heavy.py"], cwd=started.theirs, environ={})
        yield beside(
            "import, hot", "file system calls on store and view",
            _file_system_calls(ours, started.world, started.world.machine.store),
            _file_system_calls(theirs, started.world, started.venv.parent.parent), bar=0.35,
        )  # fmt: skip


def _file_system_calls(start: Start, world: World, folder: Path) -> int:
    """System calls that name a path below the folder."""
    return sum(str(folder) in line for line in traced(["-qq", "-e", "trace=%file"], start, world))


def import_cold(started: Started, pairs: int) -> Iterator[Result]:
    """The same, after the page cache was dropped; only root can."""
    if os.geteuid() != 0:
        return
    sides = {"storectl": lambda: started.storectl("heavy.py"), "venv": lambda: started.python("heavy.py")}
    found = in_turn(sides, pairs=pairs, before=_drop_page_cache)
    yield Result(
        row="import, cold cache", what="venv with bytecode", bar=0.75, ratios=ratios(found["storectl"], found["venv"])
    )


def _drop_page_cache() -> None:
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("3\n")


def after_pull(world: World, pairs: int) -> Iterator[Result]:
    """A lock file that gains the three: the daemon has warmed it; uv has the wheels in its cache."""
    before = world.project("before", without=HEAVY)
    after = world.project("after")
    ours, theirs = world.machine.home / "pulled", world.machine.home / "pulled-uv"
    count = iter(range(10_000))

    def storectl() -> float:
        """A store of its own each time: nothing of the three is there before the pull."""
        store = world.machine.root / f"store-{next(count)}"
        environ = world.environ | {"STORECTL_STORE": str(store)}
        _reset(before, ours)
        world.do([STORECTL, "warm"], ours, STORECTL_STORE=str(store))
        world.do([STORECTL, "watch", "add"], ours, STORECTL_STORE=str(store))
        pull(after, ours)
        world.do([STORECTL, "warm"], ours, STORECTL_STORE=str(store))
        seconds = run([STORECTL, "run", "heavy.py"], cwd=ours, environ=environ).wall
        world.do([STORECTL, "daemon", "stop"], ours, STORECTL_STORE=str(store))
        delete_tree(store)
        return seconds

    def uv() -> float:
        _reset(before, theirs)
        world.do([UV, "sync", "--quiet"], theirs)
        pull(after, theirs)
        return run([UV, "run", "heavy.py"], cwd=theirs, environ=world.for_uv).wall

    world.do([UV, "sync", "--quiet"], after)
    found = in_turn({"storectl": storectl, "uv": uv}, pairs=pairs, warmups=1)
    yield Result(row="first run after a pull", what="uv run", bar=0.30, ratios=ratios(found["storectl"], found["uv"]))


def _reset(source: Path, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    pull(source, folder)
    (folder / "heavy.py").write_text(IMPORTS)
