"""The position of a key in the text of a lock file, as line and column. It is needed for errors only.

The parsers of the standard library say where syntax is wrong, but not where they read a value. So when there is an
error to report about a text that was read without one, the text is searched once more, along one path of keys and
numbers:

    ("package", 17, "wheels", 3, "hash")      TOML: headers, arrays of tables, dotted keys, inline tables, arrays
    ("default", "requests", "hashes", 0)      JSON: which is one inline table with colons

If the path leads to nothing (a missing key), the answer is the nearest thing around it. No text makes the search fail:
for a malformed one, the answer is the nearest place that was understood.
"""

import json
import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass

KeyPath = tuple[str | int, ...]
"""Keys of tables and numbers of array items, from the top of a document."""

_DEEP = 50
_STRING = (
    r'"""(?:[^"\\]++|\\.|"{1,2}+(?!"))*+"{3,5}|\'\'\'(?:[^\']++|\'{1,2}+(?!\'))*+\'{3,5}'
    r'|"(?:[^"\\\n]++|\\.)*+"|\'[^\'\n]*+\''
)
_BLANK = re.compile(r"(?:[ \t\r\n,]++|#[^\n]*+)*+")
_KEY = re.compile(rf"({_STRING}|[^\s\"'.=:\[\]{{}},#]++)[ \t]*+(\.?)[ \t]*+", re.DOTALL)
_SEPARATOR = re.compile(r"[ \t\r\n]*+[=:]?[ \t\r\n]*+")
_SCALAR = re.compile(rf"(?:{_STRING})|[^,\]}}#\n]*+", re.DOTALL)
_STRUCTURE = re.compile(rf"(?:{_STRING})|#[^\n]*+|[\[{{]|[\]}}]", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A place in a text. Both numbers are counted from 1, the column in characters."""

    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.line}:{self.column}"


def position_at(text: str, offset: int) -> Position:
    """The line and column of the character at this offset."""
    return Position(line=text.count("\n", 0, offset) + 1, column=offset - text.rfind("\n", 0, offset))


def toml_position(text: str, path: KeyPath) -> Position:
    """The position in a TOML text of the key or item at this path, or of the nearest thing around it."""
    return _found(text, path, _Search.toml)


def json_position(text: str, path: KeyPath) -> Position:
    """The position in a JSON text of the key or item at this path, or of the nearest thing around it."""
    return _found(text, path, _Search.json)


def deep_position(text: str) -> Position:
    """The position in a TOML or JSON text at which brackets first nest deeper than in any lock file; else its end."""
    depth = 0
    for token in _STRUCTURE.finditer(text):
        depth += (token[0] in "[{") - (token[0] in "]}")
        if depth > _DEEP:
            return position_at(text, token.start())
    return position_at(text, len(text))


def _found(text: str, path: KeyPath, look: Callable[["_Search"], None]) -> Position:
    search = _Search(text, path)
    look(search)
    return position_at(text, search.offset)


class _Search:
    """One search through a text. ``offset`` is that of the first thing that has the longest part of the path."""

    def __init__(self, text: str, path: KeyPath) -> None:
        self.offset = 0
        self._text = text
        self._path = path
        self._found = 0
        self._array_lengths: dict[KeyPath, int] = {}

    def json(self) -> None:
        self._value(_after(_BLANK, self._text, 0), 0)

    def toml(self) -> None:
        """Read statement after statement: headers, and pairs that belong to the last header."""
        depth: int | None = 0
        at = _after(_BLANK, self._text, 0)
        while at < len(self._text) and self._found < len(self._path):
            if self._text[at] == "[":
                at, depth = self._header(at)
            else:
                at = self._pair(at, depth)
            at = _after(_BLANK, self._text, at)

    def _header(self, start: int) -> tuple[int, int | None]:
        """The end of a header, and how many parts of the path it has; None if not all of it is on the path."""
        is_array = self._text.startswith("[[", start)
        keys, at = self._keys(start + 1 + is_array)
        header = self._numbered(keys, is_array=is_array)
        shared = self._shared(header, 0)
        self._note(shared, start)
        return max(at, start + 1) + 1 + is_array, shared if shared == len(header) else None

    def _numbered(self, keys: KeyPath, *, is_array: bool) -> KeyPath:
        """The path that a header means: an array of tables stands for its last table, or begins a new one."""
        path: KeyPath = ()
        for place, key in enumerate(keys, start=1):
            path = (*path, key)
            if is_array and place == len(keys):
                self._array_lengths[path] = self._array_lengths.get(path, 0) + 1
            if length := self._array_lengths.get(path, 0):
                path = (*path, length - 1)
        return path

    def _pair(self, start: int, depth: int | None) -> int:
        """Read ``key = value`` and return its end.

        The table has ``depth`` parts of the path, or None if it is not on it.
        """
        keys, at = self._keys(start)
        at = _after(_SEPARATOR, self._text, max(at, start + 1))
        if depth is None:
            return self._skipped(at)
        shared = self._shared(keys, depth)
        self._note(depth + shared, start)
        return self._value(at, depth + shared) if keys and shared == len(keys) else self._skipped(at)

    def _value(self, at: int, depth: int) -> int:
        """Read a value that has ``depth`` parts of the path, and return its end. It is read no deeper than the path."""
        opening = self._text[at : at + 1]
        if depth == len(self._path) or opening not in ("[", "{"):
            return self._skipped(at)
        return self._items(at + 1, depth) if opening == "[" else self._pairs(at + 1, depth)

    def _items(self, at: int, depth: int) -> int:
        number = 0
        while (at := _after(_BLANK, self._text, at)) < len(self._text) and self._text[at] not in "]}":
            if number == self._path[depth]:
                self._note(depth + 1, at)
                at = self._value(at, depth + 1)
            else:
                at = self._skipped(at)
            number += 1
        return at + 1

    def _pairs(self, at: int, depth: int) -> int:
        while (at := _after(_BLANK, self._text, at)) < len(self._text) and self._text[at] not in "]}":
            at = self._pair(at, depth)
        return at + 1

    def _skipped(self, at: int) -> int:
        """The end of a value that is not read."""
        if self._text[at : at + 1] not in ("[", "{"):
            return max(_after(_SCALAR, self._text, at), at + 1)
        depth = 0
        for token in _STRUCTURE.finditer(self._text, at):
            depth += (token[0] in "[{") - (token[0] in "]}")
            if depth == 0 and token[0] in "]}":
                return token.end()
        return len(self._text)

    def _keys(self, at: int) -> tuple[KeyPath, int]:
        """A key, which may be dotted, and the offset at which it ends. Empty if there is no key."""
        keys: list[str] = []
        at = _after(_BLANK, self._text, at)
        while match := _KEY.match(self._text, at):
            keys.append(_unquoted(match[1]))
            at = match.end()
            if not match[2]:
                break
        return tuple(keys), at

    def _shared(self, keys: KeyPath, depth: int) -> int:
        """How many of these keys are the next ones of the path, after the ``depth`` parts that are found."""
        rest = self._path[depth : depth + len(keys)]
        return next((n for n, pair in enumerate(zip(keys, rest, strict=False)) if pair[0] != pair[1]), len(rest))

    def _note(self, found: int, offset: int) -> None:
        if found > self._found:
            self._found, self.offset = found, offset


def _after(pattern: re.Pattern[str], text: str, at: int) -> int:
    """The end of what the pattern matches here, which may be nothing."""
    match = pattern.match(text, at)
    return match.end() if match else at


def _unquoted(key: str) -> str:
    if key[0] not in "\"'":
        return key
    if "\\" not in key or key[0] == "'":
        return key[1:-1]
    for decode in (json.loads, _toml_string):
        try:
            return str(decode(key))
        except ValueError:
            continue
    return key[1:-1]


def _toml_string(literal: str) -> str:
    return str(tomllib.loads(f"x = {literal}")["x"])
