"""Place bytecode from ``tmp/`` into entries: all that was compiled together becomes durable first, then visible.

1 a barrier: every compiled file is on the disk; 2 each file is renamed into its ``__pycache__``; 3 a second barrier,
which covers the renames and the side manifests; 4 each side manifest is renamed into ``meta/``. Two barriers serve any
number of entries. A sync for each file or piece of work would make the writes of every program wait several times a
second.

The side manifest ``meta/<64 hex>.<cache tag>.pyc.json``, format 2, is one JSON object, sealed (``sealed``). Format 1,
which is read too, has no seal::

    {"cache_tag":"cpython-312","digest":"sha256:…",
     "files":{"site-packages/pkg/__pycache__/x.cpython-312.pyc":"<sha256 hex>"},"format":2}
"""

import errno
import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storectl_store.digest import Digest, hex_of
from storectl_store.disk.descriptors import opened_folder
from storectl_store.disk.durability import barrier
from storectl_store.entries.layout import StoreLayout
from storectl_store.entries.opened import CLOSED, noted
from storectl_store.entries.sealed import opened, sealed

BYTECODE_FORMAT = 2
_FORMAT_WITHOUT_SEAL = 1
_OPEN = 0o755


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledFile:
    """A file in ``tmp/`` and the sha256 of its content, as 64 hex digits."""

    staged: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledEntry:
    """All bytecode of one entry for one cache tag.

    The keys of ``files`` are paths in ``folder``, the entry's site-packages.
    """

    digest: Digest
    folder: Path
    part: str
    files: Mapping[str, CompiledFile]


def place_bytecode(layout: StoreLayout, entries: Sequence[CompiledEntry], cache_tag: str, tmp: Path) -> None:
    """Make the bytecode of these entries visible. An entry that does not take its files stays without a side manifest.

    ``tmp`` is the writer's session. Raises OSError if the disk lost something; then no side manifest is written.
    """
    with noted(layout, [entry.folder for entry in entries], tmp):
        _place_all(layout, entries, cache_tag, tmp)


def _place_all(layout: StoreLayout, entries: Sequence[CompiledEntry], cache_tag: str, tmp: Path) -> None:
    barrier(tmp)
    staged: list[tuple[Path, Path]] = []
    for entry in entries:
        try:
            placed = _place(entry)
        except OSError:  # something is in the way in this entry, which is no reason to lose the others
            drop_bytecode(entry)
            continue
        final = layout.bytecode_manifest(entry.digest, cache_tag)
        staged.append((_write_side_manifest(entry, placed, cache_tag, tmp / final.name), final))
    barrier(tmp)
    for path, final in staged:
        path.replace(final)


def read_side_manifest(path: Path, digest: Digest, cache_tag: str) -> dict[str, str]:
    """The files that a side manifest lists: path in the entry -> sha256 hex.

    Raises OSError if it cannot be read, and ValueError, KeyError or TypeError if it is broken.
    """
    content, has_seal = opened(path.read_bytes())
    value: dict[str, Any] = json.loads(content)
    expected = (BYTECODE_FORMAT if has_seal else _FORMAT_WITHOUT_SEAL, digest, cache_tag)
    if (value["format"], value["digest"], value["cache_tag"]) != expected:
        raise ValueError("it is of another format, or about another entry or interpreter")
    return {str(name): str(sha256) for name, sha256 in value["files"].items()}


def side_manifests(layout: StoreLayout, digest: Digest) -> dict[str, Path]:
    """The side manifests of one entry, by cache tag."""
    head, tail = f"{hex_of(digest)}.", ".pyc.json"
    return {path.name[len(head) : -len(tail)]: path for path in sorted(layout.meta.glob(f"{head}*{tail}"))}


def side_manifests_by_entry(layout: StoreLayout) -> dict[str, list[Path]]:
    """The side manifests of all entries, by the hex digits of the digest: ``meta/`` is listed only once."""
    found: dict[str, list[Path]] = {}
    for name in os.listdir(layout.meta):
        if name.endswith(".pyc.json"):
            found.setdefault(name.partition(".")[0], []).append(layout.meta / name)
    return found


def drop_side_manifests(layout: StoreLayout, digests: Iterable[Digest]) -> None:
    """Delete the side manifests of entries that others take the place of: no bytecode is compiled for those yet."""
    owners = set(map(hex_of, digests))
    for name in os.listdir(layout.meta):
        if name.endswith(".pyc.json") and name.partition(".")[0] in owners:
            (layout.meta / name).unlink(missing_ok=True)


def drop_bytecode(entry: CompiledEntry) -> None:
    """Delete the entry's bytecode files that are still in ``tmp/``."""
    for file in entry.files.values():
        with suppress(FileNotFoundError):
            os.unlink(file.staged)


def _write_side_manifest(entry: CompiledEntry, placed: Sequence[str], cache_tag: str, path: Path) -> Path:
    files = {f"{entry.part}/{target}": entry.files[target].sha256 for target in placed}
    value = {"format": BYTECODE_FORMAT, "digest": entry.digest, "cache_tag": cache_tag, "files": files}
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    path.write_bytes(sealed(text.encode() + b"\n"))
    return path


def _place(entry: CompiledEntry) -> list[str]:
    """Rename the files to their places. Returns the paths of those that could be renamed."""
    by_cache: dict[str, list[str]] = {}
    for target in entry.files:
        by_cache.setdefault(os.path.dirname(target), []).append(target)
    placed = []
    with alone_in(entry.folder):
        for cache, targets in by_cache.items():
            with _opened_up(os.path.join(entry.folder, cache)):
                placed += [target for target in targets if _rename(entry, target)]
    return placed


def _rename(entry: CompiledEntry, target: str) -> bool:
    """Rename one file to its place.

    Returns false if its name is too long with the tag in it; such a file is given up.
    """
    staged = entry.files[target].staged
    try:
        os.rename(staged, os.path.join(entry.folder, target))
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        os.unlink(staged)
        return False
    return True


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep all other processes that compile this entry out of it: they open up and close its folders."""
    with opened_folder(folder) as descriptor:
        with suppress(OSError):  # a file system without locks: a folder closed too early costs bytecode, nothing else
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


@contextmanager
def _opened_up(cache: str) -> Iterator[None]:
    """Make the ``__pycache__`` folder if it is missing; it is writable within the block and read-only after it."""
    parent = os.path.dirname(cache)
    if not os.path.isdir(cache):
        os.chmod(parent, _OPEN)
        try:
            os.mkdir(cache)
        finally:
            os.chmod(parent, CLOSED)
    os.chmod(cache, _OPEN)
    try:
        yield
    finally:
        os.chmod(cache, CLOSED)
