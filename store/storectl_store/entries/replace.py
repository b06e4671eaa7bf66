"""Replace and withdraw entries: a damaged one goes to the quarantine, and a freshly staged one takes its place.

The order of a replacement: 1 the new entry becomes durable; 2 the side manifests of bytecode go, since no bytecode has
been compiled for the new entry; 3 the folders change places in one step; 4 the new manifest replaces the old one; 5 the
old folder and manifest are set aside.

A running program keeps the files that it has open. A crash in between leaves what ``verify`` finds again.
"""

import os
import sqlite3
import stat
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from storectl_store.digest import Digest, prefix_of
from storectl_store.disk.durability import barrier, disk_errors, exchange, fsync_folders
from storectl_store.entries.bytecode_files import drop_side_manifests
from storectl_store.entries.layout import StoreLayout
from storectl_store.entries.placing import place_entry
from storectl_store.entries.quarantine import Reason, set_aside
from storectl_store.entries.staged import StagedEntry
from storectl_store.entries.store import Store
from storectl_store.entries.trash import delete_tree


def replace_entry(store: Store, staged: StagedEntry, reason: Reason) -> None:
    """Put the staged entry at its address, in place of a damaged one or of none. The caller holds the writer's lock.

    Raises StoreFullError or StoreError if the disk refuses. The stage is gone in every case.
    """
    digest = staged.manifest.digest
    try:
        with disk_errors(f"replace {staged.manifest.filename}"):
            barrier(store.layout.tmp)
            drop_side_manifests(store.layout, [digest])
            entry = store.entry_folder(staged.manifest)
            old_entry = _swap(staged.entry, entry)
            old_manifest = _swap_manifest(staged, store.layout.manifest(digest))
            fsync_folders([entry, entry.parent, store.layout.entries, store.layout.meta])
            was = replace(reason, was=(entry, store.layout.manifest(digest)))
            set_aside(store.layout, {entry.name: old_entry, old_manifest.name: old_manifest}, was)
    finally:
        with suppress(OSError):  # recovery sweeps what cannot be deleted now
            delete_tree(staged.folder)
    with suppress(sqlite3.Error, OSError):  # the catalogue is rebuildable
        store.catalogue.remove([digest])
        store.catalogue.add([staged.manifest])


def withdraw_entry(store: Store, digest: Digest, reason: Reason) -> None:
    """Set the entry aside, so that it is no longer visible. Its manifest goes first."""
    layout = store.layout
    with disk_errors(f"withdraw {reason.what}"):
        manifest = layout.manifest(digest)
        folders = {folder.name: folder for folder in entry_folders(layout, digest)}
        drop_side_manifests(layout, [digest])
        set_aside(layout, {manifest.name: manifest, **folders}, reason)
        for folder in folders.values():
            with suppress(OSError):
                os.rmdir(folder.parent)
    with suppress(sqlite3.Error, OSError):
        store.catalogue.remove([digest])


def entry_folders(layout: StoreLayout, digest: Digest) -> list[Path]:
    """What stands at the address of the digest below any name. There is more than one only if a person put it there."""
    with os.scandir(layout.entries) as found:
        places = [Path(name.path, prefix_of(digest)) for name in found if name.is_dir(follow_symlinks=False)]
    return sorted(place for place in places if os.path.lexists(place))


def _swap(stage: Path, entry: Path) -> Path:
    """Give the staged folder the entry's place. Returns the path of the old entry, which may not exist."""
    if not os.path.lexists(entry):
        place_entry(stage, entry)
    else:
        if stat.S_ISDIR(entry.lstat().st_mode):
            entry.chmod(0o700)  # a folder that changes its parent gets a new "..", for which it has to be writable
        exchange(stage, entry)
    entry.chmod(0o555)
    return stage


def _swap_manifest(staged: StagedEntry, manifest: Path) -> Path:
    """Replace the manifest. Returns the path of the old one, which may not exist."""
    kept = staged.folder / manifest.name
    with suppress(FileNotFoundError):
        os.link(manifest, kept)
    staged.manifest_file.replace(manifest)
    return kept
