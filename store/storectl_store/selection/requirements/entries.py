"""One line of a requirements file: a requirement or an editable project, its options, and the files it refers to."""

import os
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from storectl_store.selection.addresses import is_url, path_of_file_url
from storectl_store.selection.requirements.lines import Line, logical_lines

_SHORT = {
    "-i": "--index-url",
    "-f": "--find-links",
    "-r": "--requirement",
    "-c": "--constraint",
    "-e": "--editable",
    "-C": "--config-settings",
    "--config-setting": "--config-settings",
}
_VALUED = frozenset(
    {
        "--index-url", "--extra-index-url", "--find-links", "--trusted-host", "--requirement", "--constraint",
        "--only-binary", "--no-binary", "--hash", "--config-settings", "--global-option", "--use-feature",
        "--all-releases", "--only-final",
    }
)  # fmt: skip
_FLAGS = frozenset({"--no-index", "--prefer-binary", "--require-hashes", "--no-require-hashes", "--pre"})
_EDITABLE = re.compile(r"(?:-e\s*|--editable(?:\s+|=))(?P<rest>.+)")
_DIRECT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(\s*\[[^\]]*\])?\s*@")
_MARKER = re.compile(r"(?<=\s);|;(?=\s)")
_QUOTING = re.compile(r"[\\'\"]")
_FRAGMENT = re.compile(r"#(?=[a-z0-9]+=)")
_EXTRAS = re.compile(r"\[[^\[\]]*\]$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A line taken apart. ``requirement`` is empty if there are options only; option names are the long ones."""

    line: Line
    requirement: str
    editable: bool
    options: tuple[tuple[str, str], ...]

    def values(self, option: str) -> tuple[str, ...]:
        """The values of this option, in order."""
        return tuple(value for name, value in self.options if name == option)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A file that a requirements file refers to, by absolute path.

    ``is_requirements`` is false for the metadata of a local project.
    """

    path: str
    is_requirements: bool


def parse_line(line: Line) -> Entry:
    """The line taken apart. Raises LockFileError if it has an unknown option, or quotes that do not end."""
    editable = _EDITABLE.fullmatch(line.text)
    words = (editable["rest"] if editable else line.text).split(" ")
    at = next((number for number, word in enumerate(words) if word.startswith("-")), len(words))
    return Entry(
        line=line,
        requirement=" ".join(words[:at]).strip(),
        editable=editable is not None,
        options=tuple(_options(line, " ".join(words[at:]))),
    )


def local_path(text: str) -> tuple[str, str | None] | None:
    """Path and marker of a requirement that is a path; None if it is a name, a URL or a direct reference."""
    path, marker = split_marker(text)
    path = _EXTRAS.sub("", path)
    if path.startswith("file:"):
        url, fragment = split_fragment(path)
        return path_of_file_url(url) + (f"#{fragment}" if fragment else ""), marker
    if _DIRECT.match(path) or is_url(path):
        return None
    is_path = path.startswith(".") or "/" in path or path.endswith(".whl")  # a bare project name is none of these
    return (path, marker) if is_path else None


def editable_path(entry: Entry) -> tuple[str, str | None] | None:
    """Path and marker behind ``-e``; a bare word is a folder too. None for URLs."""
    path, marker = split_marker(entry.requirement)
    return None if is_url(path) else (_EXTRAS.sub("", path), marker)


def split_marker(text: str) -> tuple[str, str | None]:
    """A URL or path, and the marker after it."""
    body, *rest = _MARKER.split(text, maxsplit=1)
    return body.strip(), rest[0].strip() if rest else None


def split_fragment(address: str) -> tuple[str, str]:
    """A URL or path, and what follows it as ``#key=value``; any other ``#`` may be part of a file name."""
    address, *fragment = _FRAGMENT.split(address, maxsplit=1)
    return address, fragment[0] if fragment else ""


def references(file: str, content: bytes, variables: Mapping[str, str], *, project: str) -> Iterator[Reference]:
    """The files that this requirements file refers to.

    Included files are relative to it, projects relative to ``project``.
    """
    for line in logical_lines(file, content, variables):
        entry = parse_line(line)
        for included in (*entry.values("--requirement"), *entry.values("--constraint")):
            if not is_url(included):
                yield Reference(path=included_path(file, included), is_requirements=True)
        local = local_path(entry.requirement) or (editable_path(entry) if entry.editable else None)
        if local is not None and not local[0].endswith(".whl"):
            yield Reference(path=metadata_path(project, local[0]), is_requirements=False)


def included_path(file: str, text: str) -> str:
    """The absolute path that ``-r`` or ``-c`` means in this file."""
    return os.path.normpath(os.path.join(os.path.dirname(file), text))


def metadata_path(project: str, text: str) -> str:
    """The ``pyproject.toml`` of the local project at this path, relative to the folder ``project``."""
    return os.path.normpath(os.path.join(project, text, "pyproject.toml"))


def _options(line: Line, text: str) -> Iterator[tuple[str, str]]:
    try:
        # Nearly all options are plain hashes, for which shlex is slow.
        words = iter(shlex.split(text) if _QUOTING.search(text) else text.split())
    except ValueError as error:
        raise line.error(f"quotes that do not end: {text[:80]!r}") from error
    for word in words:
        name, separator, value = _name_and_value(word)
        if name in _FLAGS and not separator:
            yield name, ""
        elif name in _VALUED:
            given = value if separator else next(words, None)
            if given is None:
                raise line.error(f"`{name}` needs a value")
            yield name, given
        else:
            raise line.error(f"option {word[:80]!r} is not known here")


def _name_and_value(word: str) -> tuple[str, str, str]:
    """Split ``--name=value``, ``--name`` or ``-nvalue``; the middle is empty if the value is the next word."""
    if word.startswith("--"):
        name, separator, value = word.partition("=")
        return _SHORT.get(name, name), separator, value
    return _SHORT.get(word[:2], word), word[2:], word[2:]
