"""TOML read with types: what is not as expected becomes one LockFileError that names the file, the place and the key."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from packaging.utils import InvalidName, NormalizedName, canonicalize_name
from packaging.version import InvalidVersion, Version

from storectl_store.errors import LockFileError

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table of a TOML file. ``file`` is its path; ``place`` says which table, such as ```numpy` ``."""

    values: Mapping[str, object]
    file: str
    place: str = ""

    def at(self, place: str) -> "Table":
        """The same table under a better name."""
        return replace(self, place=place)

    def error(self, what: str, *, hint: str | None = None, **facts: Any) -> LockFileError:
        """The error that says this of the table."""
        place = f"{self.place}: " if self.place else ""
        return LockFileError(f"{self.file}: {place}{what}", hint=hint, path=self.file, **facts)

    def optional_text(self, key: str) -> str | None:
        """The string, None where there is none."""
        value = self.values.get(key)
        if value is None or isinstance(value, str):
            return value
        raise self._wrong_type(key, "a string")

    def text(self, key: str) -> str:
        """The string, which must be there."""
        return self._required(key, self.optional_text(key))

    def optional_integer(self, key: str) -> int | None:
        """The integer, None where there is none."""
        value = self.values.get(key)
        if value is None or (isinstance(value, int) and not isinstance(value, bool)):
            return value
        raise self._wrong_type(key, "an integer")

    def integer(self, key: str) -> int:
        """The integer, which must be there."""
        return self._required(key, self.optional_integer(key))

    def optional_boolean(self, key: str) -> bool | None:
        """The boolean, None where there is none."""
        value = self.values.get(key)
        if value is None or isinstance(value, bool):
            return value
        raise self._wrong_type(key, "true or false")

    def array(self, key: str) -> list[object]:
        """The array, empty where there is none."""
        value = self.values.get(key, [])
        if isinstance(value, list):
            return value
        raise self._wrong_type(key, "an array")

    def texts(self, key: str) -> tuple[str, ...]:
        """The array of strings, empty where there is none."""
        items = self.array(key)
        if texts := [item for item in items if isinstance(item, str)]:
            if len(texts) == len(items):
                return tuple(texts)
        elif not items:
            return ()
        raise self._wrong_type(key, "an array of strings")

    def optional_table(self, key: str) -> "Table | None":
        """The table, None where there is none."""
        value = self.values.get(key)
        if value is None:
            return None
        if isinstance(value, dict):
            return replace(self, values=value, place=f"{self.place}: `{key}`" if self.place else f"`{key}`")
        raise self._wrong_type(key, "a table")

    def table(self, key: str) -> "Table":
        """The table, empty where there is none."""
        return self.optional_table(key) or replace(self, values={}, place=f"`{key}`")

    def tables(self, key: str) -> tuple["Table", ...]:
        """The array of tables, empty where there is none."""
        tables = []
        for item in self.array(key):
            if not isinstance(item, dict):
                raise self._wrong_type(key, "an array of tables")
            tables.append(replace(self, values=item))
        return tuple(tables)

    def name(self, key: str) -> NormalizedName:
        """A project, extra or group name, normalised."""
        return self.as_name(key, self.text(key))

    def names(self, key: str) -> tuple[NormalizedName, ...]:
        """The array of names, normalised, empty where there is none."""
        return tuple(self.as_name(key, text) for text in self.texts(key))

    def as_name(self, key: str, text: str) -> NormalizedName:
        """This text as a normalised name, or the error that `key` holds none."""
        try:
            return canonicalize_name(text, validate=True)
        except InvalidName as error:
            raise self.error(f"`{key}`: {text[:80]!r} is not a valid name") from error

    def optional_version(self, key: str) -> str | None:
        """A version in its normal form."""
        text = self.optional_text(key)
        if text is None:
            return None
        try:
            return str(Version(text))
        except InvalidVersion as error:
            raise self.error(f"`{key}`: {text[:80]!r} is not a valid version") from error

    def _required(self, key: str, value: _T | None) -> _T:
        if value is None:
            raise self.error(f"`{key}` is missing")
        return value

    def _wrong_type(self, key: str, expected: str) -> LockFileError:
        return self.error(f"`{key}` must be {expected}")


def parse_toml(content: bytes, file: str) -> Table:
    """The top table of a TOML file; LockFileError ``file:line: what`` where it is none."""
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise LockFileError(f"{file}:{line}: not valid UTF-8", path=file, line=line) from error
    try:
        return Table(values=tomllib.loads(text), file=file)
    except tomllib.TOMLDecodeError as error:
        raise _syntax_error(str(error), text, file) from error
    except (ValueError, RecursionError) as error:
        # Numbers of thousands of digits and values nested thousands deep: no lock file has them.
        raise LockFileError(f"{file}: not a lock file: {error}", path=file) from error


def _syntax_error(message: str, text: str, file: str) -> LockFileError:
    """The decoder's error; it ends in ``(at line 3, column 7)`` or ``(at end of document)``."""
    what, _, position = message.rpartition(" (at ")
    digits = position.removeprefix("line ").partition(",")[0]
    line = int(digits) if digits.isdecimal() else text.count("\n") + 1
    return LockFileError(
        f"{file}:{line}: {what or message}",
        hint="the file is damaged, or has merge conflicts in it: make it anew with the tool that wrote it",
        path=file,
        line=line,
    )
