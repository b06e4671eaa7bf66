"""Hard packages compared: each task of each case in a venv by uv, and with `storectl run`. Started by scripts/hard-packages."""

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from uv import find_uv_bin

from fidelity.hard_case import HardCase, Outcome, read_cases
from fidelity.pair import Pair
from storectl_store.environments.front.front_record import read_front
from support.machine import STORECTL, Machine, new_machine, pyenv_python

TASK_SECONDS = 600

HEAD = """\
# Hard packages and programs of every day

Made by `scripts/hard-packages --write docs/hard-packages.md` on {system}: the tasks of
[tests/fidelity/hard](../tests/fidelity/hard), each in a venv made by uv and with `storectl run`, from one lock file. Equal: the same exit
code and the same output. Linked too: also in the `.venv` of `storectl link`, without a daemon. Links resolved: the program
does so, and prints where a file is in the store. The exit code and the last line of the output are the venv's.

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
    linked: Outcome | None = None

    @property
    def is_equal(self) -> bool:
        return all(self._equals(outcome) for _, outcome in self.ours())

    def _equals(self, outcome: Outcome) -> bool:
        return outcome.in_view(self.case.python) == self.venv

    def ours(self) -> list[tuple[str, Outcome]]:
        """What came of it with `storectl run`, and in the linked venv where it was run there."""
        linked = [] if self.linked is None else [("linked", self.linked)]
        return [("storectl run", self.storectl), *linked]

    def line(self) -> str:
        case = self.case
        different = [f"{how}: exit code {outcome.code}" for how, outcome in self.ours() if not self._equals(outcome)]
        resolved = "" if all(outcome == self.venv for _, outcome in self.ours()) else ", links resolved"
        same = ("equal" if self.linked is None else "equal, linked too") + resolved
        result = f"**differs**: {', '.join(different)}" if different else same
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
        environ.pop("PYTHONPATH", None)  # a source distribution has a folder named "tests" too
        subprocess.run([find_uv_bin(), "lock", "--quiet"], cwd=self._project, env=environ, check=True)
        self._pair = Pair(machine, self._project, python, shared_cache=cache)
        self._pair.make()
        # What one side writes is not for the other to find; a path as long as the project's, as some programs wrap what they print.
        self._copy = Path(shutil.copytree(self._project, self._project.with_name("copy")))
        self._link = Path(shutil.copytree(self._project, self._project.with_name("link"))) if case.linked else None

    @property
    def wheels(self) -> int:
        return len(list((self._pair.environment / "lib").glob("python*/site-packages/*.dist-info")))

    def rows(self) -> Iterator[Row]:
        """One task after the other, each to its end: what is known of one is kept whatever becomes of the next."""
        for task, command in self._case.tasks.items():
            venv = self._run_in(self._copy, self._pair.venv, command)
            ours, linked = self._run_by_storectl(command), self._run_linked(command)
            yield Row(case=self._case, wheels=self.wheels, task=task, venv=venv, storectl=ours, linked=linked)

    def _run_by_storectl(self, command: str) -> Outcome:
        return self._run([str(STORECTL), "run", "sh", "-c", command], self._project, self._pair.environment, {})

    def _run_linked(self, command: str) -> Outcome | None:
        """The task in the `.venv` of the linked project, which nobody looks after any more."""
        if self._link is None:
            return None
        if not (self._link / ".venv").exists():
            self._machine.ok("link", cwd=self._link)
        self._machine.stop()
        try:
            return self._run_in(self._link, self._link / ".venv", command)
        finally:
            self._machine.ok("daemon", "start")

    def _run_in(self, place: Path, venv: Path, command: str) -> Outcome:
        """The task as in a shell in which the venv is active."""
        own = {"VIRTUAL_ENV": str(venv), "PATH": f"{venv / 'bin'}:{self._machine.environ['PATH']}"}
        return self._run(["sh", "-c", command], place, venv, own)

    def _run(self, command: Sequence[str], place: Path, root: Path, own: Mapping[str, str]) -> Outcome:
        """The task, each side in a project folder of its own."""
        done = subprocess.run(
            command, cwd=place, env=self._machine.environ | dict(self._case.variables) | dict(own), text=True, errors="replace",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=TASK_SECONDS, check=False,
        )  # fmt: skip
        front = read_front(root)
        roots = [str(root), str(root.resolve()), *([front.environment] if front else [])]
        names = dict.fromkeys((*roots, *(os.path.relpath(path, place) for path in roots)), "<prefix>")
        names |= {str(place): "<project>", str(self._machine.home): "<home>"}
        return Outcome.of(done.returncode, done.stdout, names)


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/hard-packages", description=__doc__)
    parser.add_argument("case", nargs="*", help="default: all")
    parser.add_argument("--task", action="append", metavar="NAME", help="these of the cases' tasks only")
    parser.add_argument(
        "--write", type=Path, metavar="FILE", help="renew the rows of these tasks in this Markdown file"
    )
    options = parser.parse_args()
    cases = [case.only(options.task) for case in read_cases() if not options.case or case.name in options.case]
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
        for side, outcome in (("venv", row.venv), *row.ours()):
            print(f"--- {side}: exit code {outcome.code}\n{outcome.output[-3000:]}", file=sys.stderr, flush=True)


def table(rows: Sequence[Row], before: str) -> str:
    """The Markdown, with the rows of tasks that were not run as they were ``before``, in the order of the cases' files."""
    lines = {_key(line): line for line in before.splitlines() if line.startswith("| ")}
    lines |= {(row.case.name, row.task): row.line() for row in rows}
    known = [(case.name, task) for case in read_cases() for task in case.tasks]
    head = HEAD.format(system=f"{platform.system()} {platform.machine()}")
    return head + "\n".join([*(lines[key] for key in known if key in lines), ""])


def _key(line: str) -> tuple[str, str]:
    cells = [cell.strip() for cell in line.split("|")]
    return cells[1], cells[4]


if __name__ == "__main__":
    raise SystemExit(main())
