"""Reading a lock file: the file itself, and every other file and variable that decides what it means.

Where the files are read from is the caller's to say (``Read``, ``Matching``): from disk, or as they were at another
time.
"""

import hashlib
import os
import shlex
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from storectl_store.errors import LockFileError, NoLockFileError
from storectl_store.selection.lock_file import LockFile, LockKind, is_script_lock, kind_of
from storectl_store.selection.requirements.entries import references
from storectl_store.selection.requirements.lines import used_variables, variables_in
from storectl_store.selection.settings_files import SETTING_VARIABLES, settings_files
from storectl_store.selection.tables.snapshot import MAX_BYTES, content_at
from storectl_store.selection.uv.workspace import Matching, matching_on_disk, other_projects

Read = Callable[[Path], bytes | None]
"""The content of the file at this path; None if there is none. Raises LockFileError if it cannot be read."""

_MAX_INCLUDED = 200


def remembering(found: dict[Path, bytes], read: Read = content_at) -> Read:
    """A ``Read`` that puts all that it finds into ``found``."""

    def remember(path: Path) -> bytes | None:
        content = read(path)
        if content is not None:
            found[path] = content
        return content

    return remember


def read_lock_file(
    path: Path,
    further: Iterable[Path] = (),
    *,
    variables: Mapping[str, str] | None = None,
    read: Read = content_at,
    matching: Matching = matching_on_disk,
) -> LockFile:
    """Read the lock file at this path, with everything that decides what it means.

    ``further`` are requirements files that count together with it, as if it included them at its end.

    ``variables`` are the variables that ``${NAME}`` in a requirements file may name. Raises NoLockFileError if there is
    no such file. Raises LockFileError if its name is not that of a lock file, or if it is no regular file, too large,
    or keeps changing.
    """
    absolute = Path(os.path.abspath(path))
    kind = kind_of(absolute)
    if kind is None:
        raise LockFileError(
            f"{absolute}: not the name of a lock file",
            hint="known are uv.lock, SCRIPT.lock, pylock.toml, pylock.NAME.toml, poetry.lock, pdm.lock, Pipfile.lock, "
            "*requirements*.txt, and any .txt in a folder `requirements`",
            path=str(absolute),
        )
    content = read(absolute)
    if content is None:
        raise NoLockFileError(f"{absolute}: no such file", path=str(absolute))
    content += _including(absolute, kind, further)
    included: dict[str, bytes | None] = {}
    used: dict[str, str] = {}
    if kind == "requirements":
        included, used = _read_included(absolute, content, variables or {}, read)
    elif kind == "pipfile":
        used = used_variables(content.decode(errors="replace"), variables or {})
    pyproject = None if is_script_lock(absolute) else read(absolute.parent / "pyproject.toml")
    if kind == "uv" and pyproject is not None:
        included = _read_projects(absolute.parent / "pyproject.toml", pyproject, read, matching)
    settings = _read_settings(kind, absolute.parent, variables or {}, read)
    included.update((str(file), data) for file, data in settings.items())
    used.update(
        (name, value) for name in SETTING_VARIABLES.get(kind, ()) if (value := (variables or {}).get(name)) is not None
    )
    found = {path: data for path, data in included.items() if data is not None}
    return LockFile(
        kind=kind,
        path=absolute,
        content=content,
        digest=_digest(content, found, used),
        project=absolute.parent,
        pyproject=pyproject,
        pipfile=read(absolute.parent / "Pipfile") if kind == "pipfile" else None,
        included=MappingProxyType(found),
        settings=tuple(path for path, data in settings.items() if data is not None),
        variables=MappingProxyType(used),
        absent=frozenset(included.keys() - found.keys()),
    )


def _including(path: Path, kind: LockKind, further: Iterable[Path]) -> bytes:
    """Lines that include these requirements files. LockFileError if one of the files is of another kind."""
    files = [*further]
    if any(kind_of(each) != "requirements" for each in files) or (files and kind != "requirements"):
        raise LockFileError(
            f"{path} is given together with {', '.join(map(str, files))}",
            hint="only requirements files count together: name one lock file",
            path=str(path),
        )
    return b"".join(b"\n-r " + os.fsencode(shlex.quote(str(each))) for each in files)


def _digest(content: bytes, included: Mapping[str, bytes], used: Mapping[str, str]) -> str:
    hasher = hashlib.sha256(content)
    for name, data in sorted(included.items()):
        hasher.update(f"\0{name}\0{len(data)}\0".encode(errors="surrogateescape"))
        hasher.update(data)
    for name, value in sorted(used.items()):
        hasher.update(f"\0{name}={value}".encode(errors="surrogateescape"))
    return hasher.hexdigest()


def _read_included(
    path: Path, content: bytes, variables: Mapping[str, str], read: Read
) -> tuple[dict[str, bytes | None], dict[str, str]]:
    """All files that a requirements file refers to, directly or not, and the variables that any of them uses.

    A missing file is None: only the selection knows whether it is needed, and names the line that needs it.
    """
    included: dict[str, bytes | None] = {}
    used: dict[str, str] = {}
    waiting = [(str(path), content)]
    while waiting:
        name, data = waiting.pop()
        used.update(variables_in(name, data, variables))
        for reference in references(name, data, variables, project=str(path.parent)):
            if reference.path in included or reference.path == str(path):
                continue
            found = included[reference.path] = read(Path(reference.path))
            _check_included(path, included)
            if found is not None and reference.is_requirements:
                waiting.append((reference.path, found))
    return included, used


def _read_projects(path: Path, content: bytes, read: Read, matching: Matching) -> dict[str, bytes | None]:
    """The ``pyproject.toml`` files that this one names, directly or not; None for one that is missing.

    One that exists and cannot be read is left out.
    """
    included: dict[str, bytes | None] = {}
    waiting = [(str(path), content)]
    while waiting and len(included) < _MAX_INCLUDED:
        for name in other_projects(*waiting.pop(), matching):
            if name == str(path) or name in included:
                continue
            try:
                found = read(Path(name))
            except LockFileError:
                continue
            included[name] = found
            if found is not None:
                waiting.append((name, found))
    return included


def _read_settings(kind: LockKind, project: Path, variables: Mapping[str, str], read: Read) -> dict[Path, bytes | None]:
    """The settings files of a tool, the nearest first: path -> content, None for those that do not exist."""
    return {path: read(path) for path in settings_files(kind, project, variables)}


def _check_included(path: Path, included: Mapping[str, bytes | None]) -> None:
    if len(included) > _MAX_INCLUDED or sum(len(data or b"") for data in included.values()) > MAX_BYTES:
        raise LockFileError(
            f"{path}: includes more than {_MAX_INCLUDED} files or {MAX_BYTES} bytes",
            path=str(path),
        )
