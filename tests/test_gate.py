"""What left the gate is written down."""

from pathlib import Path

ROOT = Path(__file__).parent.parent
MARK = "mark." + "whole"


def test_each_file_with_tests_that_left_the_gate_is_in_the_table() -> None:
    marked = {path for path in (ROOT / "tests").rglob("*.py") if MARK in path.read_text(encoding="utf-8")}
    table = (ROOT / "docs/tests.md").read_text(encoding="utf-8")
    assert [path for path in sorted(marked) if f"| `{path.relative_to(ROOT)}`" not in table] == []
