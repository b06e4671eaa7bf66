"""Rows about each shape of a start that is not ``storectl run script.py``: options, scripts with a block, tools, members.

Each is a program that has been started before, in a world that has settled: what is measured is a start, not the making of
what it starts in. The other sides are the venv's own python, with nothing before it, and uv's command for the same thing.
"""

import shutil
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.counts import MODULES, Start, count_rows, hands_over, modules_row
from benchmarks.measure import in_turn, ratios, run
from benchmarks.processes import let_rest
from benchmarks.results import Result
from benchmarks.world import MINOR, UV, UVX, World
from support.machine import STORECTL
from support.sources import BACKEND, READER, source_files

HELLO = "print('hello')\n"
WARMUPS = 3
_SETTLED_AFTER = 2.5
"""Seconds after a change, from which on the times of files are trusted: the first start after it may use what a shell can check."""

_ROUNDS = 4

EXTRA, GROUP = "cycler", "pyparsing"
"""Projects that only an extra and only a group of the locked project have."""

ALWAYS = ("packaging", "tzdata")
"""What it has besides. Nothing is imported: how many wheels there are does not matter to a start, only to how long this takes."""

NAMED = "data"
SPELLINGS: dict[str, tuple[list[str], dict[str, str], list[str]]] = {
    f"-p {MINOR}": (["-p", MINOR], {}, ["-p", MINOR]),
    "--extra, --group": (["--extra", "x", "--group", "y"], {}, ["--extra", "x", "--group", "y"]),
    "--offline": (["--offline"], {}, ["--offline"]),
    "STORECTL_EXTRAS": ([], {"STORECTL_EXTRAS": "x"}, ["--extra", "x"]),
    "-e NAME": (["-e", NAMED], {}, ["--project", "."]),
}
"""Options and variables of ``storectl run``, and what ``uv run`` takes for the same; it has no environments with a name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One way to start a program: by storectl, by the venv alone, by uv. ``modules`` are the first two for a count of modules."""

    ours: Start
    venv: Start
    uv: Start
    modules: tuple[Start, Start] | None = None


def timed(start: Start, environ: Mapping[str, str]) -> float:
    """Seconds of wall clock."""
    return run(start.command, cwd=start.cwd, environ={**environ, **start.environ}).wall


