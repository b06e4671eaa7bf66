"""Compare storectl's environments with venvs, and write the table: ``scripts/fidelity [PROJECT...]``."""

import argparse
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.specifiers import SpecifierSet
from uv import find_uv_bin

from fidelity.comparison import Comparison, Rule, compare, read_rules
from fidelity.fidelity_table import Line, line_of, table
from fidelity.pair import Mode, Pair, expected_in
from support.machine import new_machine, pyenv_python
from support.workloads import own_workloads


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One project on one interpreter in one mode."""

    project: str
    python: str
    mode: Mode
    comparison: Comparison

    def line(self) -> Line:
        return line_of(self.project, self.python, self.mode, self.comparison)


def main() -> int:
    options = _options()
    rules = read_rules()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="stf-") as cache:
        for folder, versions in options.project or [(folder, options.python) for folder in own_workloads()]:
            for version in versions or options.python:
                for row in _rows(folder, version, options, rules, Path(cache)):
                    rows.append(row)
                    if options.write:
                        _write(rows, options.write)
    print(table(row.line() for row in rows))
    return 1 if any(row.comparison.unexplained for row in rows) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/fidelity", description=__doc__)
    parser.add_argument(
        "project", nargs="*", type=_project, metavar="DIR[:3.X,3.Y]",
        help="folders with a pyproject.toml, each perhaps with Pythons of its own; default: the tests' own",
    )  # fmt: skip
    parser.add_argument("-p", "--python", action="append", metavar="3.X", help="default: this one's version")
    parser.add_argument(
        "--sample", type=int, default=400, help="how many submodules to import, beside all top-level ones"
    )
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the table as Markdown; rows of others stay")
    options = parser.parse_args()
    options.python = options.python or ["{}.{}".format(*sys.version_info)]
    return options


def _project(text: str) -> tuple[Path, list[str]]:
    folder, _, versions = text.partition(":")
    return Path(folder), versions.split(",") if versions else []


def _rows(folder: Path, version: str, options: argparse.Namespace, rules: Sequence[Rule], cache: Path) -> Iterator[Row]:
    """The project in every mode. Both environments are deleted with the last row, which takes a while."""
    python = pyenv_python(version)
    if python is None:
        raise SystemExit(f"there is no Python {version} below PYENV_ROOT")
    with new_machine() as machine:
        project = machine.home / folder.name
        project.mkdir()
        for name in ("pyproject.toml", "uv.lock"):
            if (folder / name).exists():
                shutil.copy(folder / name, project)
                (project / name).chmod(0o644)
        _allow(project, version)
        if not (project / "uv.lock").exists():
            subprocess.run([find_uv_bin(), "lock", "-q", "-p", python], cwd=project, check=True)
        pair = Pair(machine, project, python, shared_cache=cache)
        pair.make()
        venv = pair.inside_venv(options.sample)
        for mode, ours in pair.inside_environment(options.sample).items():
            comparison = compare(expected_in(mode, venv), ours, rules)
            print(f"{folder.name} {version} {mode}: {len(comparison.unexplained)} unexplained", file=sys.stderr)
            for difference in comparison.unexplained:  # now: hours may pass until the table
                print(f"{folder.name} {version} {mode}: {difference}", flush=True)
            yield Row(project=folder.name, python=version, mode=mode, comparison=comparison)


def _allow(project: Path, version: str) -> None:
    """Lock the copy for this Python alone, in other versions, where the project is for others only."""
    file = project / "pyproject.toml"
    text = file.read_text()
    requires = tomllib.loads(text)["project"].get("requires-python", "")
    if not SpecifierSet(requires).contains(f"{version}.99"):
        text = text.replace(f'requires-python = "{requires}"', f'requires-python = "=={version}.*"')
        file.write_text(text.partition("constraint-dependencies = [")[0])
        (project / "uv.lock").unlink(missing_ok=True)


def _write(rows: Sequence[Row], file: Path) -> None:
    """Renew these rows of the file; the others stay."""
    file.write_text(table((row.line() for row in rows), file.read_text() if file.exists() else ""))


if __name__ == "__main__":
    raise SystemExit(main())
