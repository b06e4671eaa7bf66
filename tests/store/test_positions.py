"""Where things stand in the text of a lock file."""

import json
import re
import tomllib
from collections.abc import Iterator

import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

from storectl_store.selection.tables.positions import (
    KeyPath,
    Position,
    deep_position,
    json_position,
    position_at,
    toml_position,
)
from support.sound_lock_files import SOUND_LOCK_FILES

TOML = '''\
version = 1 # [not]
a.b."c.d" = [1, {x = "]", 'y z'.k = 'q'}, [2, 3]]
text = """
[fake]
x = 1 "" \\""" """
literal = \'\'\'
[fake]
'' \'\'\'
when = 1979-05-27 07:32:00 # , =

[[package]]
name = "a"
wheels = [
    { url = "x#1", hash = "2" },
    # { hash = 1 }
    { url = "y", hash = 3 }, # {{
]

[package.metadata]
requires = []

[[package.sub]]
q = 0.5
[[package.sub]]
q = 1.5

[[ package ]]
name = 5
[tool . "uv" . sources]
"\\u0041b" = 1
"\\U0001F600" = 2
'''


@pytest.mark.parametrize(
    ("path", "line", "column"),
    [
        (("version",), 1, 1),
        (("a",), 2, 1),
        (("a", "b", "c.d"), 2, 1),
        (("a", "b", "c.d", 0), 2, 14),
        (("a", "b", "c.d", 1, "x"), 2, 18),
        (("a", "b", "c.d", 1, "y z", "k"), 2, 27),
        (("a", "b", "c.d", 2, 1), 2, 47),
        (("text",), 3, 1),
        (("literal",), 6, 1),
        (("when",), 9, 1),
        (("package",), 11, 1),
        (("package", 0, "name"), 12, 1),
        (("package", 0, "wheels", 0, "hash"), 14, 20),
        (("package", 0, "wheels", 1), 16, 5),
        (("package", 0, "wheels", 1, "hash"), 16, 18),
        (("package", 0, "metadata"), 19, 1),
        (("package", 0, "metadata", "requires"), 20, 1),
        (("package", 0, "sub", 1, "q"), 25, 1),
        (("package", 1), 27, 1),
        (("package", 1, "name"), 28, 1),
        (("tool",), 29, 1),
        (("tool", "uv", "sources", "Ab"), 30, 1),
        (("tool", "uv", "sources", "\U0001f600"), 31, 1),
    ],
)
def test_what_is_in_a_toml_text_is_found(path: KeyPath, line: int, column: int) -> None:
    tomllib.loads(TOML)
    assert toml_position(TOML, path) == Position(line=line, column=column)


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ((), 1),
        (("nothing",), 1),
        (("package", 1, "source"), 27),
        (("package", 0, "wheels", 1, "size"), 16),
        (("package", 0, "metadata", "files", 3), 19),
        (("package", 9, "name"), 11),
        (("version", "x"), 1),
        (("when", 4), 9),
    ],
)
def test_what_is_missing_is_at_the_nearest_thing_around_it(path: KeyPath, line: int) -> None:
    assert toml_position(TOML, path).line == line


def test_what_is_in_a_json_text_is_found() -> None:
    text = json.dumps({"_meta": {"a:b": [1, {"c": "}"}]}, "default": {"x": {"hashes": ["1", "2"]}}}, indent=2)
    lines = text.split("\n")
    for path, said in (
        (("_meta", "a:b"), '"a:b": ['),
        (("_meta", "a:b", 1, "c"), '"c": "}"'),
        (("default",), '"default": {'),
        (("default", "x", "hashes", 1), '"2"'),
        (("default", "x", "version"), '"x": {'),
    ):
        position = json_position(text, path)
        assert lines[position.line - 1][position.column - 1 :] == said


