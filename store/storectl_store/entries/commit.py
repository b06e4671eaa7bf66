"""Commit: staged entries become visible, all or none, and only once what is in them is durable.

The order, for one batch:

1. one barrier: every staged file and manifest is on the disk;
2. each entry is renamed to its address, which must be free, and loses its last write permission;
3. each manifest is renamed into ``meta/``: from here on the entry is visible.

The new names and modes are made durable by the next barrier, such as the one before an environment shows the entries
(ADR 53). Where a barrier does not reach all of the file system, the folders are synced after 2, and ``meta/`` after 3.

A crash before 3 leaves an entry without a manifest. No reader sees it, and recovery deletes it. A power cut may undo 2
or 3 for any of the entries: that leaves halves, which recovery deletes, too, or a folder that can be written, which it
closes. A disk that fails is asked once: the kernel forgets what it could not write, so the stages are dropped and have
to be made again from the wheels.
"""

import os
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from storectl_store.digest import Digest, prefix_of
from storectl_store.disk.durability import (
    barrier,
    disk_errors,
    fsync_folder,
    fsync_folders,
)
from storectl_store.entries.bytecode_files import drop_side_manifests
from storectl_store.entries.manifest import Manifest
from storectl_store.entries.placing import place_entry
from storectl_store.entries.staged import StagedEntry
from storectl_store.entries.store import Store
from storectl_store.entries.trash import delete_tree, discard
from storectl_store.errors import PrefixCollisionError


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """A visible entry. ``already_present``: it was visible before, and the stage was not needed."""

    manifest: Manifest
    already_present: bool


def commit(store: Store, staged: Sequence[StagedEntry]) -> list[Committed]:
    """Make these entries visible; one result for each, in order. The caller holds the writer's lock.

    Raises PrefixCollisionError, StoreFullError or StoreError; then none of the batch is visible that was not visible
    before. The stages are gone in every case.
    """
    try:
        with disk_errors(f"commit {_names(staged)}"):
            return _commit(store, staged)
    finally:
        for stage in staged:
            with suppress(OSError):  # recovery sweeps what cannot be deleted now
                delete_tree(stage.folder)


def _commit(store: Store, staged: Sequence[StagedEntry]) -> list[Committed]:
    present = _present(store, staged)
    fresh = {stage.manifest.digest: stage for stage in reversed(staged) if stage.manifest.digest not in present}
    if fresh:
        _publish(store, list(fresh.values()))
        with suppress(sqlite3.Error, OSError):  # the catalogue is rebuildable, the entries are there
            store.catalogue.add(stage.manifest for stage in fresh.values())
    return [
        Committed(
            manifest=present.get(stage.manifest.digest, stage.manifest),
            already_present=fresh.get(stage.manifest.digest) is not stage,
        )
        for stage in staged
    ]


def _present(store: Store, staged: Sequence[StagedEntry]) -> dict[Digest, Manifest]:
    """The staged entries that are visible already, by digest.

    Raises PrefixCollisionError if two digests, in the store or in the batch, agree in the prefix only.
    """
    owners = {prefix_of(digest): digest for digest in store.digests()}
    present = {}
    for stage in staged:
        digest = stage.manifest.digest
        owner = owners.setdefault(prefix_of(digest), digest)
        if owner != digest:
            raise _collision(stage.manifest, owner)
        manifest = store.usable_manifest(digest)
        if manifest is not None:
            present[digest] = manifest
    return present


def _publish(store: Store, fresh: list[StagedEntry]) -> None:
    reaches_all = barrier(store.layout.tmp)
    try:
        drop_side_manifests(store.layout, [stage.manifest.digest for stage in fresh])
        for stage in fresh:
            _place(store, stage)
        if not reaches_all:
            fsync_folders(_changed_folders(store, fresh))
        for stage in fresh:
            stage.manifest_file.replace(store.layout.manifest(stage.manifest.digest))
        if not reaches_all:
            fsync_folder(store.layout.meta)
    except BaseException:
        for stage in fresh:
            _withdraw(store, stage)
        raise


def _place(store: Store, stage: StagedEntry) -> None:
    """Rename the entry to its address. A half entry that a crash left there goes to the trash."""
    entry = store.entry_folder(stage.manifest)
    try:
        place_entry(stage.entry, entry)
    except FileExistsError:
        half = discard(store.layout, entry, kind="half")
        place_entry(stage.entry, entry)
        with suppress(OSError):  # it is out of the way; recovery empties the trash
            delete_tree(half)
    entry.chmod(0o555)


def _changed_folders(store: Store, fresh: Iterable[StagedEntry]) -> Iterable[Path]:
    """The folders to sync: the entries, for their last mode, and the folders that got a name in them."""
    entries = [store.entry_folder(stage.manifest) for stage in fresh]
    return [*entries, *(entry.parent for entry in entries), store.layout.entries]


def _withdraw(store: Store, stage: StagedEntry) -> None:
    """Undo the publication as far as the disk allows. The manifest goes first: without it the rest is a half entry."""
    with suppress(OSError):
        if not stage.manifest_file.exists():
            store.layout.manifest(stage.manifest.digest).unlink()
    with suppress(OSError):
        if not stage.entry.exists():
            delete_tree(discard(store.layout, store.entry_folder(stage.manifest), kind="half"))
    with suppress(OSError):
        os.rmdir(store.entry_folder(stage.manifest).parent)


def _collision(manifest: Manifest, owner: Digest) -> PrefixCollisionError:
    return PrefixCollisionError(
        f"{manifest.filename} ({manifest.digest}) has the same address as another wheel in the store ({owner})",
        hint="two sha256 digests that agree in 32 hex digits do not happen by chance: look where this wheel came from",
        digest=manifest.digest,
        owner=owner,
    )


def _names(staged: Sequence[StagedEntry]) -> str:
    names = [stage.manifest.filename for stage in staged[:3]]
    return ", ".join(names) + (f" and {len(staged) - 3} more" if len(staged) > 3 else "")