class Shapes:
    """All of them in one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.venv = self._venv()
        daemon = world.machine.start_daemon()
        world.machine.run("env", "list")  # has it load what answers: that can take longer than a command waits
        let_rest(daemon)

    def options(self) -> dict[str, Shape]:
        """A project with an extra and a group, by each of ``SPELLINGS``."""
        ours, theirs = self._twins("options")
        self.world.do([STORECTL, "env", "create", NAMED, EXTRA], ours)
        return {name: self._run_shape(ours, theirs, *spelled) for name, spelled in SPELLINGS.items()}

    def script(self) -> Shape:
        """A script with a block and its lock file, in a folder that is no project."""
        folder = self._folder("scripts")
        block = f'# /// script\n# requires-python = ">={MINOR}"\n# dependencies = ["{EXTRA}"]\n# ///\n'
        for name, text in (("hello.py", HELLO), ("modules.py", MODULES)):
            (folder / name).write_text(block + text)
            self.world.do([UV, "lock", "--quiet", "--script", name], folder)
        return self._shape(folder, [STORECTL, "run"], {}, [UV, "run", "--script"])

    def member(self) -> dict[str, Shape]:
        """A member's folder of a workspace: a script in it, and the member's own command."""
        root = self._workspace()
        folder = root / "member"
        venv = self.world.venv(folder, self.world.machine.root / "venv-member")
        command = Shape(
            ours=self._start([STORECTL, "run", "hello-member"], folder),
            venv=self._start([venv.with_name("hello-member")], folder),
            uv=self._start([UV, "run", "hello-member"], folder),
        )
        return {"a script": self._shape(folder, [STORECTL, "run"], {}, [UV, "run"]), "its command": command}

    def tools(self) -> dict[str, Shape]:
        """A native program and a Python one; the program alone is that of a venv."""
        folder = self._folder("no-project")
        found = {}
        for name, kind in (("ruff", "native"), ("black", "Python")):
            venv = self.world.machine.root / f"venv-{name}"
            self.world.do([UV, "venv", "--quiet", venv], folder)
            self.world.do(
                [UV, "pip", "install", "--quiet", "--compile-bytecode", "-p", venv / "bin/python", name], folder
            )
            version = self.world.do([venv / "bin" / name, "--version"], folder).replace(",", "").split()[1]
            found[f"{name}, {kind}"] = Shape(
                ours=self._start([STORECTL, "tool", "run", name, "--version"], folder),
                venv=self._start([venv / "bin" / name, "--version"], folder),
                uv=self._start([UVX, f"{name}@{version}", "--version"], folder),
            )
        return found

    def settle(self, shapes: Sequence[Shape]) -> None:
        """Run each until all that storectl may remember of it has been written, and is old enough to be trusted.

        That is so when the launcher starts the program by itself; a shape that always needs the Python command line is given
        up after some rounds.
        """
        for shape in shapes:
            for start in (shape.venv, shape.uv, shape.ours, *(shape.modules or ())):
                timed(start, self.environ(start))
        left = [start for shape in shapes for start in (shape.ours, *(shape.modules or ())[:1])]
        for _ in range(_ROUNDS):
            time.sleep(_SETTLED_AFTER)
            for start in left:
                timed(start, self.environ(start))
            left = [start for start in left if hands_over(start, self.world)]
            if not left:
                return

    def environ(self, start: Start) -> Mapping[str, str]:
        """Uv's own commands get uv's variables."""
        return self.world.for_uv if start.command[0] in (UV, UVX) else self.world.environ

    def sides(self, shape: Shape) -> dict[str, Callable[[], float]]:
        """To measure in turn."""
        starts = {"storectl": shape.ours, "venv": shape.venv, "uv": shape.uv}
        return {name: self._side(start) for name, start in starts.items()}

    def _side(self, start: Start) -> Callable[[], float]:
        environ = self.environ(start)
        return lambda: timed(start, environ)

    def _run_shape(
        self, ours: Path, theirs: Path, options: list[str], variables: dict[str, str], uv_options: list[str]
    ) -> Shape:
        return self._shape(ours, [STORECTL, "run", *options], variables, [UV, "run", *uv_options], theirs)

    def _shape(
        self,
        folder: Path,
        ours: Sequence[str | Path],
        variables: Mapping[str, str],
        uv: Sequence[str | Path],
        theirs: Path | None = None,
    ) -> Shape:
        theirs = theirs or folder
        return Shape(
            ours=self._start([*ours, "hello.py"], folder, variables),
            venv=self._start([self.venv, "hello.py"], theirs),
            uv=self._start([*uv, "hello.py"], theirs),
            modules=(
                self._start([*ours, "modules.py"], folder, variables),
                self._start([self.venv, "modules.py"], theirs),
            ),
        )

    def _start(self, command: Sequence[str | Path], cwd: Path, environ: Mapping[str, str] | None = None) -> Start:
        return Start(command=command, cwd=cwd, environ=environ or {})

    def _folder(self, name: str) -> Path:
        folder = self.world.machine.home / name
        folder.mkdir()
        return folder

    def _venv(self) -> Path:
        """The venv that all but members and tools are compared with."""
        return self.world.venv(self.world.project("venv", ALWAYS), self.world.machine.root / "venv-shapes")

    def _twins(self, name: str) -> tuple[Path, Path]:
        """One project twice: for storectl, and for uv, which makes its ``.venv`` there."""
        more = f'[project.optional-dependencies]\nx = ["{EXTRA}"]\n[dependency-groups]\ny = ["{GROUP}"]\n'
        ours = self.world.project(name, ALWAYS, more=more)
        (ours / "hello.py").write_text(HELLO)
        (ours / "modules.py").write_text(MODULES)
        theirs = self.world.machine.home / f"{name}-uv"
        shutil.copytree(ours, theirs)
        return ours, theirs

    def _workspace(self) -> Path:
        """A workspace whose one member has a command, and is built by a backend in its own folder."""
        root = self.world.project("workspace", ALWAYS, more='[tool.uv.workspace]\nmembers = ["member"]\n', lock=False)
        member = root / "member"
        for path, text in source_files("member", script="hello-member = member:main").items():
            (member / path).parent.mkdir(parents=True, exist_ok=True)
            (member / path).write_text(text)
        project = (member / "pyproject.toml").read_text()
        in_tree = project.replace('requires = ["tiny-backend"]', 'requires = []\nbackend-path = ["."]')
        (member / "pyproject.toml").write_text(in_tree)
        for name, text in (("tiny_backend", BACKEND), ("tomllib_free", READER), ("hello", HELLO), ("modules", MODULES)):
            (member / f"{name}.py").write_text(text)
        self.world.do([UV, "lock", "--quiet"], root)
        return root


def options(world: World, pairs: int) -> Iterator[Result]:
    """Each spelling beside the venv's python, and ``uv run`` with the same options."""
    shapes = Shapes(world)
    found = shapes.options()
    shapes.settle(list(found.values()))
    for name, shape in found.items():
        yield from _rows("options", f"{name}, ", shape, shapes, pairs, venv=1.25, uv=0.55)