def test_lines_are_counted_in_characters_from_one() -> None:
    assert position_at("", 0) == Position(line=1, column=1)
    assert str(position_at("ä\näöx", 4)) == "2:3"
    assert position_at("a\r\nb", 4) == Position(line=2, column=2)


def test_deep_nesting_is_found_where_it_goes_too_far() -> None:
    assert deep_position("a = 1\nx = " + "[" * 500) == Position(line=2, column=55)
    assert deep_position('x = "' + "[" * 500 + '"') == Position(line=1, column=507)


KEYS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
VALUES = st.recursive(
    st.integers(-(2**63), 2**63 - 1) | st.booleans() | st.text(st.characters(exclude_categories=["Cs"]), max_size=9)
    | st.floats() | st.datetimes() | st.sampled_from(["[", "]]", "{", "}", "#", '"""', "'''", "\\", "\n", '"', "'"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(document=st.dictionaries(KEYS, VALUES, max_size=5), multiline=st.booleans())
def test_every_key_of_any_toml_is_found(document: dict[str, object], *, multiline: bool) -> None:
    """The keys are numbered, so that each is there once and cannot be mistaken."""
    numbered, paths = number_keys(document)
    text = tomli_w.dumps(numbered, multiline_strings=multiline)
    for path in paths:
        offset = re.search(rf"(?<![\w.]){path[-1]}(?= =|\]| \.|\.)", text) or re.search(rf"\b{path[-1]}\b", text)
        assert offset
        found = toml_position(text, path)
        assert found.line == position_at(text, offset.start()).line, (path, text)


@settings(max_examples=100, deadline=None)
@given(document=st.dictionaries(KEYS, VALUES.filter(lambda value: "datetime" not in repr(value)), max_size=5))
def test_every_key_of_any_json_is_found(document: dict[str, object]) -> None:
    numbered, paths = number_keys(document)
    text = json.dumps(numbered, indent=1)
    for path in paths:
        offset = text.index(f'"{path[-1]}":')
        assert json_position(text, path) == position_at(text, offset), (path, text)


@settings(max_examples=150, deadline=None)
@given(
    text=st.lists(st.sampled_from(["[", "]", "[[", "]]", "{", "}", "=", ".", ",", ":", '"', "'", '"""', "#", "\n", "\\", "a", "1", " "]))
    .map("".join),
    path=st.lists(st.sampled_from(["a", "1", 0, 1]), max_size=4).map(tuple),
)  # fmt: skip
def test_no_text_makes_it_fail(text: str, path: KeyPath) -> None:
    for find in (toml_position, json_position):
        position = find(text, path)
        assert 1 <= position.line <= text.count("\n") + 1
        assert 1 <= position.column <= len(text) + 1


@pytest.mark.parametrize("content", [sound.content for sound in SOUND_LOCK_FILES], ids=range(len(SOUND_LOCK_FILES)))
def test_every_prefix_of_a_lock_file_has_a_place_for_everything(content: str) -> None:
    for end in range(0, len(content), 97):
        for find in (toml_position, json_position):
            position = find(content[:end], ("package", 3, "wheels", 1, "hash"))
            assert position.line <= content.count("\n", 0, end) + 1


def number_keys(document: dict[str, object]) -> tuple[dict[str, object], list[KeyPath]]:
    """The document with other keys, ``key1`` and so on, and the path of each."""
    numbers = iter(range(1, 10**6))
    paths: list[KeyPath] = []

    def renamed(value: object, path: KeyPath) -> object:
        if isinstance(value, dict):
            return dict(pairs(value, path))
        if isinstance(value, list):
            return [renamed(item, (*path, number)) for number, item in enumerate(value)]
        return value.replace("key", "") if isinstance(value, str) else value

    def pairs(table: dict[str, object], path: KeyPath) -> Iterator[tuple[str, object]]:
        for value in table.values():
            key = f"key{next(numbers)}"
            paths.append((*path, key))
            yield key, renamed(value, (*path, key))

    return dict(pairs(document, ())), paths
