"""The two pairs of environments that all cases share: one of made-up wheels, one of small real packages."""

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from uv import find_uv_bin

from fidelity.asked import Asked
from fidelity.made import made_wheels, project_files
from fidelity.pair import Pair
from support.index import serve_index
from support.locked_day import as_of_that_day
from support.machine import Machine, base_python, new_machine

REAL = Path(__file__).with_name("real_packages.toml")


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    """The project of ``made``, over a loopback index."""
    wheels = made_wheels(tmp_path_factory.mktemp("bytecode"))
    with serve_index(*wheels) as index, _twins(project_files(wheels), UV_DEFAULT_INDEX=index.url) as twins:
        yield twins


@pytest.fixture(scope="session")
def real() -> Iterator[Asked]:
    """The packages of ``real_packages.toml``; tests that ask for it are marked ``network``."""
    with _twins({"pyproject.toml": REAL.read_text()}, **as_of_that_day()) as twins:
        yield twins


@contextmanager
def _twins(files: Mapping[str, str], **uv: str) -> Iterator[Asked]:
    with new_machine() as machine:
        project = machine.home / "project"
        for name, text in files.items():
            (project / name).parent.mkdir(parents=True, exist_ok=True)
            (project / name).write_text(text)
        _lock(machine, project, uv)
        pair = Pair(machine, project, base_python(), shared_cache=machine.root / "uv-cache")
        pair.make()
        yield Asked(machine, project, pair)


def _lock(machine: Machine, project: Path, uv: Mapping[str, str]) -> None:
    environ = machine.environ | {"UV_PYTHON_DOWNLOADS": "never", **uv}
    command = [find_uv_bin(), "lock", "-q", "--python", base_python()]
    done = subprocess.run(command, cwd=project, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
