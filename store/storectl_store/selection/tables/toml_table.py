"""TOML read with types: an unexpected value becomes one LockFileError that names the file, the line and the key."""

import codecs
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeVar

import tomli
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import InvalidName, NormalizedName, canonicalize_name
from packaging.version import InvalidVersion, Version

from storectl_store.errors import LockFileError
from storectl_store.selection.tables.positions import KeyPath, Position, deep_position, position_at, toml_position

_T = TypeVar("_T")
_MAX_KEY_PARTS = 50
_DOTTED = re.compile(rf"\.(?:[^\n.=]*+\.){{{_MAX_KEY_PARTS}}}")
_DOTTED_KEY = re.compile(
    rf"""(?:^|[\[{{,])[ \t]*+(?:(?:[\w-]++|"(?:[^"\\\n]++|\\.)*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){{{_MAX_KEY_PARTS}}}""",
    re.MULTILINE,
)
MAX_DIGITS = 4300
"""Most digits of a number. It is Python's own limit: reading a number takes the square of its digits."""

_CONFLICT_MARKS = ("<<<<<<<", "|||||||", "=======", ">>>>>>>")
CONFLICT = "take one side (git checkout --ours or --theirs), and lock again with the tool that wrote it"
DAMAGED = "the file is damaged, or has merge conflicts in it: correct it, or make it anew with the tool that wrote it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """The bytes that tables were read from, and how to find something in them once there is an error."""

    content: bytes = field(repr=False)
    find: Callable[[str, KeyPath], Position]

    def position(self, path: KeyPath) -> Position:
        """The position of the key or item at this path, or of the nearest thing around it."""
        return self.find(self.content.decode(errors="replace"), path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table of a TOML file. ``file`` is its path; ``place`` says which table, such as ```numpy` ``.

    ``path`` are the keys and numbers from the top of the document to the table. Every method that reads a key raises
    LockFileError if its value is of another type.
    """

    values: Mapping[str, object]
    file: str
    place: str = ""
    path: KeyPath = ()
    document: Document | None = field(default=None, repr=False, compare=False)

    def at(self, place: str) -> "Table":
        """This table under a better name for messages."""
        return self._table(self.values, place, self.path)

    def error(self, what: str, *, key: str | KeyPath = (), hint: str | None = None, **facts: Any) -> LockFileError:
        """The error that says this of the table, or of something in it: ``file:line:column: place: what``."""
        place = f"{self.place}: " if self.place else ""
        if self.document is None:
            return LockFileError(f"{self.file}: {place}{what}", hint=hint, path=self.file, **facts)
        position = self.document.position(self.path + ((key,) if isinstance(key, str) else key))
        return error_at(self.file, position, f"{place}{what}", hint=hint, **facts)

    def optional_text(self, key: str) -> str | None:
        """The string; None if there is none."""
        value = self.values.get(key)
        if value is None or isinstance(value, str):
            return value
        raise self._wrong_type(key, "a string")

    def text(self, key: str) -> str:
        """The string. Raises LockFileError if it is missing."""
        return self._required(key, self.optional_text(key))

    def optional_integer(self, key: str) -> int | None:
        """The integer; None if there is none."""
        value = self.values.get(key)
        if value is None or (isinstance(value, int) and not isinstance(value, bool)):
            return value
        raise self._wrong_type(key, "an integer")

    def integer(self, key: str) -> int:
        """The integer. Raises LockFileError if it is missing."""
        return self._required(key, self.optional_integer(key))

    def optional_boolean(self, key: str) -> bool | None:
        """The boolean; None if there is none."""
        value = self.values.get(key)
        if value is None or isinstance(value, bool):
            return value
        raise self._wrong_type(key, "true or false")

    def array(self, key: str) -> list[object]:
        """The array; empty if there is none."""
        value = self.values.get(key, [])
        if isinstance(value, list):
            return value
        raise self._wrong_type(key, "an array")

    def texts(self, key: str) -> tuple[str, ...]:
        """The array of strings; empty if there is none."""
        items = self.array(key)
        if texts := [item for item in items if isinstance(item, str)]:
            if len(texts) == len(items):
                return tuple(texts)
        elif not items:
            return ()
        raise self._wrong_type(key, "an array of strings")

    def optional_table(self, key: str) -> "Table | None":
        """The table; None if there is none."""
        value = self.values.get(key)
        if value is None:
            return None
        if isinstance(value, dict):
            return self._table(value, self._place_of(key), (*self.path, key))
        raise self._wrong_type(key, "a table")

    def table(self, key: str) -> "Table":
        """The table; empty if there is none."""
        return self.optional_table(key) or self._table({}, self._place_of(key), (*self.path, key))

    def tables(self, key: str) -> tuple["Table", ...]:
        """The array of tables; empty if there is none."""
        return self._tables(self.array(key), self.place, (*self.path, key))

    def table_in(self, key: str, number: int) -> "Table":
        """The table with this number in an array, which `array` must have. No other table is looked at."""
        return self._tables(self.array(key)[number : number + 1], self.place, (*self.path, key), number)[0]

    def table_groups(self, key: str) -> tuple[tuple["Table", ...], ...]:
        """The array of arrays of tables; empty if there is none."""
        groups = []
        for number, items in enumerate(self.array(key)):
            if not isinstance(items, list):
                raise self.error(f"`{key}[{number}]` must be an array of tables", key=key)
            groups.append(self._tables(items, self._place_of(f"{key}[{number}]"), (*self.path, key, number)))
        return tuple(groups)

    def name(self, key: str) -> NormalizedName:
        """A project, extra or group name, normalised. Raises LockFileError if it is missing or no valid name."""
        return self.as_name(key, self.text(key))

    def names(self, key: str) -> tuple[NormalizedName, ...]:
        """The array of names, normalised; empty if there is none."""
        return tuple(self.as_name(key, text) for text in self.texts(key))

    def as_name(self, key: str, text: str) -> NormalizedName:
        """This text as a normalised name.

        Raises LockFileError, which says that `key` holds none, if it is no valid name.
        """
        try:
            return _normal_name(text)
        except InvalidName as error:
            raise self.error(f"`{key}`: {text[:80]!r} is not a valid name", key=key) from error

    def optional_version(self, key: str) -> str | None:
        """A version in its normal form; None if there is none."""
        text = self.optional_text(key)
        if text is None:
            return None
        try:
            return _normal_version(text)
        except InvalidVersion as error:
            raise self.error(f"`{key}`: {text[:80]!r} is not a valid version", key=key) from error

    def optional_specifiers(self, key: str) -> str | None:
        """Version specifiers, such as ``>=3.11,<4``, as they are written; None if there are none."""
        text = self.optional_text(key)
        try:
            SpecifierSet(text or "")
        except InvalidSpecifier as error:
            raise self.error(f"`{key}`: {text!r:.80} is no list of version specifiers", key=key) from error
        return text

    def _table(self, values: Mapping[str, object], place: str, path: KeyPath) -> "Table":
        return Table(values=values, file=self.file, place=place, path=path, document=self.document)

    def _tables(self, items: list[object], place: str, path: KeyPath, first: int = 0) -> tuple["Table", ...]:
        tables = []
        for number, item in enumerate(items, start=first):
            if not isinstance(item, dict):
                what = next(str(key) for key in reversed(path) if isinstance(key, str))
                raise self._table({}, self.place, path).error(f"`{what}` must be an array of tables", key=(number,))
            tables.append(self._table(item, place, (*path, number)))
        return tuple(tables)

    def _place_of(self, key: str) -> str:
        return f"{self.place}: `{key}`" if self.place else f"`{key}`"

    def _required(self, key: str, value: _T | None) -> _T:
        if value is None:
            raise self.error(f"`{key}` is missing")
        return value

    def _wrong_type(self, key: str, expected: str) -> LockFileError:
        return self.error(f"`{key}` must be {expected}", key=key)


