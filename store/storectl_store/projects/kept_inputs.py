"""What an environment was made from, kept so that it can be made again: ``@storectl/history.d/<sha256>.gz``. Format 1.

    {"format": 1, "lock_file": path, "interpreter": {"executable", "version", "identity"},
     "direct_urls": {project: text}, "wheels": [[name, version, digest, unpacked bytes or null]],
     "files": [[path, bytes]], "without_logins": [path]}
    <the files, one after the other>

The first line is JSON; the sha256 is that of the compressed file. ``files`` are those that the selection read: the lock
file, ``pyproject.toml``, included files, those of workspace members; no settings files. The logins of addresses in them
are left out: a password stays where its user wrote it. ``history`` says which generations have which snapshot.
"""

import gzip
import hashlib
import json
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.utils import NormalizedName

from storectl_store.digest import Digest, parse_digest
from storectl_store.disk.whole_files import PRIVATE, replace_file
from storectl_store.entries.layout import StoreLayout
from storectl_store.errors import StoreFormatError, left_out_logins
from storectl_store.projects.history import SNAPSHOTS

KEPT_FORMAT = 1
_COMPRESSION = 3
_UNREADABLE = (OSError, EOFError, ValueError, KeyError, TypeError, zlib.error)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptWheel:
    """One wheel of an environment; ``size`` is that of its files, in bytes, None if it was not known."""

    name: NormalizedName
    version: str
    digest: Digest
    size: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptInputs:
    """What an environment was made from.

    ``executable`` and the rest of the interpreter are what they were. ``files`` is empty if only the head was read.
    ``without_logins`` are those of them that are not kept as they were.
    """

    lock_file: Path
    executable: str
    version: str
    interpreter_identity: str
    wheels: tuple[KeptWheel, ...] = ()
    direct_urls: Mapping[NormalizedName, str] = field(default_factory=dict)
    files: Mapping[Path, bytes] = field(default_factory=dict, repr=False)
    without_logins: frozenset[Path] = frozenset()

    def read(self, path: Path) -> bytes | None:
        """The content that the file had; None if it was not there, or did not matter."""
        return self.files.get(path)


def write_kept(layout: StoreLayout, project: Path, kept: KeptInputs) -> str:
    """Keep this, unless it is kept already; the name of the snapshot. May raise OSError."""
    content = gzip.compress(encoded(kept), _COMPRESSION, mtime=0)
    snapshot = hashlib.sha256(content).hexdigest()
    file = _file(layout.project_record(project), snapshot)
    if not file.exists() or file.stat().st_size == 0:  # a power cut may leave an empty file
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(file, content, mode=PRIVATE)
    return snapshot


def read_kept(layout: StoreLayout, project: Path, snapshot: str) -> KeptInputs:
    """What is kept under this name. Raises StoreFormatError if it is gone or damaged."""
    file = _file(layout.project_record(project), snapshot)
    try:
        content = file.read_bytes()
        if hashlib.sha256(content).hexdigest() != snapshot:
            raise ValueError("it is not what its name says")
        head, _, rest = gzip.decompress(content).partition(b"\n")
        return _decoded(head, rest)
    except _UNREADABLE as error:
        raise _unreadable(file, error) from error


def read_kept_head(layout: StoreLayout, project: Path, snapshot: str) -> KeptInputs:
    """The same without the files: a hundredth of the time. Raises StoreFormatError if it is gone or damaged."""
    file = _file(layout.project_record(project), snapshot)
    try:
        with gzip.open(file) as stream:
            return _decoded(stream.readline(), None)
    except _UNREADABLE as error:
        raise _unreadable(file, error) from error


def kept_problem(folder: Path, snapshot: str) -> str | None:
    """What is wrong with a snapshot in this record folder; None if it is what its name says."""
    file = _file(folder, snapshot)
    try:
        sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    except FileNotFoundError:
        return "it is gone"
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
    return None if sha256 == snapshot else "it is not what its name says"


def encoded(kept: KeptInputs) -> bytes:
    """The snapshot before it is compressed, without logins."""
    files = _without_logins(dict(sorted(kept.files.items())))
    head = {
        "format": KEPT_FORMAT,
        "lock_file": os.fspath(kept.lock_file),
        "interpreter": {
            "executable": kept.executable,
            "version": kept.version,
            "identity": kept.interpreter_identity,
        },
        "direct_urls": dict(sorted(kept.direct_urls.items())),
        "wheels": sorted([wheel.name, wheel.version, wheel.digest, wheel.size] for wheel in kept.wheels),
        "files": [[os.fspath(path), len(content)] for path, content in files.items()],
        "without_logins": [os.fspath(path) for path in files if files[path] != kept.files[path]],
    }
    return b"".join([json.dumps(head).encode(), b"\n", *files.values()])


def _without_logins(files: dict[Path, bytes]) -> dict[Path, bytes]:
    if not any(b"@" in content for content in files.values()):
        return files
    texts = left_out_logins([content.decode(errors="surrogateescape") for content in files.values()])
    return {path: text.encode(errors="surrogateescape") for path, text in zip(files, texts, strict=True)}


def _decoded(line: bytes, rest: bytes | None) -> KeptInputs:
    """What is kept; without the files if there is no ``rest``. Raises one of _UNREADABLE if it is none."""
    head: dict[str, Any] = json.loads(line)
    if head["format"] != KEPT_FORMAT:
        raise ValueError(f"its format {head['format']!r} is not {KEPT_FORMAT}")
    files: dict[Path, bytes] = {}
    start = 0
    for path, size in head["files"] if rest is not None else ():
        files[Path(path)] = (rest or b"")[start : start + size]
        start += size
    interpreter = head["interpreter"]
    return KeptInputs(
        lock_file=Path(head["lock_file"]),
        executable=str(interpreter["executable"]),
        version=str(interpreter["version"]),
        interpreter_identity=str(interpreter["identity"]),
        wheels=tuple(
            KeptWheel(name=NormalizedName(name), version=str(version), digest=parse_digest(digest), size=size)
            for name, version, digest, size in head["wheels"]
        ),
        direct_urls={NormalizedName(name): str(text) for name, text in head["direct_urls"].items()},
        files=files,
        without_logins=frozenset(map(Path, head["without_logins"])),
    )


def _file(folder: Path, snapshot: str) -> Path:
    return folder / SNAPSHOTS / f"{snapshot}.gz"


def _unreadable(file: Path, error: Exception) -> StoreFormatError:
    gone = isinstance(error, FileNotFoundError)
    return StoreFormatError(
        f"what is kept of the inputs of a generation {'is gone' if gone else f'cannot be read: {error}'}",
        hint="storectl store verify --repair takes note of it; other generations are not concerned",
        path=str(file),
    )
