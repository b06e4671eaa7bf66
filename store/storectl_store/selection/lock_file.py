"""Lock files as bytes: everything that a selection reads, taken from disk once.

A `LockFile` holds the file, the ``pyproject.toml`` beside it, and for requirements files everything they include, so that
selecting from it is a pure function. The kinds and their names:

    uv             uv.lock, and SCRIPT.lock of a script: NAME.py.lock, or any other name that is no other tool's
    pylock         pylock.toml, pylock.NAME.toml (PEP 751)
    poetry         poetry.lock
    pdm            pdm.lock
    pipfile        Pipfile.lock
    requirements   *requirements*.txt, and any .txt in a folder requirements
"""

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from storectl_store.errors import LockFileError, NoLockFileError
from storectl_store.selection.requirements_entries import references
from storectl_store.selection.requirements_lines import used_variables, variables_in
from storectl_store.selection.settings_files import SETTING_VARIABLES, settings_files
from storectl_store.selection.snapshot import MAX_BYTES, read_snapshot
from storectl_store.selection.uv_workspace import other_projects

LockKind = Literal["uv", "pylock", "poetry", "pdm", "pipfile", "requirements"]

_MAX_INCLUDED = 200
_NAMES: tuple[tuple[re.Pattern[str], LockKind], ...] = (
    (re.compile(r"uv\.lock|.+\.py\.lock"), "uv"),  # the scripts first: one may be called as another tool's file
    (re.compile(r"pylock\.toml|pylock\.[^.]+\.toml"), "pylock"),
    (re.compile(r"poetry\.lock"), "poetry"),
    (re.compile(r"pdm\.lock|pdm\.[^.]+\.lock"), "pdm"),
    (re.compile(r"Pipfile\.lock"), "pipfile"),
    (re.compile(r".*requirements.*\.txt"), "requirements"),
    (re.compile(r"[^.].*\.lock"), "uv"),
)
_FOREIGN = frozenset(
    f"{name}.lock"
    for name in ("Cargo", "Gemfile", "Podfile", "bun", "composer", "deno", "flake", "mix", "package", "pixi", "yarn")
)
"""Lock files of tools that lock something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LockFile:
    """One lock file and all that decides what it means, apart from the target.

    ``path`` is absolute; ``project`` is the folder it stands in. ``digest`` is the sha256 hex over ``content``, and over
    the included files and variables where there are any. ``pyproject`` is the ``pyproject.toml`` beside it, None where
    there is none or the lock file is a script's; ``pipfile`` the ``Pipfile`` beside a ``Pipfile.lock``. ``included`` maps
    absolute paths to the files that a requirements file refers to (``-r``, ``-c``, and the ``pyproject.toml`` of local
    projects), or that a ``uv.lock`` is of (those of workspace members and path dependencies), and the settings files of
    its tool, which ``settings`` lists, the nearest first; ``variables`` are the values of the ``${NAME}`` that it uses, and
    of the variables in which its tool takes settings. ``absent`` are the paths of files that it refers to and that are
    not there.
    """

    kind: LockKind
    path: Path
    content: bytes
    digest: str
    project: Path
    pyproject: bytes | None = None
    pipfile: bytes | None = None
    included: Mapping[str, bytes] = field(default_factory=lambda: MappingProxyType({}))
    settings: tuple[Path, ...] = ()
    variables: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    absent: frozenset[str] = frozenset()


def kind_of(path: Path) -> LockKind | None:
    """The kind of lock file that this name says it is; None for other files."""
    if path.name in _FOREIGN:
        return None
    if path.suffix == ".txt" and path.parent.name == "requirements":
        return "requirements"
    return next((kind for pattern, kind in _NAMES if pattern.fullmatch(path.name)), None)


def is_script_lock(path: Path) -> bool:
    """Whether this is the lock file of one script, which no ``pyproject.toml`` concerns."""
    return kind_of(path) == "uv" and path.name != "uv.lock"


def read_lock_file(path: Path, *, variables: Mapping[str, str] | None = None) -> LockFile:
    """The lock file at this path.

    ``variables`` are what ``${NAME}`` in a requirements file may name. NoLockFileError where there is no such file;
    LockFileError where its name is not that of a lock file, it is no regular file, too large, or keeps changing.
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
    content = _read(absolute)
    if content is None:
        raise NoLockFileError(f"{absolute}: no such file", path=str(absolute))
    included: dict[str, bytes | None] = {}
    used: dict[str, str] = {}
    if kind == "requirements":
        included, used = _read_included(absolute, content, variables or {})
    elif kind == "pipfile":
        used = used_variables(content.decode(errors="replace"), variables or {})
    pyproject = None if is_script_lock(absolute) else _read(absolute.parent / "pyproject.toml")
    if kind == "uv" and pyproject is not None:
        included = _read_projects(absolute.parent / "pyproject.toml", pyproject)
    settings = _read_settings(kind, absolute.parent, variables or {})
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
        pipfile=_read(absolute.parent / "Pipfile") if kind == "pipfile" else None,
        included=MappingProxyType(found),
        settings=tuple(path for path, data in settings.items() if data is not None),
        variables=MappingProxyType(used),
        absent=frozenset(included.keys() - found.keys()),
    )


def _digest(content: bytes, included: Mapping[str, bytes], used: Mapping[str, str]) -> str:
    hasher = hashlib.sha256(content)
    for name, data in sorted(included.items()):
        hasher.update(f"\0{name}\0{len(data)}\0".encode(errors="surrogateescape"))
        hasher.update(data)
    for name, value in sorted(used.items()):
        hasher.update(f"\0{name}={value}".encode(errors="surrogateescape"))
    return hasher.hexdigest()


def _read_included(
    path: Path, content: bytes, variables: Mapping[str, str]
) -> tuple[dict[str, bytes | None], dict[str, str]]:
    """All that a requirements file refers to, directly or not, and the variables that any of it uses.

    What is missing is None: only the selection knows whether it is needed, and names the line that needs it.
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
            found = included[reference.path] = _read(Path(reference.path))
            _check_included(path, included)
            if found is not None and reference.is_requirements:
                waiting.append((reference.path, found))
    return included, used


def _read_projects(path: Path, content: bytes) -> dict[str, bytes | None]:
    """The ``pyproject.toml`` files that this one names, directly or not; None for one that is missing.

    What is there and cannot be read is left out.
    """
    included: dict[str, bytes | None] = {}
    waiting = [(str(path), content)]
    while waiting and len(included) < _MAX_INCLUDED:
        for name in other_projects(*waiting.pop()):
            if name == str(path) or name in included:
                continue
            try:
                found = _read(Path(name))
            except LockFileError:
                continue
            included[name] = found
            if found is not None:
                waiting.append((name, found))
    return included


def _read_settings(kind: LockKind, project: Path, variables: Mapping[str, str]) -> dict[Path, bytes | None]:
    """The settings files of a tool, the nearest first; None for those that do not exist."""
    return {path: _read(path) for path in settings_files(kind, project, variables)}


def _check_included(path: Path, included: Mapping[str, bytes | None]) -> None:
    if len(included) > _MAX_INCLUDED or sum(len(data or b"") for data in included.values()) > MAX_BYTES:
        raise LockFileError(
            f"{path}: includes more than {_MAX_INCLUDED} files or {MAX_BYTES} bytes",
            path=str(path),
        )


def _read(path: Path) -> bytes | None:
    """The content of a regular file, as it was at one moment; None where there is none."""
    found = read_snapshot(path)
    return None if found is None else found.content
