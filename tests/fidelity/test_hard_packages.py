"""The comparison of hard packages: its cases can be read, and its table says what was seen."""

from pathlib import Path

import pytest

from fidelity.hard_case import HardCase, Outcome, read_cases
from fidelity.hard_packages import Row, table

CASES = read_cases()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_case_has_tasks_and_writes_a_project(case: HardCase, tmp_path: Path) -> None:
    case.write(tmp_path)
    assert case.tasks
    assert all((tmp_path / path).is_file() for path in case.files)
    assert f'requires-python = "=={case.python}.*"' in (tmp_path / "pyproject.toml").read_text()


def test_addresses_times_and_folders_are_no_differences() -> None:
    first = Outcome.of(0, "<a at 0x7f00aa> took 1.25 s at 10:11:12.5 in /x/venv/lib\n", {"/x/venv": "<prefix>"})
    other = Outcome.of(0, "<a at 0x7f11bb> took 3.01 s at 10:15:00 in /y/env/lib\n", {"/y/env": "<prefix>"})
    assert first == other
    assert first.output == "<a at <address>> took <time> at <time> in <prefix>/lib"


def test_a_relative_folder_is_only_named_where_a_word_begins() -> None:
    found = Outcome.of(0, "create.venv:Venv in .venv/lib, ./.venv", {".venv": "<prefix>"})
    assert found.output == "create.venv:Venv in <prefix>/lib, ./<prefix>"


@pytest.mark.parametrize(("code", "output"), [(1, "42"), (0, "43")])
def test_another_exit_code_or_output_is_a_difference(code: int, output: str) -> None:
    expected, found = Outcome(code=0, output="so\n42"), Outcome(code=code, output=f"so\n{output}")
    row = Row(case=CASES[0], wheels=3, task="t", venv=expected, storectl=found)
    assert not row.is_equal
    assert row.line().endswith(f"| 0 | `42` | **differs**: storectl run: exit code {code} |")


def test_the_linked_venv_has_to_be_equal_too() -> None:
    same = Outcome(code=0, output="42")
    equal, different = (
        Row(case=CASES[0], wheels=3, task="t", venv=same, storectl=same, linked=linked)
        for linked in (same, Outcome(code=2, output="42"))
    )
    assert equal.line().endswith("| equal, linked too |")
    assert not different.is_equal
    assert different.line().endswith("| **differs**: linked: exit code 2 |")


def test_a_path_that_a_program_resolved_is_told_but_no_difference() -> None:
    inside, digest = f"<prefix>/lib/python{CASES[0].python}/site-packages/a.ttf", "0" * 32
    resolved = f"<home>/.local/share/storectl/store/a/{digest}/site-packages/a.ttf"
    venv, ours = (Outcome(code=0, output=text) for text in (inside, resolved))
    row = Row(case=CASES[0], wheels=3, task="t", venv=venv, storectl=ours)
    assert row.is_equal
    assert row.line().endswith("| equal, links resolved |")


def test_rows_of_other_tasks_stay_and_those_of_unknown_ones_go() -> None:
    same = Outcome(code=0, output="a|b")
    keys = [(case, task) for case in CASES[:2] for task in list(case.tasks)[:2]]
    rows = [Row(case=case, wheels=3, task=task, venv=same, storectl=same) for case, task in keys]
    before = table(
        rows[1:], "| gone | 3.12 | 1 | t | 0 | `` | equal |\n| airflow | 3.12 | 1 | gone | 0 | `` | equal |\n"
    )
    both = table(rows[:1], before)
    assert "gone" not in both
    assert both == table(rows, "")
    assert [line.split(" | ")[3] for line in both.splitlines()[-len(keys) :]] == [task for _, task in keys]
    assert "`a/b`" in both


def test_a_case_may_be_run_in_part() -> None:
    case = CASES[0]
    last = list(case.tasks)[-1]
    assert list(case.only([last, "nothing"]).tasks) == [last]
    assert case.only(None) is case
