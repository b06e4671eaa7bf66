"""docs/errors.md has every code that storectl can raise, and no other; every class of errors knows what to do."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ("client/storectl", "client/storectl_shim", "daemon/storectl_daemon", "store/storectl_store")
CODE = re.compile(r"E_[A-Z]+(?:_[A-Z]+)*")
ROW = re.compile(r"^\| `(E_\w+)` \|(.+)\|(.+)\|(.+)\|$", re.MULTILINE)
PAGE = (ROOT / "docs/errors.md").read_text(encoding="utf-8")


def codes() -> Iterator[str]:
    """Every string of the source that is a code."""
    for package in PACKAGES:
        for file in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and CODE.fullmatch(node.value):
                    yield node.value


def test_every_code_has_a_row_and_every_row_a_code() -> None:
    rows = [match[1] for match in ROW.finditer(PAGE)]
    assert len(rows) == len(set(rows))
    assert set(rows) == set(codes())


def test_every_row_says_what_why_and_what_ends_it() -> None:
    for match in ROW.finditer(PAGE):
        assert all(cell.strip() for cell in match.groups()), match[1]
    assert len(ROW.findall(PAGE)) == PAGE.count("| `E_")


def test_other_pages_name_codes_that_there_are() -> None:
    known = {match[1] for match in ROW.finditer(PAGE)}
    for page in (ROOT / "docs").glob("*.md"):
        named = set(re.findall(r"`(E_[A-Z_]+[A-Z])`", page.read_text(encoding="utf-8")))
        assert named - {"E_CODE"} <= known, page
