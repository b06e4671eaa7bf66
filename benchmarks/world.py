"""The world of a benchmark: wheels on a loopback index, projects locked against it, and the tools to compare."""

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from packaging.utils import parse_wheel_filename
from uv import find_uv_bin

from benchmarks.processes import end
from support.machine import Machine, new_machine

PYTHON = os.path.realpath(sys.executable)
"""The interpreter of every environment."""

UV = find_uv_bin()
UVX = str(Path(UV).with_name("uvx"))

MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"
"""The feature version of that interpreter."""

TOOLS = ("black", "ruff")
"""A tool that is a Python program, and a native one."""

_MARKER = (
    f"sys_platform == '{sys.platform}' and implementation_name == '{sys.implementation.name}' "
    f"and platform_python_implementation == '{platform.python_implementation()}'"
)
"""Of all systems this one alone: the wheels of the others are not on the index."""


@dataclass(slots=True)
class World:
    """Where everything is. ``index`` is the root of the loopback index; ``wheels`` its folder."""

    machine: Machine
    wheels: Path
    index: str
    environ: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.environ = self.machine.environ | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "UV_DEFAULT_INDEX": f"{self.index}/simple/",
            "PIP_INDEX_URL": f"{self.index}/simple/",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "UV_PYTHON_DOWNLOADS": "never",
            "UV_NO_PROGRESS": "1",
            "MPLBACKEND": "Agg",
        }
        self.machine.environ = self.environ

    @property
    def for_uv(self) -> dict[str, str]:
        """The variables of uv's own commands. For storectl UV_PYTHON is an option: what ``-p`` asks for."""
        return self.environ | {"UV_PYTHON": PYTHON}

    def shape(self, mbit: float) -> None:
        """Have the index send so many Mbit/s from now on, over all connections together; 0 is as fast as it can."""
        urllib.request.urlopen(urllib.request.Request(f"{self.index}/rate", str(mbit).encode(), method="PUT")).close()

    def project(
        self,
        name: str,
        only: Sequence[str] | None = None,
        *,
        without: Sequence[str] = (),
        more: str = "",
        lock: bool = True,
    ) -> Path:
        """A virtual project whose ``uv.lock`` pins every wheel of the world, or those of ``only``.

        ``more`` are further tables of its ``pyproject.toml``. Without ``lock`` the caller has it locked.
        """
        folder = self.machine.home / name
        folder.mkdir()
        pins = sorted(
            f"{project}=={version}"
            for project, version, _, _ in (parse_wheel_filename(wheel.name) for wheel in self.wheels.glob("*.whl"))
            if (only is None or project in only) and project not in without
        )
        # From this release on: what older ones of the same minor version need besides is not among the wheels.
        major, minor, micro = sys.version_info[:3]
        python = f">={major}.{minor}.{micro},<{major}.{minor + 1}"
        (folder / "pyproject.toml").write_text(
            f'[project]\nname = "{name}"\nversion = "0"\nrequires-python = "{python}"\n'
            f"dependencies = {pins}\n[tool.uv]\npackage = false\n"
            f"environments = [{json.dumps(_MARKER)}]\n{more}"
        )
        if lock:
            self.do([UV, "lock", "--quiet"], folder)
        return folder

    def venv(self, project: Path, folder: Path, *, bytecode: bool = True) -> Path:
        """A venv with what the project's lock file pins; its python."""
        shutil.rmtree(folder, ignore_errors=True)
        self.do([UV, "venv", "--quiet", "--clear", folder], project)
        flags = ["--compile-bytecode"] if bytecode else []
        self.do([UV, "sync", "--quiet", "--frozen", *flags], project, UV_PROJECT_ENVIRONMENT=str(folder))
        return folder / "bin/python"

    def do(self, command: Sequence[str | Path], cwd: Path, **variables: str) -> str:
        """A step that is not measured."""
        environ: Mapping[str, str] = (self.for_uv if command[0] in (UV, UVX) else self.environ) | variables
        done = subprocess.run(
            list(map(str, command)), cwd=cwd, env=environ, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{command}: exit {done.returncode}\n{done.stderr[-3000:]}")
        return done.stdout

    def end_daemons(self) -> None:
        """End every daemon of this world and what it has started."""
        for pid in self.machine.daemon_processes():
            end(pid)


def pull(source: Path, folder: Path) -> None:
    """Give a folder the lock file of another project, each file in one step."""
    for name in ("pyproject.toml", "uv.lock"):
        shutil.copyfile(source / name, folder / f".{name}")
        (folder / f".{name}").rename(folder / name)


@contextmanager
def new_world(wheels: Path, *more: Path) -> Iterator[World]:
    """A world that serves these wheels, until the end of the block. The index has those of ``more`` as well."""
    command = [sys.executable, "-m", "benchmarks.wheel_server", *map(str, (wheels, *more))]
    root = Path(__file__).parent.parent
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as server, new_machine() as machine:
        assert server.stdout is not None
        try:
            yield World(machine=machine, wheels=wheels, index=server.stdout.readline().strip())
        finally:
            server.kill()


def download_tools(wheels: Path) -> None:
    """Put the newest wheels of ``TOOLS`` and of what they need into a folder."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "pyproject.toml").write_text(
            f'[project]\nname = "tools"\nversion = "0"\nrequires-python = "=={MINOR}.*"\ndependencies = {list(TOOLS)}\n'
            "[tool.uv]\npackage = false\n"
        )
        download(Path(folder), wheels)


def download(project: Path, wheels: Path) -> None:
    """Put the wheels of a project's dependencies for this interpreter into a folder, from the configured index."""
    if wheels.is_dir() and any(wheels.glob("*.whl")):
        return
    wheels.mkdir(parents=True, exist_ok=True)
    environ = {name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", "PIP_FIND_LINKS"}}
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(project / "pyproject.toml", folder)
        if (project / "uv.lock").exists():
            shutil.copy(project / "uv.lock", folder)
        uv = [UV, "export", "--quiet", "--no-hashes", "--no-emit-project", "--no-annotate", "--no-header"]
        listed = subprocess.run(uv, cwd=folder, env=environ, check=True, capture_output=True, text=True).stdout
        (Path(folder) / "requirements.txt").write_text(listed)
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        subprocess.run([*pip, "-r", f"{folder}/requirements.txt", "-d", str(wheels)], env=environ, check=True)
