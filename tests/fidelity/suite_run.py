"""One project's own tests, run by ``storectl run`` and in a venv made by uv from the same lock file."""

import os
import shutil
import signal
import subprocess
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name
from uv import find_uv_bin

from fidelity.pair import Pair
from fidelity.suite_source import SuiteError, source_of, unpack
from fidelity.suites import Disagreement, Outcome, Suite, disagreements, outcomes_of
from support.machine import STORECTL, Machine

MOST_RUNS = 3
"""Of each side, before an outcome that is not the same is called a difference: real suites have flaky tests."""


@dataclass(slots=True, kw_only=True)
class SuiteResult:
    """All runs of a suite. Those of ``storectl`` and ``venv`` come in pairs."""

    suite: Suite
    version: str
    venv: list[dict[str, Outcome]] = field(default_factory=list)
    storectl: list[dict[str, Outcome]] = field(default_factory=list)

    @property
    def differences(self) -> list[Disagreement]:
        return disagreements(self.venv, self.storectl)


def run_suite(
    suite: Suite, machine: Machine, python: str, *, cache: Path, seconds: int, repositories: Mapping[str, str]
) -> SuiteResult:
    """Both environments, made and run until they agree, ``MOST_RUNS`` times at most."""
    project = machine.home / "project"
    project.mkdir()
    (project / "pyproject.toml").write_text(_pyproject(suite))
    environ = machine.environ | {"UV_CACHE_DIR": str(cache)}
    subprocess.run([find_uv_bin(), "lock", "-q", "--python", python], cwd=project, env=environ, check=True)
    pair = Pair(machine, project, python, shared_cache=cache)
    pair.make()
    package = _locked(project / "uv.lock", suite.name)
    result = SuiteResult(suite=suite, version=package["version"])
    source = source_of(suite, package, repositories)
    runner = _Runner(suite, machine, pair, project, python, source, seconds)
    while not result.storectl or (result.differences and len(result.storectl) < MOST_RUNS):
        result.venv.append(runner.run_in_venv())
        result.storectl.append(runner.run_in_storectl())
    return result


def _pyproject(suite: Suite) -> str:
    needed = ", ".join(f'"{requirement}"' for requirement in (suite.name, *suite.requirements))
    return (
        '[project]\nname = "suite"\nversion = "1"\nrequires-python = ">=3.11"\n'
        f"dependencies = [{needed}]\n[tool.uv]\npackage = false\n"
    )


def _locked(lock_file: Path, name: str) -> dict[str, Any]:
    packages: list[dict[str, Any]] = tomllib.loads(lock_file.read_text())["package"]
    return next(package for package in packages if package["name"] == canonicalize_name(name))


class _Runner:
    def __init__(
        self, suite: Suite, machine: Machine, pair: Pair, project: Path, python: str, source: bytes | None, seconds: int
    ) -> None:
        self._suite = suite
        self._machine = machine
        self._pair = pair
        self._source = source
        self._seconds = seconds
        self._storectl: list[str | Path] = [STORECTL, "run", "-p", python, "--project", project]

    def run_in_venv(self) -> dict[str, Outcome]:
        binaries = self._pair.venv / "bin"
        return self._run([binaries / ("python" if self._suite.program else "pytest")], self._pair.venv)

    def run_in_storectl(self) -> dict[str, Outcome]:
        command = self._storectl if self._suite.program else [*self._storectl, "pytest"]
        return self._run(command, self._pair.environment)

    def _run(self, command: Sequence[str | Path], root: Path) -> dict[str, Outcome]:
        """The tests in a fresh folder, which has one path on both sides."""
        folder = self._machine.root / "suite"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        work = unpack(self._source, self._suite, folder)
        report = folder / "report.xml"
        options = [f"--junit-xml={report}", f"--basetemp={folder / 'tmp'}", "-q", "-o", f"cache_dir={folder / 'cache'}"]
        if self._suite.program:
            below, *options = self._suite.program
            work /= below
        output = self._to_its_end([*command, *options, *self._suite.arguments], work, root, report)
        found = outcomes_of(report, {str(root): "<prefix>", str(folder): "<folder>"}) if report.exists() else {}
        if "passed" not in found.values():
            raise SuiteError(f"{self._suite.name}: no test passed\n{output[-3000:]}")
        return found

    def _to_its_end(self, command: Sequence[str | Path], work: Path, root: Path, report: Path) -> str:
        """The output; a suite that takes too long is ended, with all that it started."""
        environ = self._machine.environ | {
            "PATH": f"{root / 'bin'}:{self._machine.environ['PATH']}",
            "VIRTUAL_ENV": str(root),
            "PYTHONHASHSEED": "0",
            "PYTHONNOUSERSITE": "1",
            "REPORT": str(report),
        }
        process = subprocess.Popen(
            command, cwd=work, env=environ, text=True, errors="replace",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            output, _ = process.communicate(timeout=self._seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise SuiteError(f"{self._suite.name}: still running after {self._seconds} s") from None
        return output
