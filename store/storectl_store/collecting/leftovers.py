"""Leftovers: what is of no use any more once environments and entries are gone. All of it can be made again.

Links have a name in every view that shows them, also in one that lies in the trash: they are found once that is empty.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from storectl_store.digest import is_environment_id
from storectl_store.disk.durability import disk_errors
from storectl_store.entries.provenance import drop_builds_without_entry
from storectl_store.entries.store import Store
from storectl_store.entries.trash import delete_tree
from storectl_store.environments.pack import drop_packs_without_environment
from storectl_store.environments.shared_links import drop_unused_links
from storectl_store.projects.shortcuts import drop_lost_shortcuts


def sweep_leftovers(store: Store, *, caches: Path | None = None) -> int:
    """Delete links that no view has, packs and caches of environments that are gone, and notes of builds of entries.

    Shortcuts that lead nowhere any more go, too.

    ``caches`` is the user's cache folder (``storectl_shim._storectl_pack.cache_folder``). Returns how many things were
    deleted. Raises StoreError if the disk refuses.
    """
    with disk_errors(f"clear what is left over in {store.layout.root}"):
        links = drop_unused_links(store.layout.links)
        packs = drop_packs_without_environment(store.layout)
        builds = drop_builds_without_entry(store)
        shortcuts = drop_lost_shortcuts(store.layout)
        return links + packs + builds + shortcuts + (_drop_caches(store, caches) if caches else 0)


def _drop_caches(store: Store, caches: Path) -> int:
    """Delete what programs have kept for environments that are gone: bytecode for ``-O``, records of imports."""
    dropped = 0
    for path in _caches(store.layout.environments, caches):
        if store.environment(path.name) is None:
            delete_tree(path)
            dropped += 1
    return dropped


def _caches(environments: Path, caches: Path) -> Iterator[Path]:
    """What is kept for single environments. Programs call the store by its real path, or as they were told."""
    for place in dict.fromkeys((str(environments), os.path.realpath(environments))):
        for kind in ("bytecode", "imports"):
            with suppress(FileNotFoundError):
                yield from (path for path in Path(f"{caches}/{kind}{place}").iterdir() if is_environment_id(path.name))
