"""What lock files select, remembered: to find it out means to parse the whole file.

Of a ``uv.lock`` that has changed, packages that have not are remembered too.

The same lock file in another worktree selects the same, apart from where the local projects are.
"""

import asyncio
import hashlib
import os
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from storectl_daemon.jobs.options import Job, Options, moved_options
from storectl_store.selection.lock_file import LockFile
from storectl_store.selection.pin import Selection
from storectl_store.selection.requires_python import requires_python_of
from storectl_store.selection.select import select
from storectl_store.selection.target import Interpreter
from storectl_store.selection.uv.groups import AskedGroups

if TYPE_CHECKING:
    from storectl_store.selection.uv.known_packages import KnownPackages

Kept = TypeVar("Kept")

_KEPT = 16  # of 300 pins each, 3 MB

_Question = tuple[str, Options, str]
"""A digest over all that the selection depends on, options, and the identity of the interpreter."""


class Selections:
    """Selects, and remembers what was selected last. ``requires_python`` may block."""

    def __init__(self) -> None:
        self._known: OrderedDict[_Question, Selection] = OrderedDict()
        self._anywhere: OrderedDict[_Question, _Placed] = OrderedDict()
        self._required: dict[tuple[str, AskedGroups], str | None] = {}
        self._packages: KnownPackages | None = None

    async def select(self, job: Job, lock_file: LockFile, interpreter: Interpreter) -> Selection:
        """What the lock file selects for the job. Raises a ProblemError if that cannot be told."""
        question = _contents(lock_file), job.options, interpreter.identity
        known = self._known.get(question)
        if known is None:
            known = await asyncio.to_thread(self._selected, job, lock_file, interpreter)
            _keep(self._known, question, known)
        return known

    def _selected(self, job: Job, lock_file: LockFile, interpreter: Interpreter) -> Selection:
        options = moved_options(job.options, lock_file.project, Path())
        question = _contents_anywhere(lock_file), options, interpreter.identity
        known = self._anywhere.get(question)
        found = known.at(lock_file.project) if known else None
        if found is None:
            found = select(lock_file, job.options.target(interpreter), self._known_packages(lock_file))
            _keep(self._anywhere, question, _Placed(project=lock_file.project, selection=found))
        return found

    def _known_packages(self, lock_file: LockFile) -> "KnownPackages | None":
        if self._packages is None and lock_file.kind == "uv":
            # A daemon that only starts loads nothing that reads lock files.
            from storectl_store.selection.uv.known_packages import KnownPackages  # noqa: PLC0415

            self._packages = KnownPackages()
        return self._packages

    def requires_python(self, lock_file: LockFile, options: Options) -> str | None:
        """What the lock file and its groups require."""
        asked = AskedGroups.by(options.encode())
        question = _contents(lock_file), asked
        if question not in self._required:
            if len(self._required) >= _KEPT:
                self._required.clear()
            self._required[question] = requires_python_of(lock_file, asked)
        return self._required[question]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Placed:
    """A selection, and the folder of the lock file that it is from."""

    project: Path
    selection: Selection

    def at(self, project: Path) -> Selection | None:
        """The selection of the same lock file in another folder.

        None if it depends on the folder by more than local projects inside: wheels in it, or a warning that names it.
        """
        places = [Path(local.path) for local in self.selection.local_projects]
        rest = replace(self.selection, local_projects=())
        said = repr(rest)
        if "file:" in said or str(self.project) in said or not all(map(self._is_inside, places)):
            return None
        moved = [str(project / place.relative_to(self.project)) for place in places]
        pairs = zip(self.selection.local_projects, moved, strict=True)
        return replace(rest, local_projects=tuple(replace(local, path=path) for local, path in pairs))

    def _is_inside(self, place: Path) -> bool:
        return place.is_relative_to(self.project)


def _keep(known: OrderedDict[_Question, Kept], question: _Question, found: Kept) -> None:
    known[question] = found
    if len(known) > _KEPT:
        known.popitem(last=False)


def _contents(lock_file: LockFile) -> str:
    """A digest over the lock file, with its path, and over the pyproject.toml beside it."""
    parts = f"{lock_file.path}\0{lock_file.digest}\0".encode("utf-8", "surrogateescape")
    return hashlib.sha256(parts + (lock_file.pyproject or b"")).hexdigest()


def _contents_anywhere(lock_file: LockFile) -> str:
    """A digest over all that decides what the lock file means, with paths relative to its folder."""
    hasher = hashlib.sha256()
    for part in _parts(lock_file):
        data = part if isinstance(part, bytes) else os.fsencode(part)
        hasher.update(b"%d\0" % len(data) + data)
    return hasher.hexdigest()


def _parts(lock_file: LockFile) -> Iterator[bytes | str]:
    def relative(path: str | Path) -> str:
        inside = Path(path).is_relative_to(lock_file.project)
        return str(Path(path).relative_to(lock_file.project) if inside else path)

    yield from (lock_file.kind, relative(lock_file.path), lock_file.content)
    for content in (lock_file.pyproject, lock_file.pipfile):
        yield from ("-",) if content is None else ("+", content)
    for path, content in sorted(lock_file.included.items()):
        yield from (relative(path), content)
    yield from ("settings", *map(relative, lock_file.settings))
    for name, value in sorted(lock_file.variables.items()):
        yield from (name, value)
