"""Write the record of a project: what tells the launcher, with shell builtins only, that nothing has changed.

The format and its reader are in ``storectl_shim.project_record``. The order of writing is what makes it safe: the
file ``environment`` goes first and comes back last, so whoever finds it finds the stamps that belong to it.

Beside them ``sums`` says what was written, for ``verify``: a line ``<sha256 hex> <mtime ns> <name>`` for each file.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from storectl_shim.project_record import INPUTS, RECORD_FORMAT, SETTLED_NS
from storectl_store.entries.durability import disk_errors
from storectl_store.entries.layout import StoreLayout
from storectl_store.entries.whole_files import replace_file
from storectl_store.errors import EnvironmentBuildError

DEFAULT_KEY = "default"
_SUMS = "sums"
_RECORD = "@storectl"


@dataclass(frozen=True, slots=True, kw_only=True)
class InputState:
    """One input as it was when the environment was made from it: sha256 as hex digits, time in ns, size in bytes."""

    sha256: str
    mtime_ns: int
    size: int


def write_record(
    layout: StoreLayout,
    project: Path,
    *,
    key: str,
    environment: Path,
    lock_file: Path,
    inputs: Mapping[Path, InputState | None],
    now_ns: int,
    notices: Sequence[str] = (),
) -> bool:
    """Record that the options of this key have this environment. False: too young for the launcher's fast path.

    ``notices`` are told at every run. The launcher cannot tell them, so with notices there is nothing for it.

    ``inputs`` maps absolute paths to their states, None for one that does not exist. While an input is younger than
    two seconds a second change in the same tick of the file system could not be told from the first, so neither
    stamps nor ``environment`` are written then; ``ready.<key>`` always is.
    """
    settled = all(state is None or state.mtime_ns < now_ns - SETTLED_NS for state in inputs.values())
    lines = _ready_lines(environment, lock_file, inputs, now_ns, notices)
    folder = layout.project_record(project)
    with disk_errors(f"record the environment of {project}"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _SUMS).unlink(missing_ok=True)
        if key == DEFAULT_KEY:
            _forget_fast_path(folder)
        replace_file(folder / f"ready.{key}", lines)
        if key == DEFAULT_KEY and settled and not notices:
            _write_stamps(folder, project, inputs)
            replace_file(folder / "environment", os.fsencode(environment) + b"\n")
        replace_file(folder / _SUMS, _sums(folder))
    return settled


def record_folders(layout: StoreLayout) -> Iterator[Path]:
    """The record of every project that has one."""
    for parent, names, _ in os.walk(layout.projects):
        if _RECORD in names:
            names.remove(_RECORD)
            yield Path(parent, _RECORD)


def project_of(layout: StoreLayout, folder: Path) -> Path:
    """The project whose record is in this folder."""
    return Path("/") / folder.parent.relative_to(layout.projects)


def record_problem(folder: Path) -> str | None:
    """What is wrong with the record in this folder; None if all is as it was written. May raise OSError."""
    try:
        written = (folder / _SUMS).read_bytes()
    except FileNotFoundError:
        return "it does not say what was written"
    return None if written == _sums(folder) else "its files are not as they were written"


def _sums(folder: Path) -> bytes:
    names = sorted(name for name in os.listdir(folder) if name != _SUMS and not name.startswith("."))
    return b"".join(_sum(folder / name) for name in names)


def _sum(file: Path) -> bytes:
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return os.fsencode(f"{digest} {file.stat().st_mtime_ns} {file.name}\n")


def forget_record(layout: StoreLayout, project: Path) -> None:
    """Delete the record of a project, and the folders that only led to it; nothing there is fine."""
    folder = layout.project_record(project)
    with disk_errors(f"forget the record of {project}"):
        if folder.is_dir():
            _forget_fast_path(folder)
            for path in folder.iterdir():
                path.unlink(missing_ok=True)
        _remove_empty(folder, layout.projects)


def _ready_lines(
    environment: Path,
    lock_file: Path,
    inputs: Mapping[Path, InputState | None],
    now_ns: int,
    notices: Sequence[str],
) -> bytes:
    for path in (environment, lock_file, *inputs):
        if not path.is_absolute() or "\n" in str(path) or "\r" in str(path):
            raise EnvironmentBuildError(
                f"{str(path)!r} cannot stand in a project's record",
                hint="paths there are absolute and hold no newline; rename the folder",
                path=str(path),
            )
    lines = [RECORD_FORMAT, f"environment {environment}", f"lock {lock_file}", f"written {now_ns}"]
    lines += [f"notice {' '.join(notice.split())}" for notice in notices]
    lines += [
        f"input {state.sha256} {state.mtime_ns} {state.size} {path}" if state else f"absent {path}"
        for path, state in sorted(inputs.items())
    ]
    return os.fsencode("\n".join([*lines, ""]))


def _forget_fast_path(folder: Path) -> None:
    (folder / "environment").unlink(missing_ok=True)
    for stamp in folder.glob("stamp.*"):
        stamp.unlink(missing_ok=True)


def _write_stamps(folder: Path, project: Path, inputs: Mapping[Path, InputState | None]) -> None:
    """An empty file for each input of the project's folder, as old as the input was when it was read."""
    for path, state in inputs.items():
        if state is not None and path.parent == project and path.name in INPUTS:
            replace_file(folder / f"stamp.{path.name}", b"", mtime_ns=state.mtime_ns)


def _remove_empty(folder: Path, last: Path) -> None:
    """Remove this folder and those above it, as long as they are empty and below ``last``."""
    with suppress(OSError):
        while folder != last:
            folder.rmdir()
            folder = folder.parent
