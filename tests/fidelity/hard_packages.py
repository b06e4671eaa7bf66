"""Hard packages compared: each task of each case in a venv by uv, and with `storectl run`. Started by scripts/hard-packages."""

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from uv import find_uv_bin

from fidelity.hard_case import HardCase, Outcome, read_cases
from fidelity.pair import Pair
from support.machine import STORECTL, Machine, new_machine, pyenv_python

TASK_SECONDS = 600

HEAD = """\
# Hard packages

Made by `scripts/hard-packages --write docs/hard-packages.md` on {system}: the tasks of
[tests/fidelity/hard](../tests/fidelity/hard), each in a venv made by uv and with `storectl run`, from one lock file. Equal: the same exit
code and the same output. The exit code and the last line of the output are the venv's.

torch is the build for processors alone, from a folder (`UV_FIND_LINKS`): with all it needs for graphics cards it is several GB.

| package | Python | wheels | task | exit code | last line | result |
|---|---|---|---|---|---|---|
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One task of one case."""

    case: HardCase
    wheels: int
    task: str
    venv: Outcome
    storectl: Outcome

    @property
    def is_equal(self) -> bool:
        return self.venv == self.storectl

    def line(self) -> str:
        result = "equal" if self.is_equal else f"**differs**: exit code {self.storectl.code}"
        case = self.case
        last = self.venv.output.rpartition("\n")[2].replace("|", "/").replace("`", "'")[:80]
        return f"| {case.name} | {case.python} | {self.wheels} | {self.task} | {self.venv.code} | `{last}` | {result} |"


class Workshop:
    """A machine with the project of one case on it, in both forms."""

    def __init__(self, machine: Machine, case: HardCase, cache: Path) -> None:
        python = pyenv_python(case.python)
        if python is None:
            raise SystemExit(f"there is no Python {case.python} below PYENV_ROOT")
        self._machine, self._case = machine, case
        self._project = machine.home / "hard"
        self._project.mkdir()
        case.write(self._project)
        environ = os.environ | {"UV_PYTHON": python, "UV_CACHE_DIR": str(cache)}
        subprocess.run([find_uv_bin(), "lock", "--quiet"], cwd=self._project, env=environ, check=True)
        self._pair = Pair(machine, self._project, python, shared_cache=cache)
        self._pair.make()
        # What one side writes is not for the other to find; a path as long as the project's, as some programs wrap what they print.
        self._copy = Path(shutil.copytree(self._project, self._project.with_name("copy")))

    @property
    def wheels(self) -> int:
        return len(list((self._pair.environment / "lib").glob("python*/site-packages/*.dist-info")))

    def rows(self) -> Iterator[Row]:
        for task, command in self._case.tasks.items():
            venv = self._run(["sh", "-c", command], self._pair.venv)
            ours = self._run([str(STORECTL), "run", "sh", "-c", command], self._pair.environment)
            yield Row(case=self._case, wheels=self.wheels, task=task, venv=venv, storectl=ours)

    def _run(self, command: Sequence[str], root: Path) -> Outcome:
        """The task, each side in a project folder of its own."""
        in_venv = root == self._pair.venv
        place = self._copy if in_venv else self._project
        own = {"VIRTUAL_ENV": str(root), "PATH": f"{root / 'bin'}:{self._machine.environ['PATH']}"} if in_venv else {}
        done = subprocess.run(
            command, cwd=place, env=self._machine.environ | dict(self._case.variables) | own, text=True, errors="replace",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=TASK_SECONDS, check=False,
        )  # fmt: skip
        return Outcome.of(
            done.returncode, done.stdout, {root: "<prefix>", place: "<project>", self._machine.home: "<home>"}
        )


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/hard-packages", description=__doc__)
    parser.add_argument("case", nargs="*", help="default: all")
    parser.add_argument(
        "--write", type=Path, metavar="FILE", help="renew the rows of these cases in this Markdown file"
    )
    options = parser.parse_args()
    cases = [case for case in read_cases() if not options.case or case.name in options.case]
    for case in [case for case in cases if case.find_links and "UV_FIND_LINKS" not in os.environ]:
        print(f"{case.name} is left out: UV_FIND_LINKS names no folder with its wheels", file=sys.stderr)
        cases.remove(case)
    rows: list[Row] = []
    for case in cases:
        with tempfile.TemporaryDirectory(prefix="sth-") as cache, new_machine() as machine:
            for row in Workshop(machine, case, Path(cache)).rows():
                rows.append(row)
                _report(row)
    if options.write:
        options.write.write_text(table(rows, options.write.read_text() if options.write.exists() else ""))
    return 0 if all(row.is_equal for row in rows) else 1


def _report(row: Row) -> None:
    print(row.line(), flush=True)
    if not row.is_equal:
        for side, outcome in (("venv", row.venv), ("storectl", row.storectl)):
            print(f"--- {side}: exit code {outcome.code}\n{outcome.output[-3000:]}", file=sys.stderr, flush=True)


def table(rows: Sequence[Row], before: str) -> str:
    """The Markdown, with the rows of cases that were not run as they were ``before``."""
    run = {row.case.name for row in rows}
    known = {case.name for case in read_cases()}
    kept = [line for line in before.splitlines() if line.startswith("| ") and _name(line) in known - run]
    lines = sorted([*kept, *(row.line() for row in rows)], key=_name)
    return HEAD.format(system=f"{platform.system()} {platform.machine()}") + "\n".join([*lines, ""])


def _name(line: str) -> str:
    return line.split("|")[1].strip()


if __name__ == "__main__":
    raise SystemExit(main())
