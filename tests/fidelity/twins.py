"""A venv by uv and an environment by storectl, made from one lock file, in which the same programs are run."""

import os
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from uv import find_uv_bin

from fidelity.pair import Pair
from support.index import LoopbackIndex, serve_index
from support.locked_day import as_of_that_day
from support.machine import Machine, base_python, new_machine
from support.wheels import WheelBytes

SECONDS = 240
_NO_OVERRIDE = (
    "--bounding-set=-dac_override,-dac_read_search,-fowner",
    "--inh-caps=-dac_override,-dac_read_search,-fowner",
)


class Twins:
    """Both of them. In commands and variables ``{root}`` is the folder of either one; in outputs it is ``<prefix>``."""

    def __init__(self, machine: Machine, project: Path) -> None:
        self.machine = machine
        self.project = project
        self.scratch = machine.root / "scratch"
        self.scratch.mkdir()
        self._pair = Pair(machine, project, base_python(), shared_cache=machine.root / "uv-cache")
        self._pair.make()
        self.environment = self._pair.environment
        self.venv = self._pair.venv

    @property
    def roots(self) -> tuple[Path, Path]:
        """The venv and the environment."""
        return self.venv, self.environment

    def run(
        self,
        root: Path,
        *command: str | Path,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: str = "",
    ) -> subprocess.CompletedProcess[str]:
        """A command as in a shell in which this one of them is active."""
        words = [str(word).replace("{root}", str(root)) for word in command]
        done = subprocess.run(
            words, cwd=cwd or self.scratch, env=self.environ(root, env), input=stdin, capture_output=True, text=True,
            check=False, timeout=SECONDS,
        )  # fmt: skip
        return subprocess.CompletedProcess(
            words, done.returncode, self._shown(done.stdout, root), self._shown(done.stderr, root)
        )

    def environ(self, root: Path, env: Mapping[str, str] | None = None) -> dict[str, str]:
        """The variables of such a shell."""
        own = {
            "PATH": f"{root / 'bin'}:{self.machine.environ['PATH']}",
            "VIRTUAL_ENV": str(root),
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "COLUMNS": "200",
        }
        given = {name: text.replace("{root}", str(root)) for name, text in (env or {}).items()}
        return self.machine.environ | own | given

    def output(self, root: Path, *command: str | Path, **options: object) -> str:
        """What a command that must succeed writes to standard output."""
        done = self.run(root, *command, **options)  # type: ignore[arg-type]
        assert done.returncode == 0, f"{done.args}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def same(self, *command: str | Path, **options: object) -> str:
        """The output of a command, which must succeed and be the same in both."""
        expected, found = (self.output(root, *command, **options) for root in self.roots)
        assert found == expected, f"{command}\nin the venv: {expected}\nin the environment: {found}"
        return found

    def python(self, program: str, *arguments: str | Path, **options: object) -> str:
        """The output of a program, the same in both."""
        return self.same("{root}/bin/python", "-c", program, *arguments, **options)

    def _shown(self, text: str, root: Path) -> str:
        return text.replace(str(root), "<prefix>")


@contextmanager
def locked_twins(*requirements: str) -> Iterator[Twins]:
    """Twins of these requirements, from the configured registry."""
    with new_machine() as machine:
        yield Twins(machine, locked_project(machine, project_files(requirements), **as_of_that_day()))


@contextmanager
def twins_of(wheels: Sequence[WheelBytes], files: Mapping[str, str] | None = None) -> Iterator[Twins]:
    """Twins of these wheels and of a project with these files, if any, from an index on loopback."""
    with new_machine() as machine, serve_index(*wheels) as index:
        use_index(machine, index)
        given = files or project_files([wheel.name for wheel in wheels])
        yield Twins(machine, locked_project(machine, given))


def use_index(machine: Machine, index: LoopbackIndex) -> None:
    """Make uv and storectl ask this index and no other."""
    machine.environ |= {"UV_DEFAULT_INDEX": index.url}
    config = machine.home / ".config/pip/pip.conf"
    config.parent.mkdir(parents=True)
    config.write_text(f"[global]\nindex-url = {index.url}\n")


def project_files(requirements: Sequence[str]) -> dict[str, str]:
    """A project that is nothing but its requirements."""
    return {
        "pyproject.toml": '[project]\nname = "project"\nversion = "0"\nrequires-python = ">=3.11"\n'
        f"dependencies = {list(requirements)!r}\n[tool.uv]\npackage = false\n"
    }


def locked_project(machine: Machine, files: Mapping[str, str], **variables: str) -> Path:
    """A folder with these files, locked by uv with these variables."""
    project = machine.home / "project"
    for name, text in files.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)
    environ = machine.environ | {"UV_PYTHON": base_python(), "UV_PYTHON_DOWNLOADS": "never", **variables}
    done = subprocess.run([find_uv_bin(), "lock", "-q"], cwd=project, env=environ, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return project


def needs_compiler() -> None:
    """Skip the test where no extension module can be compiled."""
    if shutil.which("gcc") is None or not Path(sysconfig.get_path("include"), "Python.h").exists():
        pytest.skip("needs gcc and Python's headers")


def whom_modes_stop() -> list[str]:
    """What to put before a command so that read-only is read-only: root otherwise writes wherever it likes."""
    if os.geteuid() != 0:
        return []
    command = ["setpriv", *_NO_OVERRIDE]
    try:
        subprocess.run([*command, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("root can write everywhere here, and setpriv cannot make it an ordinary user")
    return command
