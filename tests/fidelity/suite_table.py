"""Run the suites of real projects in both environments, and write the table: ``scripts/suites [NAME...]``."""

import argparse
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from fidelity.suite_run import SuiteResult, run_suite
from fidelity.suite_source import SuiteError
from fidelity.suites import counts, read_suites
from support.machine import base_python, new_machine, pyenv_python

_HEADING = "## Test suites of real projects\n"
_HEAD = """
Made by `scripts/suites` with CPython {python} on {system}. Each project of
[suites.toml](../tests/fidelity/suites.toml) is locked by uv with what its tests need; `storectl run pytest` and the pytest of
a venv made by uv then run the same tests on the same wheels. The tests are those of the project's source distribution, of its
wheel, or of its repository at the version's tag. Passed / failed / skipped are those of the last run; where
any test came out differently, both sides ran again, up to three times, and what is left is a difference. A test that fails
on both sides is none: the table says what storectl changes, not why a test fails.

| project | version | tests of | venv | storectl | tests | runs | differences |
|---|---|---|---|---|---|---|---|
"""


def main() -> int:
    options = _options()
    suites = read_suites()
    before = options.write.read_text() if options.write and options.write.exists() else ""
    rows = rows_of(before)
    failed = False
    for name in options.name or suites:
        with tempfile.TemporaryDirectory(prefix="stc-") as cache, new_machine() as machine:
            try:
                python = options.python and pyenv_python(options.python)
                result = run_suite(
                    suites[name],
                    machine,
                    python or base_python(),
                    cache=Path(cache),
                    seconds=options.seconds,
                    repositories=dict(options.repository),
                )
            except (SuiteError, subprocess.CalledProcessError, RuntimeError, AssertionError) as error:
                print(f"{name}: {error}", file=sys.stderr)
                failed = True
                continue
        rows[name] = row(result)
        print(rows[name], *result.differences, sep="\n  ", flush=True)
        failed = failed or bool(result.differences)
        if options.write:
            options.write.write_text(table(rows, before))
    return int(failed)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/suites", description=__doc__)
    parser.add_argument("name", nargs="*", help="suites of suites.toml; default: all")
    parser.add_argument("-p", "--python", metavar="3.X", help="one of pyenv's; default: this one")
    parser.add_argument("--seconds", type=int, default=900, help="how long one run of one side may take")
    parser.add_argument(
        "--repository", action="append", default=[], type=_named_place, metavar="NAME=PLACE",
        help="a folder or an address that a suite's repository is cloned from instead",
    )  # fmt: skip
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the table as Markdown; rows of others stay")
    return parser.parse_args()


def _named_place(text: str) -> tuple[str, str]:
    name, _, place = text.partition("=")
    return name, place


def row(result: SuiteResult) -> str:
    """A line of the table."""
    differences = "<br>".join(map(str, result.differences)) or "none"
    source = "wheel" if result.suite.installed else "repository" if result.suite.repository else "sdist"
    cells = [result.suite.name, result.version, source, counts(result.venv[-1]), counts(result.storectl[-1])]
    return f"| {' | '.join(cells)} | {len(result.storectl[-1])} | {len(result.storectl)} | {differences} |"


def table(rows: Mapping[str, str], before: str = "") -> str:
    """The file as it was before, with these rows as its section of test suites, in the order of ``suites.toml``."""
    others = before.partition(_HEADING)[0]
    system = f"{platform.system()} {platform.machine()}"
    lines: Iterable[str] = (rows[name] for name in read_suites() if name in rows)
    return others + _HEADING + _HEAD.format(python=platform.python_version(), system=system) + "\n".join([*lines, ""])


def rows_of(text: str) -> dict[str, str]:
    """The rows of the file's section of test suites, by project."""
    return dict(_named(text.partition(_HEADING)[2].splitlines()))


def _named(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        name = line.removeprefix("| ").partition(" | ")[0]
        if line.startswith("| ") and name != "project":
            yield name, line


if __name__ == "__main__":
    raise SystemExit(main())
