"""What the whole store takes up, part by part. The parts add up to the store."""

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from storectl_store.collecting.accounts import reached
from storectl_store.collecting.inventory import Inventory, read_inventory
from storectl_store.collecting.measuring import Measured, Pace, measure, no_pace, size_below
from storectl_store.digest import prefix_of
from storectl_store.disk.disk_size import BLOCK, NOTHING, DiskSize, size_of, sum_of
from storectl_store.entries.layout import StoreLayout
from storectl_store.entries.read_only import ReadOnlyStore

Part = Literal[
    "wheels", "bytecode", "manifests", "environments", "links", "packs", "sources", "index pages", "builds", "projects",
    "catalogue", "unfinished", "trash", "quarantine", "other",
]  # fmt: skip
"""The parts of a store. ``sources`` are clones of repositories, ``unfinished`` is what is being made."""

PARTS: tuple[Part, ...] = get_args(Part)

_OF_NAME: Mapping[str, Part] = {
    "store": "wheels", "meta": "manifests", "environments": "environments", "links": "links", "packs": "packs",
    "git": "sources", "urls": "index pages", "builds": "builds", "projects": "projects", "projects.json": "projects",
    "shortcuts": "projects",
    "index.db": "catalogue", "index.db-wal": "catalogue", "index.db-shm": "catalogue", "tmp": "unfinished",
    "trash": "trash", "quarantine": "quarantine",
}  # fmt: skip
_MEASURED = ("store", "meta", "environments", "links", "packs")
"""The folders whose contents are counted piece by piece; of them only the folder itself is looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a store takes up. Only parts that take up something are in ``parts``."""

    inventory: Inventory
    measured: Measured
    parts: Mapping[Part, DiskSize]

    @property
    def total(self) -> DiskSize:
        """The whole store."""
        return sum_of(self.parts.values())

    @property
    def beside(self) -> DiskSize:
        """What the store has beside entries and environments: it is nobody's."""
        return self.total - reached(self.measured, self.measured.environments, self.measured.entries)


def read_usage(store: ReadOnlyStore, *, exact: bool = False, pace: Pace = no_pace) -> Usage:
    """Measure the store. With ``exact`` every inode of it is asked for its size.

    Raises StoreError or OSError if something cannot be looked at, other than because it has gone.
    """
    inventory = read_inventory(store)
    measured = measure(store, inventory.environments, inventory.entries, exact=exact, pace=pace)
    sizes: defaultdict[Part, list[DiskSize]] = defaultdict(list)
    for part, size in (*_counted(measured), *_rest(store.layout, inventory, measured, pace)):
        sizes[part].append(size)
    sums = {part: sum_of(sizes[part]) for part in PARTS}
    return Usage(
        inventory=inventory, measured=measured, parts={part: size for part, size in sums.items() if size != NOTHING}
    )


def _counted(measured: Measured) -> Iterator[tuple[Part, DiskSize]]:
    for entry in measured.entries.values():
        yield "wheels", entry.wheel
        yield "bytecode", entry.bytecode
        yield "manifests", entry.records
    for view in measured.environments.values():
        yield "environments", view.own
        yield "packs", view.pack
    for inode in measured.shared.values():
        yield "links", inode.size


def _rest(layout: StoreLayout, inventory: Inventory, measured: Measured, pace: Pace) -> Iterator[tuple[Part, DiskSize]]:
    """What is neither an entry nor an environment."""
    yield "other", size_of(os.lstat(layout.root))
    for child in _children(layout.root):
        part = _OF_NAME.get(child.name, "other")
        with suppress(FileNotFoundError):
            yield part, size_of(os.lstat(child)) if child.name in _MEASURED else size_below(Path(child), pace=pace)
    yield from _beside_entries(layout, measured, pace)
    for child in _children(layout.meta):
        if f"sha256:{child.name.partition('.')[0]}" not in measured.entries:
            yield "unfinished", size_below(Path(child))
    for child in _children(layout.environments):
        if child.name not in inventory.environments:
            yield "unfinished", size_below(Path(child), pace=pace, known=measured.shared)
    packed = {environment for environment, view in measured.environments.items() if view.pack != NOTHING}
    for child in _children(layout.packs):
        if child.name not in packed:
            yield "packs", size_below(Path(child))


def _beside_entries(layout: StoreLayout, measured: Measured, pace: Pace) -> Iterator[tuple[Part, DiskSize]]:
    """The folders of names, and what stands in them that is no entry, such as half of one."""
    known = {prefix_of(digest) for digest in measured.entries}
    for name in _children(layout.entries):
        pace()
        yield "wheels", DiskSize(1, BLOCK)
        for child in _children(Path(name)) if name.is_dir(follow_symlinks=False) else ():
            if child.name not in known:
                yield "unfinished", size_below(Path(child), pace=pace)


def _children(folder: Path) -> list[os.DirEntry[str]]:
    """What is in the folder; nothing if it is not there."""
    with suppress(FileNotFoundError), os.scandir(folder) as found:
        return list(found)
    return []
