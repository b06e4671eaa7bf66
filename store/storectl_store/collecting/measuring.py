"""Measure what entries and environments take up on disk, piece by piece, with as few calls as that can be done.

Entries are counted in the catalogue; those that are not, or whose bytecode is another now, are counted here and then
kept there. A store that is only read has no catalogue: all of its entries are counted here, and nothing is kept.

In views nearly all names are links of the folder ``links/``, whose inodes are looked at once: a view is then read by
listing its folders. ``pace`` is called between pieces, so that the caller can take breaks.
"""

import os
import sqlite3
import stat
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from packaging.utils import NormalizedName

from storectl_store.digest import Digest, EnvironmentId
from storectl_store.disk.disk_size import NOTHING, DiskSize, size_of, sum_of
from storectl_store.entries.catalogue import Summary, summary_of
from storectl_store.entries.disk_use import (
    OF_WHEEL,
    DiskUse,
    EntryRecords,
    is_counted,
    records_by_entry,
    use_of_wheel,
    uses_of_bytecode,
)
from storectl_store.entries.layout import StoreLayout
from storectl_store.entries.provenance import builds_by_entry
from storectl_store.entries.read_only import ReadOnlyStore
from storectl_store.entries.store import Store

Pace = Callable[[], None]

_BATCH = 200  # entries that are counted before the catalogue keeps them


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredEntry:
    """One entry. ``wheel`` is what the wheel brought, ``records`` are its manifest and its side manifests.

    ``builds`` are the records of builds that produced it.
    """

    name: NormalizedName
    version: str
    wheel: DiskSize
    bytecode: DiskSize
    records: DiskSize
    builds: DiskSize = NOTHING

    @property
    def size(self) -> DiskSize:
        """All that goes with the entry, but the folder of its name."""
        return self.wheel + self.bytecode + self.records + self.builds


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredEnvironment:
    """One environment. ``own`` are the inodes of its folder that have no name elsewhere.

    ``shared`` are the other inodes, with the number of names that they have in this view.
    """

    own: DiskSize
    shared: Mapping[int, int]
    pack: DiskSize = NOTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedInode:
    """An inode that views share. ``names`` is the number of its names without that in ``links/``."""

    size: DiskSize
    names: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What was measured. ``names`` is the number of entries, measured or not, in the folder of each name.

    ``left`` are packs of environments, and records of builds of entries, that are gone. Links have no names then.
    """

    entries: Mapping[Digest, MeasuredEntry]
    environments: Mapping[EnvironmentId, MeasuredEnvironment]
    shared: Mapping[int, SharedInode]
    names: Mapping[NormalizedName, int]
    left: DiskSize = NOTHING


def no_pace() -> None:
    """Take no breaks."""


def measure(
    store: ReadOnlyStore,
    environments: Iterable[EnvironmentId],
    entries: Iterable[Digest],
    *,
    exact: bool = False,
    pace: Pace = no_pace,
) -> Measured:
    """Measure these environments and entries; those that are gone are left out. May raise OSError.

    With ``exact`` every inode of every entry is asked for its size.
    """
    views = _Views(store.layout, pace)
    found = {each: view for each in environments if (view := views.measure(each)) is not None}
    builds = builds_by_entry(store.layout)
    measured = _Entries(store, builds, exact=exact, pace=pace).measure(entries)
    return Measured(
        entries=measured,
        environments=found,
        shared=views.shared,
        names={name: _children(store.layout.entries_of(name)) for name in {entry.name for entry in measured.values()}},
        left=_sizes([*_packs_left(store.layout), *_builds_left(store, builds)]),
    )


def size_below(path: Path, *, pace: Pace = no_pace, known: Container[int] = ()) -> DiskSize:
    """What a file, or a folder with all that is in it, takes up; nothing if it is not there.

    An inode with several names counts once, and not at all if it is among the ``known``.
    """
    seen, sizes = set[int](), []
    for status in _below(path, pace):
        if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
            if status.st_ino in seen or status.st_ino in known:
                continue
            seen.add(status.st_ino)
        sizes.append(size_of(status))
    return sum_of(sizes)


def _below(path: Path, pace: Pace) -> Iterator[os.stat_result]:
    """The status of a file, or of a folder and of all that is below it, as far as it is there."""
    with suppress(FileNotFoundError):
        status = os.lstat(path)
        yield status
        if stat.S_ISDIR(status.st_mode):
            for child in _walked(path, pace):
                with suppress(FileNotFoundError):
                    yield child.stat(follow_symlinks=False)


class _Views:
    """Measures views. ``shared`` grows with what is found in them; it begins as what ``links/`` has."""

    def __init__(self, layout: StoreLayout, pace: Pace) -> None:
        self._layout = layout
        self._pace = pace
        self.shared = {inode: _shared(status, kept=1) for inode, status in _statuses(layout.links)}

    def measure(self, environment: EnvironmentId) -> MeasuredEnvironment | None:
        """What the view takes up, with its pack; None if it is gone."""
        folder = self._layout.environment(environment)
        try:
            own = [size_of(os.lstat(folder))]
        except FileNotFoundError:
            return None
        names: Counter[int] = Counter()
        for child in _walked(folder, self._pace):
            inode = child.inode()
            if inode in self.shared:
                names[inode] += 1
                continue
            with suppress(FileNotFoundError):
                status = child.stat(follow_symlinks=False)
                if status.st_nlink > 1 and not child.is_dir(follow_symlinks=False):
                    self.shared[inode] = _shared(status, kept=0)
                    names[inode] += 1
                else:
                    own.append(size_of(status))
        return MeasuredEnvironment(own=sum_of(own), shared=dict(names), pack=size_below(self._layout.pack(environment)))


def _walked(folder: Path, pace: Pace) -> Iterator[os.DirEntry[str]]:
    """Everything below the folder, as far as it is there."""
    waiting = [os.fspath(folder)]
    while waiting:
        pace()
        with suppress(FileNotFoundError), os.scandir(waiting.pop()) as found:
            for child in found:
                if child.is_dir(follow_symlinks=False):
                    waiting.append(child.path)
                yield child


def _shared(status: os.stat_result, *, kept: int) -> SharedInode:
    return SharedInode(size=size_of(status), names=status.st_nlink - kept)


def _statuses(folder: Path) -> Iterator[tuple[int, os.stat_result]]:
    """The inode, as the listing has it, and the status of everything in the folder, as far as it is there."""
    with suppress(FileNotFoundError), os.scandir(folder) as found:
        for child in found:
            with suppress(FileNotFoundError):
                yield child.inode(), child.stat(follow_symlinks=False)


def _children(folder: Path) -> int:
    with suppress(FileNotFoundError):
        return len(os.listdir(folder))
    return 0


class _Entries:
    """Measures entries of one store."""

    def __init__(
        self, store: ReadOnlyStore, builds: Mapping[Digest, Sequence[Path]], *, exact: bool, pace: Pace
    ) -> None:
        self._store = store
        self._catalogue = store.catalogue if isinstance(store, Store) else None
        self._builds = builds
        self._exact = exact
        self._pace = pace

    def measure(self, digests: Iterable[Digest]) -> dict[Digest, MeasuredEntry]:
        """What each of these entries takes up; those that are gone are left out."""
        found, new = {}, dict[Digest, list[DiskUse]]()
        for digest in digests:
            entry = self._entry(digest, new)
            if entry is not None:
                found[digest] = entry
            if len(new) >= _BATCH:
                self._keep(new)
            self._pace()
        self._keep(new)
        return found

    def _keep(self, new: dict[Digest, list[DiskUse]]) -> None:
        if new and self._catalogue is not None:
            self._catalogue.put_uses(new)
        new.clear()

    @cached_property
    def _records(self) -> Mapping[Digest, EntryRecords]:
        return records_by_entry(self._store.layout)

    @cached_property
    def _uses(self) -> Mapping[Digest, Mapping[str, DiskUse]]:
        return self._catalogue.uses() if self._catalogue is not None else {}

    @cached_property
    def _summaries(self) -> Mapping[Digest, Summary]:
        with suppress(sqlite3.Error, OSError):
            if self._catalogue is not None:
                return {summary.digest: summary for summary in self._catalogue.summaries()}
        return {}

    def _entry(self, digest: Digest, new: dict[Digest, list[DiskUse]]) -> MeasuredEntry | None:
        records = self._records.get(digest)
        if records is None:
            return None
        uses = self._uses.get(digest, {})
        summary = self._summaries.get(digest)
        if summary is None or not is_counted(uses, records.sides):
            manifest = self._store.usable_manifest(digest)
            if manifest is None:
                return None
            summary, folder = summary_of(manifest), self._store.entry_folder(manifest)
            new[digest] = [use_of_wheel(manifest), *uses_of_bytecode(manifest, folder, records.sides)]
            uses = {use.tag: use for use in new[digest]}
        bytecode = sum_of(use.size for tag, use in uses.items() if tag != OF_WHEEL)
        entry = MeasuredEntry(
            name=summary.name,
            version=summary.version,
            wheel=uses[OF_WHEEL].size,
            bytecode=bytecode,
            records=records.size,
            builds=_sizes(self._builds.get(digest, ())),
        )
        return self._exactly(digest, entry) if self._exact else entry

    def _exactly(self, digest: Digest, entry: MeasuredEntry) -> MeasuredEntry:
        whole = size_below(self._store.layout.entry(entry.name, digest), pace=self._pace)
        return replace(entry, wheel=whole - entry.bytecode)


def _packs_left(layout: StoreLayout) -> Iterator[Path]:
    with suppress(FileNotFoundError):
        for name in map(EnvironmentId, os.listdir(layout.packs)):
            if not layout.environment(name).exists():
                yield layout.pack(name)


def _builds_left(store: ReadOnlyStore, builds: Mapping[Digest, Sequence[Path]]) -> Iterator[Path]:
    for digest, paths in builds.items():
        if not store.has(digest):
            yield from paths


def _sizes(paths: Iterable[Path]) -> DiskSize:
    """What these files take up, as far as they are there."""
    sizes = []
    for path in paths:
        with suppress(FileNotFoundError):
            sizes.append(size_of(os.lstat(path)))
    return sum_of(sizes)