@lru_cache(maxsize=4096)  # a lock file says each name and version many times
def _normal_name(text: str) -> NormalizedName:
    return canonicalize_name(text, validate=True)


@lru_cache(maxsize=4096)
def _normal_version(text: str) -> str:
    return str(Version(text))


def error_at(file: str, position: Position, what: str, *, hint: str | None = None, **facts: Any) -> LockFileError:
    """The error ``file:line:column: what`` at this position."""
    return LockFileError(
        f"{file}:{position}: {what}", hint=hint, path=file, line=position.line, column=position.column, **facts
    )


def decoded_text(content: bytes, file: str) -> str:
    """The text of a file in UTF-8. Raises LockFileError at the first byte that is not UTF-8."""
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        before = content[: error.start].decode()
        raise error_at(file, position_at(before, len(before)), "not valid UTF-8", hint=DAMAGED) from error


def parse_toml(content: bytes, file: str) -> Table:
    """The top table of a TOML file. Raises LockFileError ``file:line:column: what`` if it is no TOML.

    A byte order mark, which some editors write, is not part of the text, as in uv.
    """
    content = content.removeprefix(codecs.BOM_UTF8)
    text = decoded_text(content, file)
    _check_keys(text, file)
    try:
        values = tomli.loads(text)
    except tomli.TOMLDecodeError as error:
        raise _syntax_error(str(error), text, file) from error
    except RecursionError as error:
        raise error_at(file, deep_position(text), "brackets nested too deep", hint=DAMAGED) from error
    except ValueError as error:
        # The only other thing that the decoder refuses.
        digits = re.search(rf"[0-9][0-9_]{{{MAX_DIGITS}}}", text)
        position = position_at(text, digits.start() if digits else 0)
        raise error_at(file, position, f"a number of more than {MAX_DIGITS} digits", hint=DAMAGED) from error
    return Table(values=values, file=file, document=Document(content=content, find=toml_position))


def parse_toml_head(content: bytes, file: str) -> Table:
    """The keys before the first table of a TOML file: a thousandth of a large lock file.

    The tables are not looked at.
    """
    end = content.find(b"\n[")
    if end < 0:
        return parse_toml(content, file)
    try:
        return parse_toml(content[: end + 1], file)
    except LockFileError:  # it looked like a table and is the inside of an array or a text, or is wrong
        return parse_toml(content, file)


def _check_keys(text: str, file: str) -> None:
    """Raise LockFileError if a dotted key has more parts than any real one.

    Reading takes the square of their number.
    """
    if not any(line.count(".") > _MAX_KEY_PARTS for line in text.split("\n")):
        return  # a tenth of the time of the patterns, and true of all but a line in thousands
    if _DOTTED.search(text) and (match := _DOTTED_KEY.search(text)):
        raise error_at(file, position_at(text, match.start()), f"a key of more than {_MAX_KEY_PARTS} parts")


def _syntax_error(message: str, text: str, file: str) -> LockFileError:
    """Our error for the decoder's, which ends in ``(at line 3, column 7)`` or ``(at end of document)``."""
    what, _, where = message.rpartition(" (at ")
    match = re.fullmatch(r"line (\d+), column (\d+)\)", where)
    position = Position(line=int(match[1]), column=int(match[2])) if match else position_at(text, len(text))
    line = text.split("\n")[position.line - 1]
    if line.startswith(_CONFLICT_MARKS):
        return error_at(file, position, "there is a merge conflict in it", hint=CONFLICT)
    return error_at(file, position, (what or message)[:200], hint=DAMAGED)
