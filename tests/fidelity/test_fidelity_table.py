"""The table of what programs find: what was not compared this time stays as it was."""

from collections import Counter

import pytest

from fidelity import suite_table
from fidelity.comparison import Comparison, compare
from fidelity.fidelity_table import line_of, table
from fidelity.pair import Mode


def comparison(**found: int) -> Comparison:
    return Comparison(compared=Counter(found), equal=Counter(found), explained=(), unexplained=())


def rows(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("| ")]


def test_a_row_says_how_much_is_equal_and_what_is_left() -> None:
    found = compare({"files/a": 1, "files/b": 1, "modules/a": 1}, {"files/a": 1, "files/b": 2, "modules/a": 1}, ())
    assert rows(table([line_of("one", "3.9", "shim", found)])) == [
        "| project | Python | mode | files | modules | by design | unexplained |",
        "| one | 3.9 | shim | 1 / 2 | 1 / 1 | 0 | 1 |",
    ]


def test_rows_that_are_not_renewed_stay() -> None:
    old = table(
        [line_of("one", "3.9", "shim", comparison(files=1)), line_of("two", "3.9", "shim", comparison(files=2))]
    )
    new = table([line_of("one", "3.9", "shim", comparison(files=3))], old)
    assert rows(new)[1:] == ["| one | 3.9 | shim | 3 / 3 | 0 | 0 |", "| two | 3.9 | shim | 2 / 2 | 0 | 0 |"]


def test_a_section_that_is_new_has_nothing_in_older_rows() -> None:
    old = table([line_of("one", "3.9", "shim", comparison(files=1))])
    new = table([line_of("two", "3.9", "shim", comparison(files=2, pip=4))], old)
    assert rows(new)[1:] == [
        "| one | 3.9 | shim | 1 / 1 |  | 0 | 0 |",
        "| two | 3.9 | shim | 2 / 2 | 4 / 4 | 0 | 0 |",
    ]
    assert table([], new) == new


@pytest.mark.parametrize("mode", ["shim", "without shim", "daemon dead"])
def test_rows_stand_by_project_python_and_mode(mode: Mode) -> None:
    first, second = (line_of("one", python, mode, comparison(files=1)) for python in ("3.9", "3.10"))
    shim = line_of("one", "3.10", "shim", comparison(files=1))
    text = table([second, first, shim])
    assert text == table([first], table([shim, second]))
    assert next(row.split(" | ")[1] for row in rows(text)[1:]) == "3.9"


def test_the_two_tables_of_the_file_are_written_apart() -> None:
    found = table([line_of("one", "3.9", "shim", comparison(files=1))])
    both = suite_table.table({"click": "| click | 8 | sdist |", "flask": "| flask | 3 | sdist |"}, found + "\n")
    renewed = table([line_of("one", "3.9", "shim", comparison(files=2))], both)
    assert "| one | 3.9 | shim | 2 / 2 | 0 | 0 |" in renewed
    assert suite_table.rows_of(renewed) == {"click": "| click | 8 | sdist |", "flask": "| flask | 3 | sdist |"}
    assert suite_table.table(suite_table.rows_of(renewed), renewed) == renewed
