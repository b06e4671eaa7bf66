"""The store as a subject: its folders, its format, and how to read what is committed. It does not know its writer."""

import errno
import os
import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

from storectl_store.digest import Digest, digest_of_hex, hex_of
from storectl_store.disk.durability import disk_errors, fsync_folder
from storectl_store.entries.catalogue import Catalogue, Summary, summary_of
from storectl_store.entries.layout import StoreLayout
from storectl_store.entries.manifest import Manifest, decode_manifest
from storectl_store.entries.version_file import ensure_version
from storectl_store.errors import StoreError, StoreFormatError

_MANIFEST_NAME = re.compile(r"([0-9a-f]{64})\.json")


class Store:
    """A store on disk. ``layout`` gives all paths; ``catalogue`` is its database. Threads may share it."""

    def __init__(self, layout: StoreLayout) -> None:
        self.layout = layout
        self.catalogue = Catalogue(layout.index, self.manifests)

    @classmethod
    def open(cls, root: Path) -> Self:
        """Open the store in this folder; if there is none, make it (mode 0700).

        A damaged VERSION is mended. Raises StoreFormatError if the store is of another version or the folder holds
        other things, and StoreError or StoreFullError if the folders cannot be made.
        """
        layout = StoreLayout(root)
        with disk_errors(f"open the store {root}"):
            ensure_version(layout)
            make_folders(layout)
        return cls(layout)

    @property
    def empty(self) -> bool:
        """Whether no entry is visible."""
        with suppress(OSError), os.scandir(self.layout.meta) as found:
            return next(found, None) is None
        return True

    @property
    def missing(self) -> Path | None:
        """A file or folder without which this is no longer a store; None if all of them are there."""
        needed = (self.layout.version_file, *_folders(self.layout))
        return next((path for path in needed if not path.exists()), None)

    def has(self, digest: Digest) -> bool:
        """Whether the entry with this digest is visible."""
        return os.path.exists(self.layout.manifest(digest))

    def digests(self) -> Iterator[Digest]:
        """The digest of every visible entry, in no order, read from the folder ``meta/``."""
        with os.scandir(self.layout.meta) as found:
            matches = [_MANIFEST_NAME.fullmatch(file.name) for file in found]
        return (digest_of_hex(match[1]) for match in matches if match)

    def manifest(self, digest: Digest) -> Manifest | None:
        """The manifest of a visible entry; None if there is none. Raises StoreFormatError if it is broken.

        It is large, and read from disk each time. To ask about many entries, use outlines (``environments.outlines``).
        """
        path = self.layout.manifest(digest)
        try:
            with disk_errors(f"read {path.name}"):
                manifest = decode_manifest(path.read_bytes())
        except StoreFormatError as error:
            raise _broken(path, error.message) from error
        except StoreError as error:
            if error.facts.get("errno") == errno.ENOENT:
                return None
            raise
        if manifest.digest != digest:
            raise _broken(path, f"it is about {hex_of(manifest.digest)}")
        return manifest

    def usable_manifest(self, digest: Digest) -> Manifest | None:
        """The manifest of an entry that is whole; None if its manifest is missing or broken, or its folder gone.

        In all of these cases the entry is then made anew.
        """
        with suppress(StoreFormatError):
            manifest = self.manifest(digest)
            if manifest is not None and self.entry_folder(manifest).is_dir():
                return manifest
        return None

    def manifests(self) -> Iterator[Manifest]:
        """Every manifest that can be read, in order of digest; broken ones are left to ``verify``."""
        return self.readable(sorted(self.digests()))

    def readable(self, digests: Iterable[Digest]) -> Iterator[Manifest]:
        """The manifests of these entries, in their order; those that are gone or broken are left out."""
        for digest in digests:
            with suppress(StoreError):
                manifest = self.manifest(digest)
                if manifest is not None:
                    yield manifest

    def entry_folder(self, manifest: Manifest) -> Path:
        """The folder of the entry, which holds ``site-packages`` and the other parts."""
        return self.layout.entry(manifest.name, manifest.digest)

    def summaries(self) -> list[Summary]:
        """Every visible entry for a listing, by name, version and file name.

        The catalogue makes it quick. What it lacks, or everything if it fails, comes from the manifests.
        """
        visible = set(self.digests())
        known = {summary.digest: summary for summary in self._catalogued() if summary.digest in visible}
        missing = [summary_of(manifest) for manifest in self.readable(visible - known.keys())]
        return sorted(
            [*known.values(), *missing], key=lambda summary: (summary.name, summary.version, summary.filename)
        )

    def _catalogued(self) -> list[Summary]:
        try:
            return self.catalogue.summaries()
        except sqlite3.Error:
            return []

    def close(self) -> None:
        """Close the catalogue's connection; the store may be used again."""
        self.catalogue.close()


def _broken(path: Path, reason: str) -> StoreFormatError:
    return StoreFormatError(
        f"the manifest {path.name} cannot be used: {reason}",
        hint="`storectl store verify --repair` fetches the entry again",
        path=str(path),
    )


def make_folders(layout: StoreLayout) -> int:
    """Make the folders of a store that are missing. Returns how many were missing. May raise OSError."""
    made = sum(_make_folder(folder) for folder in _folders(layout))
    if made:
        fsync_folder(layout.root)
    return made


def missing_folders(layout: StoreLayout) -> list[Path]:
    """The folders of a store that are not there."""
    return [folder for folder in _folders(layout) if not folder.is_dir()]


def _folders(layout: StoreLayout) -> tuple[Path, ...]:
    return (
        layout.entries,
        layout.meta,
        layout.environments,
        layout.links,
        layout.interpreters,
        layout.urls,
        layout.projects,
        layout.tmp,
        layout.trash,
        layout.quarantine,
    )


def _make_folder(folder: Path) -> bool:
    """Make the folder if it is missing, with mode 0755 whatever the umask. Returns whether it was missing."""
    try:
        folder.mkdir()
    except FileExistsError:
        return False
    folder.chmod(0o755)
    return True
