"""The table of cases names tests that exist, for every number once."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "docs/fidelity-cases.md"
COLUMNS = 5


def rows() -> list[list[str]]:
    """The cells of each numbered row."""
    cells = [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
        for line in TABLE.read_text(encoding="utf-8").splitlines()
        if line.startswith("|")
    ]
    return [row for row in cells if row[0].isdecimal()]


@cache
def functions(file: Path) -> frozenset[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def test_every_number_has_one_row_in_order() -> None:
    numbers = [int(row[0]) for row in rows()]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) >= 41


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_every_test_of_a_row_exists(row: list[str]) -> None:
    assert len(row) == COLUMNS
    assert all(row)
    tests = re.findall(r"`(tests/[^`]+)`", row[3])
    assert tests
    for test in tests:
        file, _, name = test.partition("::")
        assert (ROOT / file).is_file(), test
        assert name.startswith("test_"), test
        assert name.partition("[")[0] in functions(ROOT / file), test
