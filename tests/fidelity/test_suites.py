"""Suites of real projects: what is told of them, and one that runs here."""

from pathlib import Path

import pytest

from fidelity.suite_run import run_suite
from fidelity.suites import Outcome, disagreements, outcomes_of, read_suites
from support.machine import base_python, new_machine

REPORT = """\
<testsuites><testsuite name="pytest">
<testcase classname="a.B" name="test_x" time="0.1" />
<testcase classname="a.B" name="test_y[/root/one]"><failure message="no">x</failure></testcase>
<testcase classname="a.B" name="test_z"><skipped type="pytest.skip" message="why" /></testcase>
<testcase classname="a.B" name="test_x"><error message="in clean-up">x</error></testcase>
<testcase classname="" name="a.broken"><error message="collection failure">x</error></testcase>
</testsuite></testsuites>
"""


def runs(*outcomes: dict[str, Outcome]) -> list[dict[str, Outcome]]:
    return list(outcomes)


def test_a_report_tells_the_worst_of_each_test(tmp_path: Path) -> None:
    (tmp_path / "report.xml").write_text(REPORT)
    assert outcomes_of(tmp_path / "report.xml", {"/root/one": "<prefix>"}) == {
        "a.B::test_x": "failed",
        "a.B::test_y[<prefix>]": "failed",
        "a.B::test_z": "skipped",
        "::a.broken": "failed",
    }


def test_a_test_that_fails_on_one_side_only_or_is_not_there_is_a_difference() -> None:
    found = disagreements(
        runs({"a": "passed", "b": "passed", "c": "failed"}), runs({"a": "failed", "c": "failed", "d": "skipped"})
    )
    assert [str(difference) for difference in found] == [
        "a: venv passed, storectl failed",
        "b: venv passed, storectl absent",
        "d: venv absent, storectl skipped",
    ]


def test_a_test_that_is_flaky_on_either_side_is_none() -> None:
    assert not disagreements(runs({"a": "passed"}, {"a": "failed"}), runs({"a": "failed"}, {"a": "failed"}))
    assert not disagreements(runs({"a": "passed"}, {"a": "passed"}), runs({"a": "failed"}, {"a": "passed"}))


def test_every_suite_says_what_to_run() -> None:
    suites = read_suites()
    assert len(suites) > 15
    assert all(suite.arguments for suite in suites.values())
    assert any(suite.ci for suite in suites.values())


@pytest.mark.network
@pytest.mark.whole
@pytest.mark.parametrize("name", [suite.name for suite in read_suites().values() if suite.ci])
def test_a_project_passes_the_same_of_its_own_tests_as_in_a_venv(name: str, tmp_path: Path) -> None:
    with new_machine() as machine:
        result = run_suite(read_suites()[name], machine, base_python(), cache=tmp_path, seconds=300, repositories={})
    assert [str(difference) for difference in result.differences] == []
    assert list(result.storectl[-1].values()).count("passed") > 50
