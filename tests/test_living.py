"""``docs/living.md``: every case that was found by living in storectl has a row, and every row a test that is there."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CASES = [*(f"F{number}" for number in range(1, 53)), *(f"D{number}" for number in range(1, 35))]
ROW = re.compile(r"\| (?P<case>[FD]\d+) \|[^|]+\|(?P<tests>[^|]+)\|")
TEST = re.compile(r"`?(tests/[\w/]+\.py)::(\w+)")


@pytest.fixture(scope="module")
def rows() -> dict[str, list[tuple[str, str]]]:
    """The tests of each case, as file and name."""
    lines = (ROOT / "docs/living.md").read_text().splitlines()
    found = [match for match in map(ROW.match, lines) if match]
    return {match["case"]: TEST.findall(match["tests"]) for match in found}


def test_every_case_has_a_row(rows: dict[str, list[tuple[str, str]]]) -> None:
    assert sorted(rows) == sorted(CASES)


@pytest.mark.parametrize("case", CASES)
def test_every_test_that_a_row_names_is_there(rows: dict[str, list[tuple[str, str]]], case: str) -> None:
    assert rows[case]
    for file, name in rows[case]:
        assert name in _functions(ROOT / file), f"{file}::{name}"


def _functions(file: Path) -> set[str]:
    return {
        node.name
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