def script(world: World, pairs: int) -> Iterator[Result]:
    """A script with a block and its lock file beside the venv's python, and ``uv run --script``."""
    shapes = Shapes(world)
    shape = shapes.script()
    shapes.settle([shape])
    yield from _rows("script", "", shape, shapes, pairs, venv=1.25, uv=0.65)


def member(world: World, pairs: int) -> Iterator[Result]:
    """What is started in a member's folder beside the venv's own, and ``uv run``."""
    shapes = Shapes(world)
    found = shapes.member()
    shapes.settle(list(found.values()))
    for name, shape in found.items():
        yield from _rows("member", f"{name}, ", shape, shapes, pairs, venv=1.25, uv=None)


def tool(world: World, pairs: int) -> Iterator[Result]:
    """``storectl tool run X``: milliseconds beyond the program alone, and beside ``uvx X@V``."""
    shapes = Shapes(world)
    found = shapes.tools()
    shapes.settle(list(found.values()))
    for name, shape in found.items():
        measured = in_turn(shapes.sides(shape), pairs=pairs, warmups=WARMUPS)
        more = [a - b for a, b in zip(measured["storectl"], measured["venv"], strict=True)]
        notes = {side: f"{statistics.median(seconds) * 1000:.1f} ms" for side, seconds in measured.items()}
        yield Result(
            row="tool", what=f"{name}, more than the program alone", bar=15,
            figure=statistics.median(more) * 1000, unit="ms", notes=notes,
        )  # fmt: skip
        yield Result(row="tool", what=f"{name}, uvx", bar=0.10, ratios=ratios(measured["storectl"], measured["uv"]))
        yield from count_rows("tool", shape.ours, shape.venv, world, prefix=f"{name}, ", other="program")


def _rows(
    row: str, prefix: str, shape: Shape, shapes: Shapes, pairs: int, *, venv: float, uv: float | None
) -> Iterator[Result]:
    measured = in_turn(shapes.sides(shape), pairs=pairs, warmups=WARMUPS)
    yield Result(row=row, what=f"{prefix}venv", bar=venv, ratios=ratios(measured["storectl"], measured["venv"]))
    yield Result(row=row, what=f"{prefix}uv run", bar=uv, ratios=ratios(measured["storectl"], measured["uv"]))
    yield from count_rows(row, shape.ours, shape.venv, shapes.world, prefix=prefix)
    if shape.modules:
        yield from modules_row(row, *shape.modules, shapes.world, prefix=prefix)
