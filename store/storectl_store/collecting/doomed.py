"""Doomed entries: every name in the store that an entry has, found out before it is decided whether it goes."""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from storectl_store.digest import Digest, hex_of
from storectl_store.entries.manifest import Manifest
from storectl_store.entries.replace import entry_folders
from storectl_store.entries.store import Store
from storectl_store.errors import StoreFormatError

_LIBRARY = re.compile(r"\.(?:so|dylib)(?:\.|$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class DoomedEntry:
    """An entry that may go.

    ``side_manifests`` are those of its bytecode; ``programs`` are its executables and libraries, which may be running.
    ``folders`` has more than one only if a person put it there, and none if the entry has lost its folder.
    """

    digest: Digest
    manifest: Path
    side_manifests: Sequence[Path]
    folders: Sequence[Path]
    programs: Sequence[Path]


def doomed_entry(store: Store, digest: Digest, sides: Mapping[str, Sequence[Path]]) -> DoomedEntry:
    """All names of the entry. Raises OSError or StoreError if they cannot be found out."""
    manifest = _manifest(store, digest)
    folders = [store.entry_folder(manifest)] if manifest else entry_folders(store.layout, digest)
    return DoomedEntry(
        digest=digest,
        manifest=store.layout.manifest(digest),
        side_manifests=sides.get(hex_of(digest), ()),
        folders=folders,
        programs=_programs_of(folders[0], manifest) if manifest else [*_programs_in(folders)],
    )


def _manifest(store: Store, digest: Digest) -> Manifest | None:
    """The manifest; None if it is gone or broken."""
    try:
        return store.manifest(digest)
    except StoreFormatError:
        return None


def _programs_of(folder: Path, manifest: Manifest) -> list[Path]:
    files = (file for file in manifest.files if file.executable or _is_library(file.path))
    return [folder / file.part / file.path for file in files]


def _programs_in(folders: Iterable[Path]) -> Iterable[Path]:
    for folder in folders:
        for parent, _, names in os.walk(folder):
            for path in (Path(parent, name) for name in names):
                if _is_library(path.name) or path.lstat().st_mode & 0o111:
                    yield path


def _is_library(path: str) -> bool:
    return _LIBRARY.search(path.rpartition("/")[2]) is not None
