"""The oracle on the tests' own workload: no difference that nobody explained."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from uv import find_uv_bin

from fidelity.comparison import compare, read_rules
from fidelity.pair import Pair, expected_in
from support.locked_day import as_of_that_day
from support.machine import Machine, new_machine
from support.workloads import own_workloads

pytestmark = pytest.mark.network


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with new_machine() as machine:
        project = machine.home / "project"
        project.mkdir()
        (folder,) = own_workloads()
        shutil.copy(folder / "pyproject.toml", project)
        _lock(machine, project)
        made = Pair(machine, project, os.path.realpath(sys.executable), shared_cache=machine.root / "uv-cache")
        made.make()
        yield made


def test_nothing_in_the_environment_differs_from_a_venv_but_what_is_meant_to(pair: Pair) -> None:
    venv = pair.inside_venv(sample=30)
    assert len(venv) > 8000
    for mode, found in pair.inside_environment(sample=30).items():
        comparison = compare(expected_in(mode, venv), found, read_rules())
        assert [str(difference) for difference in comparison.unexplained] == [], mode
        assert comparison.equal.total() > 8000


def _lock(machine: Machine, project: Path) -> None:
    environ = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    environ |= {"UV_CACHE_DIR": str(machine.root / "uv-cache"), **as_of_that_day()}
    subprocess.run([find_uv_bin(), "lock", "-q"], cwd=project, env=environ, check=True)
