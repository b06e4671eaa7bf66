"""The interpreters that a node daemon runs: those that the policy lists, and that no user could have put there."""

import os
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from storectl_store.errors import TargetError
from storectl_store.interpreters.book import InterpreterBook
from storectl_store.selection.target import Interpreter

_PYTHON = re.compile(r"python3\.\d+t?")
_PLACES = ("", "bin", "*/bin")
"""Where interpreters are in a folder of the policy."""

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
"""In a sticky folder that has these, such as /tmp, nobody can replace what is root's."""


class ListedInterpreters:
    """The interpreters below ``folders``. Its methods may block."""

    def __init__(self, folders: Sequence[Path], book: InterpreterBook) -> None:
        self._folders = folders
        self._book = book

    def inspect(self, path: str) -> Interpreter:
        """The interpreter at this path, which is that of a base interpreter. Raises TargetError if it may not be run.

        Nothing below a folder that another account could write is looked at.
        """
        self._check(path)
        interpreter = self._book.inspect(path)
        if interpreter.executable != path:
            raise TargetError(f"{path} is not a base interpreter", hint=f"that is {interpreter.executable}", path=path)
        return interpreter

    def with_tag(self, cache_tag: str) -> Interpreter:
        """The first listed interpreter with this cache tag. Raises TargetError if there is none."""
        for path in self._found():
            try:
                interpreter = self.inspect(path)
            except TargetError:
                continue
            if interpreter.cache_tag == cache_tag:
                return interpreter
        raise TargetError(
            f"no listed interpreter has the cache tag {cache_tag}", hint="your own daemon compiles for it"
        )

    def _found(self) -> Iterator[str]:
        for folder in self._folders:
            for place in _PLACES:
                for path in sorted(folder.glob(f"{place}/python3*" if place else "python3*")):
                    if _PYTHON.fullmatch(path.name):
                        yield os.path.realpath(path)

    def _check(self, path: str) -> None:
        """Raise TargetError unless the path is listed, and only root or this account could have made any part of it."""
        if os.path.normpath(path) != path or not any(Path(path).is_relative_to(folder) for folder in self._folders):
            raise _refused(path, "is not listed in the policy")
        for part in (*reversed(Path(path).parents), Path(path)):
            try:
                found = os.lstat(part)
            except OSError as error:
                raise _refused(path, f"cannot be seen: {os.strerror(error.errno or 0)}") from error
            if stat.S_ISLNK(found.st_mode):
                raise _refused(path, f"is reached by a link: {part}")
            others_write = found.st_mode & _OTHERS_WRITE and not found.st_mode & stat.S_ISVTX
            if found.st_uid not in (0, os.geteuid()) or others_write:
                raise _refused(path, f"could have been put there by another account: {part}")
        if not stat.S_ISREG(found.st_mode):
            raise _refused(path, "is no program")


def _refused(path: str, why: str) -> TargetError:
    return TargetError(f"the interpreter {path} {why}", hint="your own daemon makes the environment", path=path)
