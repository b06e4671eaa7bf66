"""``[tool.uv] cache-keys`` of a local project: what decides the result of a build, beyond the project's own files.

    cache-keys = ["VERSION", { file = "src/**/*.c" }, { dir = "src" }, { env = "CFLAGS" }, { git = { tags = true } }]

In a pattern ``*`` matches slashes too, as in uv: ``*.c`` is every C file at any depth.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

from storectl_store.errors import EnvironmentBuildError
from storectl_store.projects.pyproject import table_at

_MAGIC = re.compile(r"[*?\[{]")
_ALTERNATIVES = re.compile(r"\{([^{}]*)\}")
_MOST_ALTERNATIVES = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheKeys:
    """The parsed keys. ``files`` are paths or patterns and ``folders`` are paths, both relative to the project.

    ``variables`` are names of variables of the process environment. ``commit`` and ``tags`` are those of the git
    checkout.
    """

    files: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    commit: bool = False
    tags: bool = False


def cache_keys(document: dict[str, Any], file: str) -> CacheKeys:
    """The cache keys in a parsed ``pyproject.toml``; none if it has none.

    Raises EnvironmentBuildError if one is malformed. ``file`` is the path to name in it.
    """
    value = table_at(document, "tool", "uv").get("cache-keys", [])
    if not isinstance(value, list):
        _refuse(value, file)
    keys = [_key(item, file) for item in value]
    git = [table for kind, table in keys if kind == "git"]
    return CacheKeys(
        files=tuple(text for kind, text in keys if kind == "file"),
        folders=tuple(text for kind, text in keys if kind == "dir"),
        variables=tuple(text for kind, text in keys if kind == "env"),
        commit=any(table is True or (table is not False and table.get("commit") is True) for table in git),
        tags=any(isinstance(table, dict) and table.get("tags") is True for table in git),
    )


def _key(item: Any, file: str) -> tuple[str, Any]:
    """The kind of a cache key and its value. Raises EnvironmentBuildError if it is malformed."""
    if isinstance(item, str):
        item = {"file": item}
    if not isinstance(item, dict) or len(item) != 1:
        _refuse(item, file)
    ((kind, value),) = item.items()
    is_text = isinstance(value, str) and value != "" and "\0" not in value
    if not (kind in ("file", "dir", "env") and is_text) and not (kind == "git" and _is_git(value)):
        _refuse(item, file)
    return kind, value


def _is_git(value: Any) -> bool:
    return isinstance(value, bool) or (
        isinstance(value, dict)
        and value.keys() <= {"commit", "tags"}
        and all(isinstance(wanted, bool) for wanted in value.values())
    )


def _refuse(value: Any, file: str) -> NoReturn:
    raise EnvironmentBuildError(
        f"{file}: `tool.uv.cache-keys`: {str(value)[:80]!r} is no cache key",
        hint='keys are "FILE", { file = … }, { dir = … }, { env = … } and { git = { commit = true, tags = true } }',
        path=file,
    )


def is_pattern(path: str) -> bool:
    """Whether a ``file`` key stands for all files that match it."""
    return _MAGIC.search(path) is not None


def base_of(pattern: str) -> tuple[str, str]:
    """The folder in which to look for a pattern (``.`` for the project's own), and the rest of the pattern."""
    parts = pattern.split("/")
    fixed = next(place for place, part in enumerate(parts) if _MAGIC.search(part))
    return "/".join(parts[:fixed]) or ("/" if fixed else "."), "/".join(parts[fixed:])


def pattern_regex(pattern: str) -> re.Pattern[str]:
    """A regular expression for the paths of files below the pattern's base. ``*`` matches slashes too.

    Raises EnvironmentBuildError if the pattern has no meaning.
    """
    try:
        return re.compile("|".join(_regex(plain) for plain in _plain_patterns(pattern)), re.DOTALL)
    except re.error as error:
        raise EnvironmentBuildError(
            f"{pattern[:80]!r} is no pattern of files: {error}", hint="write it anew"
        ) from error


def _plain_patterns(pattern: str) -> list[str]:
    """The pattern with each ``{a,b}`` written out. Raises EnvironmentBuildError if it stands for too many patterns."""
    waiting, plain = [pattern], list[str]()
    while waiting and len(waiting) + len(plain) <= _MOST_ALTERNATIVES:
        text = waiting.pop()
        found = _ALTERNATIVES.search(text)
        if found is None:
            plain.append(text)
        else:
            waiting += [text[: found.start()] + choice + text[found.end() :] for choice in found[1].split(",")]
    if waiting:
        raise EnvironmentBuildError(
            f"{pattern[:80]!r} stands for more than {_MOST_ALTERNATIVES} patterns", hint="write a simpler one"
        )
    return plain


def _regex(pattern: str) -> str:
    return "".join(_pieces(pattern))


def _pieces(pattern: str) -> Iterator[str]:
    for piece in re.findall(r"\*\*/|\*+|\?|\[[!^]?\]?[^\]]*\]|.", pattern, re.DOTALL):
        if piece.startswith("*"):
            yield "(?:.*/)?" if piece.endswith("/") else ".*"
        elif piece.startswith("["):
            yield _character_class(piece[1:-1]) if len(piece) > 1 else re.escape(piece)
        else:
            yield "." if piece.startswith("?") else re.escape(piece)


def _character_class(inside: str) -> str:
    negated = inside[:1] in ("!", "^")
    characters = inside[1:] if negated else inside
    escaped = characters.replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]").replace("^", "\\^")
    return f"[{'^' if negated else ''}{escaped}]"
