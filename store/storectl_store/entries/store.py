"""The store as a subject: its folders, its format, and how to read what is committed. It does not know its writer."""

import sqlite3
from pathlib import Path
from typing import Self

from storectl_store.disk.durability import disk_errors, fsync_folder
from storectl_store.entries.access import PRIVATE_FOLDER, PUBLIC_FOLDER, Access, private_folders, share
from storectl_store.entries.catalogue import Catalogue, Summary, summary_of
from storectl_store.entries.layout import StoreLayout
from storectl_store.entries.read_only import ReadOnlyStore
from storectl_store.entries.version_file import ensure_version


class Store(ReadOnlyStore):
    """A store on disk. ``layout`` gives all paths; ``catalogue`` is its database. Threads may share it."""

    def __init__(self, layout: StoreLayout, access: Access = Access.PRIVATE) -> None:
        super().__init__(layout)
        self.access = access
        self.catalogue = Catalogue(layout.index, self.manifests)

    @classmethod
    def open(cls, root: Path, access: Access = Access.PRIVATE, *, group: int | None = None) -> Self:
        """Open the store in this folder; if there is none, make it. ``group`` (a gid) is for a SHARED one.

        A damaged VERSION is mended. What is PRIVATE when it is made stays as its owner leaves it; the modes of a SHARED
        store are set each time. Raises StoreFormatError if the store is of another version or the folder holds other
        things, and StoreError or StoreFullError if the folders cannot be made.
        """
        layout = StoreLayout(root)
        with disk_errors(f"open the store {root}"):
            ensure_version(layout)
            make_folders(layout, access)
            if access is Access.SHARED:
                share(layout, group)
        return cls(layout, access)

    @property
    def missing(self) -> Path | None:
        """A file or folder without which this is no longer a store; None if all of them are there."""
        needed = (self.layout.version_file, *_folders(self.layout, self.access))
        return next((path for path in needed if not path.exists()), None)

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


def make_folders(layout: StoreLayout, access: Access = Access.PRIVATE) -> int:
    """Make the folders of a store that are missing. Returns how many were missing. May raise OSError."""
    closed = private_folders(layout) if access is Access.SHARED else frozenset()
    made = sum(
        _make_folder(folder, PRIVATE_FOLDER if folder in closed else PUBLIC_FOLDER)
        for folder in _folders(layout, access)
    )
    if made:
        fsync_folder(layout.root)
    return made


def missing_folders(layout: StoreLayout) -> list[Path]:
    """The folders of a private store that are not there."""
    return [folder for folder in _folders(layout, Access.PRIVATE) if not folder.is_dir()]


def _folders(layout: StoreLayout, access: Access) -> tuple[Path, ...]:
    """A store that is shared knows no projects, but who keeps what in it."""
    return (
        layout.entries,
        layout.meta,
        layout.environments,
        layout.links,
        layout.interpreters,
        layout.urls,
        layout.roots if access is Access.SHARED else layout.projects,
        layout.tmp,
        layout.trash,
        layout.quarantine,
    )


def _make_folder(folder: Path, mode: int) -> bool:
    """Make the folder if it is missing, with this mode whatever the umask. Returns whether it was missing."""
    try:
        folder.mkdir(mode=PRIVATE_FOLDER)
    except FileExistsError:
        return False
    folder.chmod(mode)
    return True
