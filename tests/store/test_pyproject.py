"""What is read of a local project's ``pyproject.toml``: all of it, or nothing."""

import codecs
from pathlib import Path
from typing import Any

import pytest

from storectl_store.projects.pyproject import read_pyproject, table_at

TEXT = b'[project]\nname = "\xc3\xa4"\n'


@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
def test_a_byte_order_mark_is_none_of_its_text(tmp_path: Path, mark: bytes) -> None:
    (tmp_path / "pyproject.toml").write_bytes(mark + TEXT)
    assert read_pyproject(tmp_path) == {"project": {"name": "ä"}}


@pytest.mark.parametrize(
    "content", [b"[project", b"a = '\xff'", b"a = " + b"[" * 100_000], ids=["no TOML", "not UTF-8", "nested too deep"]
)
def test_nothing_is_read_of_a_broken_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "pyproject.toml").write_bytes(content)
    assert read_pyproject(tmp_path) == {}


def test_nothing_is_read_where_there_is_no_file(tmp_path: Path) -> None:
    assert read_pyproject(tmp_path) == {}
    (tmp_path / "pyproject.toml").mkdir()
    assert read_pyproject(tmp_path) == {}


@pytest.mark.parametrize(
    ("keys", "expected"),
    [((), {"a": {"b": {"c": 1}}, "d": [1]}), (("a", "b"), {"c": 1}), (("a", "x", "y"), {}), (("a", "b", "c"), {}), (("d",), {})],
)  # fmt: skip
def test_what_is_no_table_is_an_empty_one(keys: tuple[str, ...], expected: dict[str, Any]) -> None:
    assert table_at({"a": {"b": {"c": 1}}, "d": [1]}, *keys) == expected
