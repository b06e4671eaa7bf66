"""The state of inputs at one moment: a file's contents, the names in a folder, or only that something is there.

Of an interpreter, time and size count: its megabytes are not read.
"""

import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from storectl_shim.project_record import names_digest
from storectl_store.entries.layout import StoreLayout
from storectl_store.errors import LockFileError

InputKind = Literal["file", "names", "place", "program"]
"""What of an input counts: contents; the names in the folder; whether something is there at all; time and size."""

_ATTEMPTS = 5
_STRENGTH: Mapping[InputKind, int] = {"place": 0, "program": 1, "file": 2, "names": 3}


@dataclass(frozen=True, slots=True, kw_only=True)
class InputState:
    """One input as it was when the environment was made from it: sha256 as hex digits, time in ns, size in bytes.

    The sha256 is over the contents of a file; over the names in a folder, whose size is 0; or over time and size of a
    program. A place has no more than its kind.
    """

    sha256: str = ""
    mtime_ns: int = 0
    size: int = 0
    kind: InputKind = "file"


PLACE = InputState(kind="place")


def stronger(one: InputKind, other: InputKind | None) -> InputKind:
    """The kind that sees every change which either of these kinds sees."""
    return one if other is None or _STRENGTH[one] >= _STRENGTH[other] else other


def read_state(path: Path, kind: InputKind = "file") -> InputState | None:
    """The state of one input; None if nothing is there. Raises LockFileError for a file that keeps changing.

    A folder that is asked for as a file counts by its names, as in uv. If something cannot be read, only its presence
    counts.
    """
    for _ in range(_ATTEMPTS):
        try:
            found = _read_once(path, kind)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError):
            return PLACE if os.path.lexists(path) else None
        if found is not None:
            return found
    raise LockFileError(f"{path}: keeps changing while it is read", hint="try again when it is written", path=str(path))


def layer_inputs(root: Path) -> dict[Path, InputKind]:
    """What a project depends on in a store below its own, with this root: that it is there, and what was taken away."""
    layout = StoreLayout(root)
    return {layout.generation: "file", layout.version_file: "place"}


def read_states(kinds: Mapping[Path, InputKind]) -> dict[Path, InputState | None]:
    """The states of these inputs, read now."""
    return {path: read_state(path, kind) for path, kind in kinds.items()}


def _read_once(path: Path, kind: InputKind) -> InputState | None:
    """The state; None if the input changed meanwhile."""
    before = os.stat(path)
    is_folder = stat.S_ISDIR(before.st_mode)
    if kind == "place" or not (is_folder or stat.S_ISREG(before.st_mode)):
        return PLACE
    if kind == "program":
        said = f"{before.st_mtime_ns} {before.st_size}".encode()
        digest = hashlib.sha256(said).hexdigest()
        return InputState(sha256=digest, mtime_ns=before.st_mtime_ns, size=before.st_size, kind=kind)
    if is_folder:
        state = InputState(sha256=names_digest(os.fspath(path)), mtime_ns=before.st_mtime_ns, kind="names")
    else:
        state = InputState(sha256=_file_digest(path), mtime_ns=before.st_mtime_ns, size=before.st_size)
    return state if _identity(before) == _identity(os.stat(path)) else None


def _file_digest(path: Path) -> str:
    """The sha256 of the file's content, in hex.

    It is opened without blocking, so that a FIFO in its place cannot hold us.
    """
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _identity(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
