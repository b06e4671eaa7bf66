"""Recovery: before the writer works, it moves what a crash left into the trash. A second recovery finds nothing to do.

It works by names and renames, so that it costs the same for big and small entries. It deletes nothing that may be big:
``trash.empty_trash`` does that later, while the store is in use.

An entry without a manifest and a manifest without an entry are halves. No reader sees either as an entry, and both go.
A half that an environment shows was not left by a crash: its other half was lost in some other way. Such halves stay,
so that programs go on, and ``verify`` finds them.
"""

import os
import re
import sqlite3
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

from storectl_store.digest import Digest, hex_of, prefix_of
from storectl_store.disk.durability import disk_errors
from storectl_store.entries.layout import UNPUBLISHED, StoreLayout
from storectl_store.entries.opened import close_noted
from storectl_store.entries.placing import close_placed
from storectl_store.entries.store import Store
from storectl_store.entries.trash import delete_tree, discard
from storectl_store.entries.version_file import UNFINISHED_VERSION
from storectl_store.entries.writer import Writer

_MANIFEST = re.compile(r"([0-9a-f]{64})(?:\..+\.pyc)?\.json")  # of an entry, or of its bytecode

_SEALED = 0o555  # the mode of every folder of an environment


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """What was swept away.

    ``sessions`` and ``environments`` are folder names, ``halves`` are ``name/prefix``, ``manifests`` are file names in
    ``meta/``. ``sealed`` are environments that stay, and could be written; ``closed`` are folders with other modes than
    they should have, as paths below ``store/``. ``catalogue`` is the number of its rows that changed.
    """

    sessions: tuple[str, ...] = ()
    halves: tuple[str, ...] = ()
    manifests: tuple[str, ...] = ()
    environments: tuple[str, ...] = ()
    sealed: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()
    catalogue: int = 0

    def __bool__(self) -> bool:
        return self != Recovered()


def recover(store: Store, writer: Writer, *, shown: Callable[[], AbstractSet[Digest]] = frozenset) -> Recovered:
    """Sweep the store, which the writer holds. It does this before it starts anything else.

    ``shown`` gives the digests that environments name; it is called only if there are halves. Raises StoreError if the
    disk refuses.
    """
    layout = store.layout
    with disk_errors(f"recover the store {layout.root}"):
        _delete_unfinished(layout)
        keep = _Shown(shown)
        manifests = _delete_lone_manifests(store, keep)
        halves = _discard_halves(store, keep)
        closed = _close_folders(layout, writer)
        return Recovered(
            closed=closed,
            sessions=_discard_other_sessions(layout, writer),
            halves=halves,
            manifests=manifests,
            environments=_discard_unfinished_environments(layout),
            sealed=_seal_environments(layout),
            catalogue=_reconcile(store),
        )


def _delete_unfinished(layout: StoreLayout) -> None:
    """Delete the files that a crash during the making of the store left beside VERSION."""
    for name in os.listdir(layout.root):
        if name.startswith(UNFINISHED_VERSION):
            delete_tree(layout.root / name)


def _discard_other_sessions(layout: StoreLayout, writer: Writer) -> tuple[str, ...]:
    left = _other_sessions(layout, writer)
    for name in left:
        discard(layout, layout.tmp / name, kind="session")
    return tuple(left)


def _other_sessions(layout: StoreLayout, writer: Writer) -> list[str]:
    return sorted(name for name in os.listdir(layout.tmp) if name != writer.session.name)


def _close_folders(layout: StoreLayout, writer: Writer) -> tuple[str, ...]:
    """Close the folders of entries that a writer had opened for a moment when it ended, or had just placed.

    A power cut may have undone the last mode of what was placed after the last barrier. A writer that ended well leaves
    no session, and nothing is looked at.
    """
    left = _other_sessions(layout, writer)
    noted = [path for name in left for path in close_noted(layout, layout.tmp / name)]
    return (*noted, *close_placed(layout)) if left else ()


