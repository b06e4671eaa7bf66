"""The two pairs of environments that all cases share: one of made-up wheels, one of small real packages."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from fidelity.asked import Asked
from fidelity.made import made_wheels, project_files
from fidelity.pair import Pair
from fidelity.twins import locked_project
from support.index import serve_index
from support.locked_day import as_of_that_day
from support.machine import base_python, new_machine

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
        project = locked_project(machine, files, **uv)
        pair = Pair(machine, project, base_python(), shared_cache=machine.root / "uv-cache")
        pair.make()
        yield Asked(machine, project, pair)
