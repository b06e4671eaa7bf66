"""What a start costs on any machine, however busy it is: system calls and processes by ``strace``, and imported modules."""

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.results import Result
from benchmarks.world import World

_CALL = re.compile(r"(\d+) +(\w+)\(")
"""A call begins so in a trace; what ``strace`` says of signals, ends and resumed calls does not."""

MODULES = "import sys\nprint(len(sys.modules))\n"
"""A program that prints how many modules it has, itself among them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A command, the folder that it is run in, and variables beyond those of the world."""

    command: Sequence[str | Path]
    cwd: Path
    environ: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """All system calls of a start, those of the launcher among them, and how many processes it took."""

    calls: int
    processes: int


def traced(options: Sequence[str], start: Start, world: World) -> list[str]:
    """The lines that ``strace`` writes of a command and its children."""
    trace = world.machine.root / "trace"
    world.do(["strace", "-f", *options, "-o", str(trace), *start.command], start.cwd, **start.environ)
    return trace.read_text(errors="replace").splitlines()


def counted(start: Start, world: World) -> Counts:
    """What a start does; its first system call is the one that ``strace`` makes for it."""
    calls = [found for line in traced(["-qq"], start, world) if (found := _CALL.match(line))]
    return Counts(calls=len(calls), processes=len({call[1] for call in calls}))


def hands_over(start: Start, world: World) -> bool:
    """Whether the launcher hands over to the Python command line; it does, for all that is known, without ``strace``."""
    return not shutil.which("strace") or any(
        "storectl-python" in line and "execve(" in line for line in traced(["-qq", "-e", "trace=execve"], start, world)
    )


def beside(row: str, what: str, ours: int, theirs: int, *, bar: float | None = None, other: str = "venv") -> Result:
    """A count of ours as a multiple of another one."""
    notes = {"storectl": ours, other: theirs}
    return Result(row=row, what=what, bar=bar, figure=ours / theirs, unit="x", notes=notes)


def count_rows(
    row: str, ours: Start, theirs: Start, world: World, *, prefix: str = "", other: str = "venv"
) -> Iterator[Result]:
    """System calls and processes of both, where there is ``strace``."""
    if shutil.which("strace"):
        mine, its = counted(ours, world), counted(theirs, world)
        yield beside(row, f"{prefix}system calls, beside the {other}", mine.calls, its.calls, other=other)
        yield beside(row, f"{prefix}processes, beside the {other}", mine.processes, its.processes, other=other)


def modules_row(row: str, ours: Start, theirs: Start, world: World, *, prefix: str = "") -> Iterator[Result]:
    """Modules of two starts of a program that prints ``MODULES``."""
    numbers = [int(world.do(start.command, start.cwd, **start.environ)) for start in (ours, theirs)]
    yield beside(row, f"{prefix}imported modules, beside the venv", *numbers)
