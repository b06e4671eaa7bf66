"""Mend an entry in place, without its wheel.

Modes are set right, files that the manifest does not list are set aside, and bytecode is dropped to be made again.
"""

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from storectl_store.digest import Digest
from storectl_store.disk.durability import barrier, disk_errors
from storectl_store.entries.bytecode_files import alone_in, side_manifests
from storectl_store.entries.opened import CLOSED, noted
from storectl_store.entries.quarantine import Reason, set_aside
from storectl_store.entries.store import Store
from storectl_store.entries.verify import Finding, Kind
from storectl_store.wheel.checked import Part


def mend_in_place(store: Store, digest: Digest, findings: Sequence[Finding], reason: Reason, session: Path) -> None:
    """Set right the modes, and set aside the unlisted files, that these findings name.

    ``session`` is the writer's. Raises StoreError if the disk refuses.
    """
    manifest = store.usable_manifest(digest)
    if manifest is None:
        return
    entry = store.entry_folder(manifest)
    executable = {f"{file.part.value}/{file.path}": file.executable for file in manifest.files}
    strangers = [entry / finding.path for finding in findings if finding.kind is Kind.UNLISTED]
    with disk_errors(f"mend {reason.what}"):
        for finding in findings:
            if finding.kind is Kind.MODE:
                # what is no file of the wheel is a folder
                (entry / finding.path).chmod(0o555 if executable.get(finding.path, True) else 0o444)
        with _opening(store, entry, session):
            set_aside(store.layout, {f"{n}.{path.name}": path for n, path in enumerate(strangers)}, reason)


def discard_bytecode(store: Store, digest: Digest, cache_tags: Collection[str], session: Path) -> None:
    """Delete all bytecode of the entry for these cache tags, after deleting their side manifests.

    ``session`` is the writer's. Raises StoreError if the disk refuses.
    """
    with disk_errors(f"discard bytecode of {digest}"):
        for tag, path in side_manifests(store.layout, digest).items():
            if tag in cache_tags:
                path.unlink()
        manifest = store.usable_manifest(digest)
        if manifest is None:
            return
        entry = store.entry_folder(manifest)
        own = {f"{file.part.value}/{file.path}" for file in manifest.files}
        with alone_in(entry / Part.SITE_PACKAGES), _opening(store, entry, session):
            for folder in _bytecode_folders(entry / Part.SITE_PACKAGES):
                _empty(folder, entry, cache_tags, own)


def _bytecode_folders(root: Path) -> Iterator[Path]:
    for parent, names, _ in os.walk(root):
        if "__pycache__" in names:
            names.remove("__pycache__")
            yield Path(parent, "__pycache__")


def _empty(folder: Path, entry: Path, cache_tags: Collection[str], own: Collection[str]) -> None:
    """Delete the bytecode for these tags from one folder, except for the files of the wheel itself (``own``)."""
    with _opened_up(folder):
        for name in os.listdir(folder):
            path = folder / name
            if _tag_of(name) in cache_tags and path.relative_to(entry).as_posix() not in own:
                path.unlink()


def _tag_of(name: str) -> str | None:
    """The cache tag in the name of a ``.pyc``; None for any other file."""
    *_, tag, suffix = ("", "", *name.split("."))
    return tag if suffix == "pyc" else None


@contextmanager
def _opening(store: Store, entry: Path, session: Path) -> Iterator[None]:
    """Folders of the entry may be opened within the block: if this process dies there, recovery closes them."""
    with noted(store.layout, [entry], session):
        barrier(session)
        yield


@contextmanager
def _opened_up(folder: Path) -> Iterator[None]:
    folder.chmod(0o700)
    try:
        yield
    finally:
        folder.chmod(CLOSED)
