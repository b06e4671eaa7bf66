"""The files of a commit, as they would be in the checkout, read from git's objects and never from the checkout.

Only regular files count. A symbolic link, a submodule and whatever is below one are no files here: what a link leads to
is in the checkout, and a stranger has chosen it. Paths outside of the checkout have no files, except the settings of
the user that the caller names.

Every answer is remembered with its question. If a later commit answers all of them alike, the same is made of it.
"""

import fnmatch
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from storectl_daemon.prefetching.git_calls import GitError, Objects
from storectl_store.errors import LockFileError
from storectl_store.selection.tables.snapshot import content_at

LARGEST_FILE = 8 << 20
_LARGEST_FOLDER = 4 << 20
_MOST_BYTES = 32 << 20
_MOST_FOLDERS = 5000
_MOST_MATCHES = 1000
_MOST_STEPS = 20_000
_NO_NAMES = frozenset({b"", b".", b".."})
"""What git would never check out, but may have stored if a stranger made it."""

_FOLDER, _FILES = "40000", frozenset({"100644", "100755"})


class Found(NamedTuple):
    """What a folder of a commit has under one name: its mode, as git writes it, and its object name."""

    mode: str
    name: str

    @property
    def is_folder(self) -> bool:
        """Whether this is a folder."""
        return self.mode == _FOLDER

    @property
    def is_file(self) -> bool:
        """Whether this is a regular file."""
        return self.mode in _FILES


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One thing that was asked of a commit: the file at a path, or the paths that match a pattern below it."""

    path: str
    pattern: str | None = None


Answers = Mapping[Question, object]
"""What a commit has answered. Two commits with equal answers are the same to whoever asked."""


class CommitFiles:
    """The files of the commit with this folder, below the absolute path ``top`` of the checkout. For one thread.

    ``outside`` are the files of this machine that may be read as well. Methods raise GitError if git does not give an
    object, or gives too much.
    """

    def __init__(self, objects: Objects, folder: str, top: Path, *, outside: frozenset[Path] = frozenset()) -> None:
        self._objects = objects
        self._folder = folder
        self._top = os.fspath(top)
        self._outside = outside
        self._folders: dict[str, dict[str, Found]] = {}
        self._bytes = self._steps = 0
        self.answers: dict[Question, object] = {}

    def read(self, path: Path) -> bytes | None:
        """The content of the file at this path; None if there is none.

        Raises LockFileError if something else is there: such a commit is left alone.
        """
        if path in self._outside:
            return content_at(path)
        found = self._asked(path)
        if found is None or found.is_folder:
            return None
        if not found.is_file:
            raise LockFileError(f"{path}: not a regular file", path=str(path))
        content = self._objects.read(found.name, "blob", most=LARGEST_FILE)
        self._count(len(content))
        return content

    def matching(self, folder: str, pattern: str) -> Iterator[str]:
        """The paths in the folder that match the pattern, as ``glob`` has them; none outside of the checkout."""
        question = Question(path=folder, pattern=pattern)
        if question not in self.answers:
            parts = [part for part in pattern.split("/") if part not in ("", ".")]
            inside = not pattern.startswith("/") and ".." not in parts
            start = self._at(folder) if inside and parts else None
            found = self._matches(start.name, parts) if start and start.is_folder else iter(())
            self.answers[question] = tuple(sorted({path.rstrip("/") for path in _first(found, _MOST_MATCHES)}))
        answer = self.answers[question]
        assert isinstance(answer, tuple)
        return iter(answer)

    def is_folder(self, path: Path) -> bool:
        """Whether there is a folder at this path. The answer is not remembered."""
        found = self._at(os.fspath(path))
        return found is not None and found.is_folder

    def first(self, folder: Path, pattern: str) -> str | None:
        """A path in this folder that matches the pattern; None if there is none. The answer is not remembered."""
        start = self._at(os.fspath(folder))
        found = self._matches(start.name, pattern.split("/")) if start and start.is_folder else iter(())
        return next(found, None)

    def answers_as(self, known: Answers) -> bool:
        """Whether this commit answers these questions alike. It may raise GitError."""
        return all(self._answer(question) == answer for question, answer in known.items())

    def _answer(self, question: Question) -> object:
        if question.pattern is None:
            return self._asked(Path(question.path))
        return tuple(self.matching(question.path, question.pattern))

    def _asked(self, path: Path) -> Found | None:
        found = self._at(os.fspath(path))
        self.answers[Question(path=os.fspath(path))] = found
        return found

    def _at(self, path: str) -> Found | None:
        """What is at this absolute path; None if there is nothing, or if a part of the way is no folder."""
        relative = os.path.relpath(os.path.normpath(path), self._top)
        if relative == "..":
            return None
        found = Found(_FOLDER, self._folder)
        for part in [] if relative == "." else relative.split("/"):
            below = self._entries(found.name).get(part) if found.is_folder else None
            if below is None:  # also for "..", which is the name of nothing
                return None
            found = below
        return found

    def _matches(self, folder: str, parts: list[str]) -> Iterator[str]:
        """The paths below this folder; "" stands for the folder itself, which only ``**`` matches."""
        self._steps += 1
        if self._steps > _MOST_STEPS:
            raise GitError(f"a commit takes more than {_MOST_STEPS} steps to look for patterns")
        first, rest = parts[0], parts[1:]
        if first == "**":
            yield from self._matches(folder, rest) if rest else [""]
        for name, found in self._entries(folder).items():
            if not _matches_part(name, "*" if first == "**" else first):
                continue
            if found.is_folder and (first == "**" or rest):
                below = self._matches(found.name, parts if first == "**" else rest)
                yield from (f"{name}/{path}" for path in below)
            elif not rest:
                yield name

    def _entries(self, folder: str) -> dict[str, Found]:
        if folder not in self._folders:
            if len(self._folders) >= _MOST_FOLDERS:
                raise GitError(f"a commit has more than {_MOST_FOLDERS} folders to look into")
            content = self._objects.read(folder, "tree", most=_LARGEST_FOLDER)
            self._count(len(content))
            self._folders[folder] = entries_of(content, len(folder) // 2)
        return self._folders[folder]

    def _count(self, size: int) -> None:
        self._bytes += size
        if self._bytes > _MOST_BYTES:
            raise GitError(f"a commit takes more than {_MOST_BYTES} bytes to read")


def entries_of(content: bytes, size: int) -> dict[str, Found]:
    """The names in a folder, in git's own format: mode, space, name, a zero byte, and ``size`` bytes of object name.

    Raises GitError if it is something else.
    """
    entries = {}
    place = 0
    while place < len(content):
        end = content.find(b"\0", place)
        mode, _, name = content[place:end].partition(b" ")
        object_name = content[end + 1 : end + 1 + size]
        if end < 0 or name in _NO_NAMES or b"/" in name or len(object_name) != size:
            raise GitError("a folder of a commit cannot be read")
        entries[os.fsdecode(name)] = Found(mode.decode("ascii", "replace"), object_name.hex())
        place = end + 1 + size
    return entries


def _matches_part(name: str, pattern: str) -> bool:
    if name.startswith(".") and not pattern.startswith("."):
        return False
    return fnmatch.fnmatchcase(name, pattern)


def _first(found: Iterator[str], most: int) -> Iterator[str]:
    for number, path in enumerate(found):
        if number >= most:
            raise GitError(f"a pattern matches more than {most} paths of a commit")
        yield path
