"""The oracle on the tests' own workload: no difference that nobody explained."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fidelity.comparison import compare, read_rules
from fidelity.pair import Pair, expected_in
from support.machine import base_python, new_machine
from support.warmed import warmed_workload

pytestmark = pytest.mark.network


@pytest.fixture(scope="module")
def pair(run_folder: Path) -> Iterator[Pair]:
    with new_machine() as machine:
        project = warmed_workload(machine, run_folder)
        made = Pair(machine, project, base_python(), shared_cache=machine.root / "uv-cache")
        made.make()
        yield made


def test_nothing_in_the_environment_differs_from_a_venv_but_what_is_meant_to(pair: Pair) -> None:
    venv = pair.inside_venv(sample=30)
    assert len(venv) > 8000
    for mode, found in pair.inside_environment(sample=30).items():
        comparison = compare(expected_in(mode, venv), found, read_rules())
        assert [str(difference) for difference in comparison.unexplained] == [], mode
        assert comparison.equal.total() > 8000
