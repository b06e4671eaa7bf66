r"""`storectl run --env-file`: variables for the program from files, read as uv reads them (the crate dotenvy).

    export NAME=value   # a comment
    NAME='as it is'
    NAME="with \n, ${OTHER} and more lines"

Variables that are set already stay as they are. Of several files that set one variable the last counts.
"""

from __future__ import annotations

import re
import sys

from storectl.errors import EnvFileError, printable

TYPE_CHECKING = False  # typing and collections.abc take longer to import than all of `run`
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_NOTHING = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\n|\Z)")
_LINE = re.compile(r"""((?:[ \t]\#[^\n]*|\\.|"(?:\\.|[^"\\])*"|'[^']*'|[^\n"'\\])*)(?:\n|\Z)""", re.DOTALL)
_KEY = re.compile(r"[ \t]*(?:export[ \t]+(?!=))?([A-Za-z_][\w.]*)[ \t]*=[ \t]*", re.ASCII)
# What follows $NAME stands for itself, even a quote: so dotenvy has it.
_SHARED = r"\\(?P<escaped>[\\'\"$ n])|\$\{(?P<block>[^}]*)\}|\$(?!\{)(?P<name>[A-Za-z0-9]*)(?P<after>[^A-Za-z0-9$]?)"
_BARE = re.compile(rf"'(?P<raw>[^']*)'|{_SHARED}|(?P<plain>[^\s'\"\\$]+)")
_QUOTED = re.compile(rf"{_SHARED}|(?P<plain>[^\"\\$]+)")


def with_env_files(paths: Sequence[str], environ: Mapping[str, str]) -> dict[str, str]:
    """The variables, and those of the files; EnvFileError if a file cannot be read.

    If a line cannot be understood, the lines before it count and a warning names it, as for uv.
    """
    variables = dict(environ)
    for path in reversed(paths):
        variables = _read(path, variables) | variables
    return variables


def _read(path: str, known: Mapping[str, str]) -> dict[str, str]:
    text, position = _text(path), 0
    found: dict[str, str] = {}
    while position < len(text):
        if nothing := _NOTHING.match(text, position):
            position = nothing.end()
            continue
        line = _LINE.match(text, position)
        key = _KEY.match(line[1]) if line else None
        value = _value(line[1], key.end(), {**found, **known}) if line and key else None
        if line is None or key is None or value is None:
            number = text.count("\n", 0, position) + 1
            sys.stderr.write(
                f"storectl: warning: {printable(path)}, line {number} is no NAME=value: it and the rest do not count\n"
            )
            break
        found.setdefault(key[1], value)
        position = line.end()
    return found


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError as error:
        raise EnvFileError(
            f"no variables can be read from {path}: {error.strerror}",
            hint="--env-file and UV_ENV_FILE take the path of a file with lines NAME=value",
            path=path,
        ) from None


def _value(line: str, position: int, known: Mapping[str, str]) -> str | None:
    """The value that begins here in the line; None if it is malformed."""
    value, quoted = "", False
    if line.startswith("#", position):
        return value
    while position < len(line) and (quoted or not line[position].isspace()):
        if line[position] == '"':
            quoted = not quoted
            position += 1
            continue
        piece = (_QUOTED if quoted else _BARE).match(line, position)
        if piece is None:
            return None
        value += _meant(piece.groupdict(default=""), known)
        position = piece.end()
    return None if quoted or not _NOTHING.match(line, position) else value


def _meant(piece: Mapping[str, str], known: Mapping[str, str]) -> str:
    variable = known.get(piece["block"] or piece["name"], "")
    escaped = "\n" if piece["escaped"] == "n" else piece["escaped"]
    return piece.get("raw", "") + escaped + variable + piece["after"] + piece["plain"]
