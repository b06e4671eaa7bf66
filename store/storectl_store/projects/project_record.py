"""Write the record of a project, which tells the launcher, with shell builtins only, that nothing has changed.

The format and its reader are in ``storectl_shim.project_record``. The order of writing is what makes it safe: the file
``environment`` of a set of options is deleted first and written last, so a launcher that finds it finds the stamps that
belong to it.

Beside them ``sums`` says what was written, for ``verify``: a line ``<sha256 hex> <mtime ns> <name>`` for each file. The
history of the project is in this folder, too; it has a format and a check of its own (``history``).
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType

from storectl_shim.project_record import (
    FAST,
    FAST_ENVIRONMENT,
    HELD_BACK,
    NOTICE,
    RECORD_FORMAT,
    ROLLED_BACK,
    SETTLED_NS,
    TELL,
    TOLD,
)
from storectl_store.disk.durability import disk_errors
from storectl_store.disk.whole_files import replace_file
from storectl_store.entries.layout import StoreLayout
from storectl_store.errors import EnvironmentBuildError
from storectl_store.projects.history import HISTORY, SNAPSHOTS
from storectl_store.projects.input_state import InputKind, InputState
from storectl_store.projects.launcher_checks import Checks, launcher_checks
from storectl_store.projects.prefetched import PREFETCHED

DEFAULT_KEY = "default"
_SUMS = "sums"
RECORD_NAME = "@storectl"
"""The folder of the record, in the folder of the store that stands for the one of the project."""
_OTHERS = frozenset({HISTORY, SNAPSHOTS, PREFETCHED})
"""What else is in the folder, and not a part of the record."""


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
    rolled_back: bool = False,
    variables: Mapping[str, str] = MappingProxyType({}),
    tell: str | None = None,
) -> bool:
    """Record that the options of this key have this environment.

    Returns false if inputs are too young for the fast path.

    ``inputs`` maps absolute paths to their states, None for one that does not exist. ``variables`` are digests by name.
    ``now_ns`` is the current time in ns.

    While an input is younger than two seconds, a second change in the same tick of the file system could not be told
    from the first. Then ``fast.<key>`` is not written; ``ready.<key>`` always is.

    ``notices`` are told at every run. The launcher cannot tell them, so with notices it gets no fast path. If the
    environment is ``rolled_back``, they say so. What is in ``tell`` is told at the next run with the default options
    only: their fast path is held back until then. What the record had to tell of the same environment still is told.
    """
    settled = all(state is None or state.mtime_ns < now_ns - SETTLED_NS for state in inputs.values())
    told = _notices(notices, ROLLED_BACK if rolled_back else NOTICE)
    lines = _ready_lines([*_head(environment, lock_file, now_ns), *told], inputs, variables)
    folder = layout.project_record(project)
    checks = launcher_checks(environment, project, inputs, variables)
    with disk_errors(f"record the environment of {project}"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _SUMS).unlink(missing_ok=True)
        tell = (tell or _untold(folder, environment)) if key == DEFAULT_KEY else None
        _forget_fast_path(folder, key)
        replace_file(folder / f"ready.{key}", lines)
        if tell is not None:
            replace_file(folder / TELL, os.fsencode(f"{environment}\n{tell}\n"))
        if settled and not notices and checks is not None:
            _write_fast_path(folder / f"{FAST}{key}", checks, FAST_ENVIRONMENT if tell is None else HELD_BACK)
        replace_file(folder / _SUMS, _sums(folder))
    return settled


def recorded_inputs(layout: StoreLayout, project: Path, key: str) -> dict[Path, InputKind]:
    """The inputs in the record of these options, each with what of it counts; empty if there is no such record."""
    try:
        lines = os.fsdecode((layout.project_record(project) / f"ready.{key}").read_bytes()).split("\n")
    except OSError:
        return {}
    fields: Mapping[str, tuple[int, InputKind]] = {
        "input": (4, "file"),
        "names": (3, "names"),
        "place": (1, "place"),
        "program": (3, "program"),
        "absent": (1, "file"),
    }
    found: dict[Path, InputKind] = {}
    for line in lines[1:] if lines[0] == RECORD_FORMAT else []:
        word, _, rest = line.partition(" ")
        if word in fields and rest.count(" ") >= fields[word][0] - 1:
            count, kind = fields[word]
            found[Path(rest.split(" ", count - 1)[-1])] = kind
    return found


def record_folders(layout: StoreLayout, *, onerror: Callable[[OSError], None] | None = None) -> Iterator[Path]:
    """The folder of the record of every project that has one.

    ``onerror`` is called with the error of each folder that cannot be read; without it such a folder is passed by.
    """
    for parent, names, _ in os.walk(layout.projects, onerror=onerror):
        if RECORD_NAME in names:
            names.remove(RECORD_NAME)
            yield Path(parent, RECORD_NAME)


def project_of(layout: StoreLayout, folder: Path) -> Path:
    """The absolute folder of the project whose record is in this folder."""
    return Path("/") / folder.parent.relative_to(layout.projects)


def record_problem(folder: Path) -> str | None:
    """What is wrong with the record in this folder; None if all is as it was written. May raise OSError."""
    try:
        written = (folder / _SUMS).read_bytes()
    except FileNotFoundError:
        return "it does not say what was written"
    return None if written == _sums(folder) else "its files are not as they were written"


def record_parts(folder: Path) -> list[Path]:
    """The files and folders in a record folder that are the record, not the history. May raise OSError.

    What the launcher reads comes first, so that whoever takes them away one by one begins with it.
    """
    names = sorted(name for name in os.listdir(folder) if name not in _OTHERS and not name.startswith("."))
    return [folder / name for name in names]


def _sums(folder: Path) -> bytes:
    files: dict[str, Path] = {}
    for part in record_parts(folder):
        if part.name.startswith(FAST):
            files |= {f"{part.name}/{name}": part / name for name in os.listdir(part) if not name.startswith(".")}
            if (part / HELD_BACK).exists():  # the next run gives it its name, and nothing else changes
                files[f"{part.name}/{FAST_ENVIRONMENT}"] = part / HELD_BACK
        elif part.name != _SUMS:
            files[part.name] = part
    return b"".join(_sum(files[name], name) for name in sorted(files))


def _sum(file: Path, name: str) -> bytes:
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return os.fsencode(f"{digest} {file.stat().st_mtime_ns} {name}\n")


def forget_record(layout: StoreLayout, project: Path) -> None:
    """Delete the record of a project with its history, and the folders that only led to it.

    It is no error if there is none.
    """
    folder = layout.project_record(project)
    with disk_errors(f"forget the record of {project}"):
        if folder.is_dir():
            for fast in folder.glob(f"{FAST}*"):
                _forget_fast_path(folder, fast.name.removeprefix(FAST))
            shutil.rmtree(folder)
        remove_empty(folder.parent, layout.projects)


def forget_ready(layout: StoreLayout, project: Path, keys: Collection[str]) -> None:
    """Delete what the record says of these sets of options: their next run takes the slow path."""
    folder = layout.project_record(project)
    with disk_errors(f"forget what is recorded of {project}"):
        if folder.is_dir():
            (folder / _SUMS).unlink(missing_ok=True)
            for key in keys:
                _forget_fast_path(folder, key)
                (folder / f"ready.{key}").unlink(missing_ok=True)
            replace_file(folder / _SUMS, _sums(folder))


def _head(environment: Path, lock_file: Path, now_ns: int) -> list[str]:
    for path in (environment, lock_file):
        if not path.is_absolute() or not _fits_a_line(path):
            raise EnvironmentBuildError(
                f"{str(path)!r} cannot stand in a project's record",
                hint="paths there are absolute and hold no newline; rename the folder",
                path=str(path),
            )
    return [RECORD_FORMAT, f"environment {environment}", f"lock {lock_file}", f"written {now_ns}"]


def _notices(notices: Sequence[str], word: str) -> list[str]:
    return [f"{word}{' '.join(notice.split())}" for notice in notices]


def _fits_a_line(path: Path) -> bool:
    return "\n" not in str(path) and "\r" not in str(path)


def _ready_lines(head: Sequence[str], inputs: Mapping[Path, InputState | None], variables: Mapping[str, str]) -> bytes:
    lines = [_input_line(path, state) for path, state in sorted(inputs.items())]
    lines += [f"variable {name} {digest}" for name, digest in sorted(variables.items())]
    return os.fsencode("\n".join([*head, *lines, ""]))


def _input_line(path: Path, state: InputState | None) -> str:
    if not _fits_a_line(path):
        return "unknown"  # a line that no reader takes for unchanged
    if state is None:
        return f"absent {path}"
    match state.kind:
        case "file":
            return f"input {state.sha256} {state.mtime_ns} {state.size} {path}"
        case "names":
            return f"names {state.sha256} {state.mtime_ns} {path}"
        case "place":
            return f"place {path}"
        case "program":
            return f"program {state.mtime_ns} {state.size} {path}"


def _forget_fast_path(folder: Path, key: str) -> None:
    fast = folder / f"{FAST}{key}"
    # First what is held back: a run may give it its name at any moment.
    for file in (fast / HELD_BACK, fast / FAST_ENVIRONMENT):
        file.unlink(missing_ok=True)
    if fast.is_dir():
        shutil.rmtree(fast)
    if key == DEFAULT_KEY:
        # Beside these, what older versions wrote for their launcher, which knew the default options alone.
        for name in (TELL, TOLD, HELD_BACK, FAST_ENVIRONMENT, "further"):
            (folder / name).unlink(missing_ok=True)
        for stamp in folder.glob("stamp.*"):
            stamp.unlink(missing_ok=True)


def _untold(folder: Path, environment: Path) -> str | None:
    """What no run has told yet of this environment."""
    with suppress(FileNotFoundError):
        about, _, line = os.fsdecode((folder / TELL).read_bytes()).partition("\n")
        return line.strip() if about == str(environment) else None
    return None


def _write_fast_path(fast: Path, checks: Checks, name: str) -> None:
    """Write an empty file for each input that has a time, with that time, and then the commands under this name."""
    fast.mkdir()
    for stamp, mtime_ns in checks.stamps.items():
        replace_file(fast / f"stamp.{stamp}", b"", mtime_ns=mtime_ns)
    replace_file(fast / name, checks.commands)


def remove_empty(folder: Path, last: Path) -> None:
    """Remove this folder and those above it, as long as they are empty and below ``last``. Nothing is an error."""
    with suppress(OSError):
        while folder != last:
            folder.rmdir()
            folder = folder.parent
