"""Tables of TOML and JSON: what is not as expected is said with its line and column."""

from collections.abc import Callable

import pytest

from storectl_store.errors import LockFileError
from storectl_store.selection.tables.json_table import parse_json
from storectl_store.selection.tables.toml_table import Table, parse_toml, parse_toml_head

TOML = b"""\
version = "x"
names = ["a", "-"]
flag = 1

[[package]]
name = "a"
groups = [[{ name = 1 }], 2]

[package.source]
python = "three"

[[package]]
name = "b"
wheels = [
    { hash = "1" },
    { hash = 2 },
    3,
]
"""


def package(number: int) -> Table:
    return parse_toml(TOML, "x.lock").tables("package")[number].at(f"`{'ab'[number]}`")


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda top: top.integer("version"), "x.lock:1:1: `version` must be an integer"),
        (lambda top: top.text("revision"), "x.lock:1:1: `revision` is missing"),
        (lambda top: top.names("names"), "x.lock:2:1: `names`: '-' is not a valid name"),
        (lambda top: top.optional_boolean("flag"), "x.lock:3:1: `flag` must be true or false"),
        (lambda top: top.optional_version("version"), "x.lock:1:1: `version`: 'x' is not a valid version"),
        (lambda top: top.table("flag"), "x.lock:3:1: `flag` must be a table"),
        (lambda top: top.table("metadata").text("hash"), "x.lock:1:1: `metadata`: `hash` is missing"),
        (lambda _: package(0).text("version"), "x.lock:5:1: `a`: `version` is missing"),
        (lambda _: package(0).table_groups("groups"), "x.lock:7:1: `a`: `groups[1]` must be an array of tables"),
        (lambda _: package(0).table("source").optional_specifiers("python"),
         "x.lock:10:1: `a`: `source`: `python`: 'three' is no list of version specifiers"),
        (lambda _: package(0).table("none").text("x"), "x.lock:5:1: `a`: `none`: `x` is missing"),
        (lambda _: package(1).tables("wheels"), "x.lock:17:5: `b`: `wheels` must be an array of tables"),
        (lambda _: package(1).texts("wheels"), "x.lock:14:1: `b`: `wheels` must be an array of strings"),
        (lambda _: package(1).error("wrong", key=("wheels", 1, "hash")), "x.lock:16:7: `b`: wrong"),
    ],
    ids=range(14),
)  # fmt: skip
def test_an_error_says_file_line_column_place_and_key(ask: Callable[[Table], object], message: str) -> None:
    try:
        error = ask(parse_toml(TOML, "x.lock"))
    except LockFileError as raised:
        error = raised
    assert isinstance(error, LockFileError)
    assert error.message == message
    line, column = (int(part) for part in message.split(":")[1:3])
    assert (error.facts["path"], error.facts["line"], error.facts["column"]) == ("x.lock", line, column)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a = 1\nb = \n", "x:2:5: Invalid value"),
        (b"a = 1\nb = [", "x:2:6: "),
        (b"a = 1\na = 2\n", "x:2:6: Cannot overwrite a value"),
        ("ä = 'é'\nb = ".encode()[:-5] + b"\xff", "x:1:8: not valid UTF-8"),
        (b"a = 1\r\nb = '\0'", "x:2:6: "),
        (b"<<<<<<< HEAD\n", "x:1:1: "),
        (b"a = 1\n" + b"x." * 100 + b"y = 1\n", "x:2:1: a key of more than 50 parts"),
        (b"a = 1\nb = { " + b"'x' ." * 100 + b"y = 1}\n", "x:2:5: a key of more than 50 parts"),
    ],
)
def test_what_is_no_toml_is_said_with_its_place(content: bytes, message: str) -> None:
    with pytest.raises(LockFileError) as caught:
        parse_toml(content, "x")
    assert caught.value.message.startswith(message)


def test_a_byte_order_mark_is_none_of_the_text() -> None:
    assert parse_toml(b"\xef\xbb\xbfa = 1\n", "x").values == {"a": 1}
    assert parse_json(b'\xef\xbb\xbf{"a": 1}\n', "x").values == {"a": 1}
    with pytest.raises(LockFileError, match="x:1:5: Invalid value"):
        parse_toml(b"\xef\xbb\xbfa = \n", "x")
    with pytest.raises(LockFileError, match=r"f\.toml:1:2: `a` must be"):
        parse_json(b'\xef\xbb\xbf{"a": 1}', "f.toml").text("a")


def test_many_dots_that_are_no_key_are_fine() -> None:
    text = "." * 500
    assert parse_toml(f'a = "{text}"\n# {text}\n'.encode(), "x").text("a") == text


JSON = b"""\
{
    "_meta": {"hash": 7},
    "default": {
        "a": {"hashes": ["x", 1], "version": "1"}
    }
}
"""


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda top: top.table("_meta").text("hash"), "P:2:15: `_meta`: `hash` must be a string"),
        (
            lambda top: top.table("default").table("a").texts("hashes"),
            "P:4:15: `default`: `a`: `hashes` must be an array",
        ),
        (lambda top: top.table("default").table("a").text("x"), "P:4:9: `default`: `a`: `x` is missing"),
        (lambda top: top.tables("develop") or top.text("develop"), "P:1:1: `develop` is missing"),
    ],
    ids=range(4),
)
def test_json_is_read_as_the_same_tables(ask: Callable[[Table], object], message: str) -> None:
    with pytest.raises(LockFileError) as caught:
        ask(parse_json(JSON, "P"))
    assert caught.value.message.startswith(message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "P:1:1: Expecting value"),
        (b'{"a": 1,\n "b" 2}', "P:2:6: Expecting ':' delimiter"),
        (b"[]", "P:1:1: must be an object"),
        (b'{"a":\n' + b"[" * 100_000, "P:2:50: brackets nested too deep"),
        (b'{\n"a": ' + b"9" * 5000 + b"}", "P:2:6: a number of more than 4300 digits"),
        (b'{"a":\n "\\ud800"}', "P:2:3: half a surrogate pair"),
        (b"\xff", "P:1:1: not valid UTF-8"),
    ],
)
def test_what_is_no_json_is_said_with_its_place(content: bytes, message: str) -> None:
    with pytest.raises(LockFileError) as caught:
        parse_json(content, "P")
    assert caught.value.message.startswith(message)


def test_a_whole_surrogate_pair_is_text() -> None:
    assert parse_json(b'{"a": "\\ud83d\\ude00 \\\\ud800"}', "P").text("a") == "\U0001f600 \\ud800"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"x = 1\n[a]\nx = 2\n", 1),
        (b"x = 1\n[[a]]\nbroken", 1),
        (b"a = [\n[1],\n]\nx = 1\n[b]\n", 1),
        (b"a = '''\n[b]\n'''\nx = 1\n", 1),
        (b"x = 1", 1),
        (b"[a]\nx = 2\n", None),
    ],
)
def test_the_head_of_a_file_ends_at_its_first_table(content: bytes, expected: int | None) -> None:
    assert parse_toml_head(content, "f").optional_integer("x") == expected


def test_what_is_wrong_in_the_head_has_its_place() -> None:
    with pytest.raises(LockFileError, match="f:2:4: Invalid value"):
        parse_toml_head(b"x = 1\ny =\n[a]\n", "f")