def _discard_unfinished_environments(layout: StoreLayout) -> tuple[str, ...]:
    names = sorted(name for name in os.listdir(layout.environments) if name.startswith(UNPUBLISHED))
    for name in names:
        discard(layout, layout.environments / name, kind="environment")
    return tuple(names)


def _seal_environments(layout: StoreLayout) -> tuple[str, ...]:
    """Close the folders of environments that were being moved, or had just been: a folder that moves is writable."""
    with os.scandir(layout.environments) as found:
        open_ones = [each for each in found if each.is_dir(follow_symlinks=False) and each.stat().st_mode & 0o222]
    for folder in open_ones:
        os.chmod(folder.path, _SEALED)
    return tuple(sorted(folder.name for folder in open_ones))


def _addresses(layout: StoreLayout) -> list[str]:
    """Everything at a path that an entry may have, as ``name/prefix``; a file beside the name folders counts as one."""
    with os.scandir(layout.entries) as found:
        names = [(folder.name, folder.is_dir(follow_symlinks=False)) for folder in found]
    addresses = []
    for name, is_folder in sorted(names):
        children = sorted(os.listdir(layout.entries / name)) if is_folder else []
        addresses += [f"{name}/{child}" for child in children] or [name]
    return addresses


class _Shown:
    """The entries that environments name, by hex digits and by prefix; found out when first asked for."""

    def __init__(self, digests: Callable[[], AbstractSet[Digest]]) -> None:
        self._digests = digests

    @cached_property
    def names(self) -> frozenset[str]:
        """Hex digits and prefixes of all digests that environments name."""
        digests = self._digests()
        return frozenset(map(hex_of, digests)) | frozenset(map(prefix_of, digests))


def _delete_lone_manifests(store: Store, shown: _Shown) -> tuple[str, ...]:
    """Delete manifests without an entry, side manifests without a manifest, and unfinished files of either kind.

    An entry is known by its prefix: no crash moves an entry below another name, and if a person does, ``verify`` finds
    it.
    """
    standing = {address.rpartition("/")[2] for address in _addresses(store.layout)}
    visible = {hex_of(digest) for digest in store.digests() if prefix_of(digest) in standing}
    lone = sorted(name for name in os.listdir(store.layout.meta) if _is_lone(name, visible))
    deleted = [name for name in lone if name.startswith(".") or name.partition(".")[0] not in shown.names]
    for name in deleted:
        (store.layout.meta / name).unlink()
    return tuple(deleted)


def _is_lone(name: str, visible: set[str]) -> bool:
    manifest = _MANIFEST.fullmatch(name)
    return name.startswith(".") if manifest is None else manifest[1] not in visible


def lone_entries(store: Store, shown: Callable[[], AbstractSet[Digest]]) -> list[str]:
    """Everything at the path of an entry that is neither visible nor shown by an environment, as ``name/prefix``."""
    return _halves(store, _Shown(shown))


def _halves(store: Store, shown: _Shown) -> list[str]:
    visible = {prefix_of(digest) for digest in store.digests()}
    found = [address for address in _addresses(store.layout) if address.rpartition("/")[2] not in visible]
    return [address for address in found if address.rpartition("/")[2] not in shown.names]


def _discard_halves(store: Store, shown: _Shown) -> tuple[str, ...]:
    halves = _halves(store, shown)
    for half in halves:
        discard(store.layout, store.layout.entries / half, kind="half")
        _delete_if_empty(store.layout, half)
    return tuple(halves)


def _delete_if_empty(layout: StoreLayout, address: str) -> None:
    """Delete the name folder of this address with its last entry."""
    name, separator, _ = address.rpartition("/")
    if separator:
        with suppress(OSError):
            os.rmdir(layout.entries / name)


def _reconcile(store: Store) -> int:
    """Make the catalogue list what is visible. Returns how many rows changed.

    A catalogue that fails is left for later.
    """
    with suppress(sqlite3.Error):
        known, visible = store.catalogue.digests(), set(store.digests())
        gone = known - visible
        new = list(store.readable(visible - known))
        if gone:
            store.catalogue.remove(gone)
        if new:
            store.catalogue.add(new)
        return len(gone) + len(new)
    return 0
