"""The inputs of a project: the files that an environment is made from, as they were at one moment."""

import hashlib
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

from storectl_shim.project_record import INPUTS, doubt_about, find_project
from storectl_shim.requirements_files import NAME, contents_of
from storectl_shim.trust import check_inputs
from storectl_store.errors import NoLockFileError
from storectl_store.projects.input_state import InputKind, InputState, read_states
from storectl_store.projects.ownership import owner_errors
from storectl_store.selection.tables.snapshot import read_snapshot

Signature = tuple[tuple[int, int, int, int] | None, ...]
"""mtime (ns), ctime (ns), size and inode of each input, None for one that is absent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """A project folder and its lock file, both absolute; the folder is free of symlinks."""

    project: Path
    lock_file: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What was read. ``read_at_ns`` is a time of the system clock before the first byte was read.

    ``extra`` are the inputs that only some projects have, each with what of it counts.
    """

    located: Located
    files: Mapping[Path, InputState | None] = field(default_factory=dict)
    extra: Mapping[Path, InputKind] = field(default_factory=dict)
    read_at_ns: int = 0

    @property
    def digest(self) -> str:
        """One hex digest over names and contents, for comparing; times do not matter."""
        parts = [
            f"{path}\0{state.sha256 or state.kind if state else '-'}" for path, state in sorted(self.files.items())
        ]
        return hashlib.sha256(
            "\0".join([str(self.located.lock_file), *parts]).encode("utf-8", "surrogateescape")
        ).hexdigest()

    def same_contents(self, later: "Inputs") -> bool:
        """Whether every input that both know is the same in both."""
        return self.located == later.located and same_states(self.files, later.files)


def same_states(earlier: Mapping[Path, InputState | None], later: Mapping[Path, InputState | None]) -> bool:
    """Whether every input that both have is the same in both; times do not matter."""
    return all(_contents(state) == _contents(later[path]) for path, state in earlier.items() if path in later)


def _contents(state: InputState | None) -> tuple[str, str] | None:
    return (state.kind, state.sha256) if state else None


def locate(start: Path, lock_file: str | None, *, home: str | None, environ: Mapping[str, str]) -> Located:
    """The project at or above ``start``, or the folder of the lock file if one is named.

    Raises NoLockFileError if there is none. Raises ProjectOwnerError if another user owns the project and no list
    trusts that user. ``environ`` leads to the user's own list.
    """
    with owner_errors():
        return _locate(start, lock_file, home, environ)


def _locate(start: Path, lock_file: str | None, home: str | None, environ: Mapping[str, str]) -> Located:
    if lock_file is not None:
        path = Path(lock_file)
        if not path.is_file():
            raise NoLockFileError(
                f"there is no lock file {path}", hint="Check what you gave as --lock.", path=lock_file
            )
        project = os.path.realpath(path.parent)
        check_inputs(project, INPUTS, lock_file, environ)
        return Located(project=Path(project), lock_file=path)
    found = find_project(os.path.realpath(start), home, environ)
    if found is None:
        raise NoLockFileError(
            f"there is no lock file at or above {start}",
            hint="Make one with `uv lock`, or with `pip-compile --generate-hashes`.",
            path=str(start),
        )
    return Located(project=Path(found[0]), lock_file=Path(found[1]))


def doubts(located: Located, named: str | None) -> tuple[str, ...]:
    """Warnings about the choice between several lock files; empty if one was ``named``."""
    found = None if named else doubt_about(str(located.project), located.lock_file.name)
    return (found,) if found else ()


def input_paths(located: Located, extra: Iterable[Path] = ()) -> tuple[Path, ...]:
    """Every path whose change can lead to another environment. ``extra`` are this project's, beyond the usual ones."""
    return tuple(dict.fromkeys([*_usual_inputs(located.project), located.lock_file, *extra]))


def asked_for(located: Located) -> tuple[Path, ...]:
    """What a remembered lock file was made from: a requirements file and all that this is made of.

    Empty for every other lock file.
    """
    if located.lock_file.parent == located.project:
        return ()
    return tuple(map(Path, contents_of(str(located.project / NAME))))


@lru_cache(maxsize=1024)
def _usual_inputs(project: Path) -> tuple[Path, ...]:
    """The inputs that any project may have. They are cached: hundreds of projects are looked at again and again."""
    return tuple(project / name for name in INPUTS)


def signature_of(paths: Iterable[Path]) -> Signature:
    """The signature of these files. If two signatures are equal, nothing has to be read again."""
    return tuple(map(_signature, paths))


def _signature(path: Path) -> tuple[int, int, int, int] | None:
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino


def read_inputs(located: Located, extra: Mapping[Path, InputKind] = MappingProxyType({})) -> Inputs:
    """Read and hash all inputs.

    Raises LockFileError for an input that is no regular file, is too large, or changes at every read.
    """
    now = time.time_ns()
    usual = input_paths(located)
    files = {path: read_input(path) for path in usual}
    more = {path: kind for path, kind in extra.items() if path not in files}
    files |= read_states(more)
    return Inputs(located=located, files=files, extra=more, read_at_ns=now)


def read_input(path: Path) -> InputState | None:
    """The state of one file, None for one that is absent."""
    found = read_snapshot(path)
    if found is None:
        return None
    sha256 = hashlib.sha256(found.content).hexdigest()
    return InputState(sha256=sha256, mtime_ns=found.mtime_ns, size=len(found.content))
