"""Verify: every file of an entry is compared with its manifest, and nothing else may stand beside them.

The files that a side manifest of bytecode lists (``bytecode_files``) are compared with it. If an interpreter has a side
manifest, a ``.pyc`` for it that is not listed is a finding. If it has none, its ``.pyc`` is no finding, because a crash
can leave bytecode before it is listed; with ``unlisted_bytecode`` it is one too.
"""

import hashlib
import os
import re
import stat
from collections import defaultdict
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath

from storectl_store.digest import Digest, hex_of
from storectl_store.entries.bytecode_files import alone_in, read_side_manifest
from storectl_store.entries.manifest import Manifest, ManifestFile, folders_above
from storectl_store.entries.read_only import ReadOnlyStore
from storectl_store.entries.readable import Readable
from storectl_store.errors import StoreError
from storectl_store.wheel.checked import Part

_BYTECODE_MANIFEST = re.compile(r"([0-9a-f]{64})\.(.+)\.pyc\.json")
_BYTECODE_FOLDER = "__pycache__"


class Kind(StrEnum):
    """What is wrong. ``ABSENT`` is about the entry itself, ``MANIFEST`` about a file in ``meta/``."""

    ABSENT = "absent"
    MANIFEST = "manifest"
    MISSING = "missing"
    NOT_REGULAR = "not a regular file"
    MODE = "mode"
    SIZE = "size"
    CONTENT = "content"
    UNREADABLE = "unreadable"
    UNLISTED = "unlisted"
    BYTECODE = "bytecode"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is not as it was committed. ``path`` is relative to the entry, or a file name in ``meta/``."""

    digest: Digest
    kind: Kind
    path: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """An entry that was looked at to the end.

    ``files`` is the number of its files, ``size`` their size in bytes, ``findings`` the number of findings reported
    before.
    """

    digest: Digest
    files: int
    size: int
    findings: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """How much is looked at. Without ``contents`` no file is read; only its size and mode are compared."""

    contents: bool = True
    unlisted_bytecode: bool = False


THOROUGH = Depth()


def verify(
    store: ReadOnlyStore, digests: Iterable[Digest] | None = None, *, depth: Depth = THOROUGH
) -> Iterator[Checked | Finding]:
    """Look at these entries, or at all: for each its findings, then one Checked. Nothing is changed.

    It may run beside the writer. An entry that is collected meanwhile is then reported as absent.
    """
    side_manifests = _side_manifests(store)
    for digest in sorted(store.digests()) if digests is None else digests:
        yield from _verify_entry(store, digest, side_manifests[hex_of(digest)], depth)


def _verify_entry(
    store: Readable, digest: Digest, side_manifests: dict[str, Path], depth: Depth
) -> Iterator[Checked | Finding]:
    manifest, findings = _manifest(store, digest)
    if manifest is not None:
        findings += _compare(store.entry_folder(manifest), manifest, side_manifests, depth)
    yield from findings
    files = manifest.files if manifest else ()
    yield Checked(digest=digest, files=len(files), size=sum(file.size for file in files), findings=len(findings))


def _manifest(store: Readable, digest: Digest) -> tuple[Manifest | None, list[Finding]]:
    name = f"{hex_of(digest)}.json"
    try:
        manifest = store.manifest(digest)
    except StoreError as error:
        return None, [Finding(digest=digest, kind=Kind.MANIFEST, path=name, message=error.message)]
    if manifest is None:
        return None, [Finding(digest=digest, kind=Kind.ABSENT, path=name, message="there is no such entry")]
    if not store.entry_folder(manifest).is_dir():
        return None, [Finding(digest=digest, kind=Kind.ABSENT, path=name, message="its folder is gone")]
    return manifest, []


def _compare(entry: Path, manifest: Manifest, side_manifests: dict[str, Path], depth: Depth) -> list[Finding]:
    expected = {f"{file.part.value}/{file.path}": file for file in manifest.files}
    listed, findings = _bytecode(manifest.digest, side_manifests)
    found = _Tree(entry)
    findings += _compare_files(found, manifest.digest, expected, depth)
    if depth.contents:
        findings += _compare_bytecode(found, manifest.digest, listed)
    folders = folders_above(expected)
    findings += _unlisted(found, manifest.digest, expected, folders)
    tags = None if depth.unlisted_bytecode else side_manifests.keys()
    explained = expected.keys() | listed.keys()
    findings += _unlisted_bytecode(found, manifest.digest, explained, folders, tags)
    findings += _open_folders(found, manifest.digest)
    return findings


class _Tree:
    """Everything below an entry.

    ``files`` are all that are no folders, with their status; symbolic links are not followed. ``open`` are the folders
    that can be written.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files: dict[str, os.stat_result] = {}
        self.folders: set[str] = set()
        self.open: list[str] = []
        self._walk("")

    def _walk(self, folder: str) -> None:
        if self.is_open(folder):
            self.open.append(folder)
        with os.scandir(self.root / folder) as found:
            children = sorted(found, key=lambda child: child.name)
        for child in children:
            path = f"{folder}/{child.name}" if folder else child.name
            if child.is_dir(follow_symlinks=False):
                self.folders.add(path)
                self._walk(path)
            else:
                self.files[path] = child.stat(follow_symlinks=False)

    def is_open(self, folder: str) -> bool:
        """Whether the folder can be written, by its mode."""
        return bool(os.stat(self.root / folder).st_mode & 0o222)

    def sha256(self, path: str) -> str:
        """The sha256 of the file's content, 64 hex digits. Raises OSError if it cannot be read."""
        descriptor = os.open(self.root / path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with open(descriptor, "rb", buffering=0) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def _compare_files(found: _Tree, digest: Digest, expected: dict[str, ManifestFile], depth: Depth) -> Iterator[Finding]:
    for path, file in expected.items():
        for kind, message in _compare_file(found, path, file, depth):
            yield Finding(digest=digest, kind=kind, path=path, message=message)


def _open_folders(found: _Tree, digest: Digest) -> Iterator[Finding]:
    """Folders that can be written. What compiles opens some for a moment, so these are looked at again without it."""
    if not found.open:
        return
    with suppress(FileNotFoundError), alone_in(found.root / Part.SITE_PACKAGES):
        for folder in filter(found.is_open, found.open):
            yield Finding(digest=digest, kind=Kind.MODE, path=folder or ".", message="the folder can be written")


def _compare_file(found: _Tree, path: str, file: ManifestFile, depth: Depth) -> Iterator[tuple[Kind, str]]:
    status = found.files.get(path)
    if status is None:
        yield (Kind.NOT_REGULAR, "it is a folder") if path in found.folders else (Kind.MISSING, "it is gone")
        return
    if not stat.S_ISREG(status.st_mode):
        yield Kind.NOT_REGULAR, f"it is {stat.filemode(status.st_mode)}"
        return
    if status.st_mode & 0o222 or bool(status.st_mode & 0o100) != file.executable:
        yield (
            Kind.MODE,
            f"its mode is {stat.filemode(status.st_mode)}, not {'r-x' if file.executable else 'r--'} for all",
        )
    if status.st_size != file.size:
        yield Kind.SIZE, f"it has {status.st_size} bytes, not {file.size}"
        return
    if not depth.contents:
        return
    try:
        if found.sha256(path) != file.sha256:
            yield Kind.CONTENT, "its sha256 is another"
    except OSError as error:
        yield Kind.UNREADABLE, f"it cannot be read: {error.strerror}"


def _compare_bytecode(found: _Tree, digest: Digest, bytecode: dict[str, str]) -> Iterator[Finding]:
    for path, sha256 in bytecode.items():
        message = ""
        if path not in found.files:
            message = "it is listed and gone"
        elif not stat.S_ISREG(found.files[path].st_mode):
            message = "it is not a regular file"
        else:
            try:
                message = "" if found.sha256(path) == sha256 else "its sha256 is another"
            except OSError as error:
                message = f"it cannot be read: {error.strerror}"
        if message:
            yield Finding(digest=digest, kind=Kind.BYTECODE, path=path, message=message)


def _unlisted(found: _Tree, digest: Digest, expected: dict[str, ManifestFile], folders: set[str]) -> Iterator[Finding]:
    """Files and folders that neither the wheel nor its bytecode explains; of nested ones only the topmost."""
    strangers = {path for path in found.folders if path not in folders and not _is_bytecode_folder(path, folders)}
    strangers |= {path for path in found.files.keys() - expected.keys() if not _is_bytecode(path, found, folders)}
    for path in sorted(strangers):
        if not any(str(parent) in strangers for parent in PurePosixPath(path).parents):
            yield Finding(digest=digest, kind=Kind.UNLISTED, path=path, message="the wheel has no such file or folder")


def _is_bytecode_folder(path: str, folders: set[str]) -> bool:
    parent, _, name = path.rpartition("/")
    return name == _BYTECODE_FOLDER and parent in folders


def _is_bytecode(path: str, found: _Tree, folders: set[str]) -> bool:
    is_file = stat.S_ISREG(found.files[path].st_mode)
    return is_file and path.endswith(".pyc") and _is_bytecode_folder(path.rpartition("/")[0], folders)


def _unlisted_bytecode(
    found: _Tree, digest: Digest, explained: AbstractSet[str], folders: set[str], tags: Iterable[str] | None
) -> Iterator[Finding]:
    """Bytecode that is not ``explained``, for interpreters with these cache tags, or for all if ``tags`` is None."""
    ends = (".pyc",) if tags is None else tuple(f".{tag}.pyc" for tag in tags)
    for path in sorted(found.files.keys() - explained):
        if path.endswith(ends) and _is_bytecode(path, found, folders):
            yield Finding(digest=digest, kind=Kind.BYTECODE, path=path, message="no side manifest lists it")


def _side_manifests(store: ReadOnlyStore) -> defaultdict[str, dict[str, Path]]:
    """The side manifests of bytecode, by the hex digits of their entry and by cache tag."""
    paths: defaultdict[str, dict[str, Path]] = defaultdict(dict)
    for name in sorted(os.listdir(store.layout.meta)):
        match = _BYTECODE_MANIFEST.fullmatch(name)
        if match:
            paths[match[1]][match[2]] = store.layout.meta / name
    return paths


def _bytecode(digest: Digest, side_manifests: dict[str, Path]) -> tuple[dict[str, str], list[Finding]]:
    """The files that the side manifests list (path in the entry -> sha256 hex), and a finding for each unusable one."""
    files: dict[str, str] = {}
    findings = []
    for tag, path in side_manifests.items():
        try:
            files |= read_side_manifest(path, digest, tag)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            message = f"it cannot be used: {error}"
            findings.append(Finding(digest=digest, kind=Kind.MANIFEST, path=path.name, message=message))
    return files, findings
