"""Sweep: what is dead goes into the trash, unless it is used after all. Each thing is looked at again before it goes.

Environments go first, in batches:

1. a lease of each: nobody has it open, and who opens it now has to wait;
2. one look at all processes: who closed what the lease is on is seen by its command line, variables or mappings;
3. each that nobody holds is renamed into the trash; who waited finds it gone, and has it made again;
4. the leases are let go.

Then the entries that no environment names any more:

1. the folders of environments and of the trash are synced: no power cut brings a view back whose entries are gone;
2. of each that nobody holds, names or has open: the manifest goes, the bytecode's side manifests, then the folder;
3. ``meta/`` is synced, and the catalogue told.

A crash in between leaves what recovery knows: an environment that is there or not, or an entry without a manifest.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from storectl_store.collecting.doomed import DoomedEntry, doomed_entry, side_manifests_by_entry
from storectl_store.collecting.guards import Guards, Lease
from storectl_store.collecting.holds import Deciding, Holds
from storectl_store.collecting.inventory import LEASED_FILE
from storectl_store.collecting.mark import Subject
from storectl_store.collecting.named import Named
from storectl_store.digest import Digest, EnvironmentId
from storectl_store.disk.durability import disk_errors, fsync_folder
from storectl_store.entries.store import Store
from storectl_store.entries.trash import discard

T = TypeVar("T")

AT_ONCE = 200
"""So many environments have a lease at a time: each is an open file, and who starts a program may wait for it."""

_TOGETHER = 16
"""So many entries are decided on at a time, in about a millisecond. A warm may have to wait for that."""


class Spared(StrEnum):
    """Why something that was dead has stayed."""

    HELD = "a warm works with it"
    LEASED = "a program runs in it"
    SEEN = "a process was seen that uses it"
    NAMED = "an environment names it"
    USED = "a program has a file of it open"
    UNKNOWN = "nobody can tell whether it is used"
    GONE = "it was gone already"
    LATER = "the sweep was stopped before"


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What went and what stayed. ``processes`` are what is known of programs that were seen in an environment."""

    environments: tuple[EnvironmentId, ...] = ()
    entries: tuple[Digest, ...] = ()
    spared: Mapping[Subject, Spared] = field(default_factory=dict)
    processes: Mapping[EnvironmentId, Sequence[object]] = field(default_factory=dict)

    def __add__(self, other: "Swept") -> "Swept":
        """Both."""
        return Swept(
            environments=self.environments + other.environments,
            entries=self.entries + other.entries,
            spared={**self.spared, **other.spared},
            processes={**self.processes, **other.processes},
        )


def _nothing(_environment: EnvironmentId) -> None:
    """Forget nothing."""


def _always() -> bool:
    return True


class Sweep:
    """Takes away what is dead. One at a time has a store; the caller is its writer.

    ``holds`` must be remembering since before the roots were read. ``forget`` is called for each environment that went,
    while nothing can become held: whoever remembers something of it drops that at once. No environment may go in
    another way while entries are swept.
    """

    def __init__(
        self, store: Store, holds: Holds, guards: Guards, *, forget: Callable[[EnvironmentId], None] = _nothing
    ) -> None:
        self._store = store
        self._layout = store.layout
        self._holds = holds
        self._guards = guards
        self._forget = forget

    def environments(self, dead: Sequence[EnvironmentId], *, proceed: Callable[[], bool] = _always) -> Swept:
        """Take these environments away, in batches. ``proceed`` is called before each; if it is false, the rest stays.

        Raises StoreError if the disk refuses. Some may be gone then; no entry may go before the store was looked at
        anew.
        """
        swept = Swept()
        with disk_errors(f"collect environments of {self._layout.root}"):
            for batch in _batches(dead, AT_ONCE):
                swept += self._batch(batch) if proceed() else _spared(batch, Spared.LATER)
        return swept

    def entries(self, dead: Sequence[Digest], *, proceed: Callable[[], bool] = _always) -> Swept:
        """Take these entries away, unless an environment names them by now. ``proceed`` is as for ``environments``.

        Raises StoreError if the disk refuses, or an environment cannot be looked at. Some entries may be gone then.
        """
        swept = Swept()
        with disk_errors(f"collect entries of {self._layout.root}"):
            named = Named(self._layout)
            named.look()
            fsync_folder(self._layout.environments)
            fsync_folder(self._layout.trash)
            sides = side_manifests_by_entry(self._layout)
            try:
                for batch in _batches(dead, _TOGETHER):
                    if proceed():
                        swept += self._decide([doomed_entry(self._store, digest, sides) for digest in batch], named)
                    else:
                        swept += _spared(batch, Spared.LATER)
            finally:
                fsync_folder(self._layout.meta)
        self._uncatalogue(swept.entries)
        return swept

    def _batch(self, batch: Sequence[EnvironmentId]) -> Swept:
        """Take some environments away, at most ``AT_ONCE``."""
        with ExitStack() as stack:
            leases, spared = self._leases(batch, stack)
            seen = self._guards.seen(self._layout.environments) if leases else {}
            for environment in leases.keys() & seen.keys():
                leases.pop(environment).close()
                spared[environment] = Spared.SEEN
            for environment, lease in leases.items():
                outcome = self._take_environment(environment, lease)
                lease.close()
                if outcome is not None:
                    spared[environment] = outcome
        gone = tuple(environment for environment in batch if environment not in spared)
        for environment in gone:
            self._layout.pack(environment).unlink(missing_ok=True)
        processes = {environment: seen[environment] for environment in batch if environment in seen}
        return Swept(environments=gone, spared=spared, processes=processes)

    def _leases(
        self, batch: Sequence[EnvironmentId], stack: ExitStack
    ) -> tuple[dict[EnvironmentId, Lease], dict[Subject, Spared]]:
        """The leases of those that nobody has open, which are let go of with the stack; and why the others stay."""
        leases: dict[EnvironmentId, Lease] = {}
        spared: dict[Subject, Spared] = {}
        for environment in batch:
            lease = self._lease(environment)
            if isinstance(lease, Spared):
                spared[environment] = lease
            else:
                leases[environment] = lease
                stack.callback(lease.close)
        return leases, spared

    def _lease(self, environment: EnvironmentId) -> Lease | Spared:
        """The lease of the environment, or why there is none. One that is damaged is left to ``verify``."""
        folder = self._layout.environment(environment)
        try:
            return self._guards.lease(folder / LEASED_FILE) or Spared.LEASED
        except OSError:
            return Spared.UNKNOWN if os.path.lexists(folder) else Spared.GONE

    def _take_environment(self, environment: EnvironmentId, lease: Lease) -> Spared | None:
        """Move the environment into the trash. Returns why not, if it stays."""
        with self._holds.deciding() as deciding:
            if deciding.is_held(environment):
                return Spared.HELD
            if not lease.held():
                return Spared.LEASED
            try:
                discard(self._layout, self._layout.environment(environment), kind="environment")
            except FileNotFoundError:
                return Spared.GONE
            self._forget(environment)
        return None

    def _decide(self, batch: Sequence[DoomedEntry], named: Named) -> Swept:
        """Take some entries away. Nothing becomes held, and nobody lets go of anything, while this lasts.

        So an environment that comes after the look is one whose entries are held.
        """
        with self._holds.deciding() as deciding:
            named.look()
            outcomes = {entry.digest: self._take_entry(entry, named, deciding) for entry in batch}
        gone = tuple(digest for digest, outcome in outcomes.items() if outcome is None)
        return Swept(entries=gone, spared={digest: outcome for digest, outcome in outcomes.items() if outcome})

    def _take_entry(self, entry: DoomedEntry, named: Named, deciding: Deciding) -> Spared | None:
        """Move the entry into the trash. Returns why not, if it stays."""
        if deciding.is_held(entry.digest):
            return Spared.HELD
        if named.is_named(entry.digest):
            return Spared.NAMED
        try:
            if any(map(self._guards.is_used, entry.programs)):
                return Spared.USED
        except OSError:
            return Spared.UNKNOWN
        try:
            entry.manifest.unlink()
        except FileNotFoundError:
            return Spared.GONE
        for path in entry.side_manifests:
            path.unlink(missing_ok=True)
        for folder in entry.folders:
            with suppress(FileNotFoundError):
                discard(self._layout, folder, kind="entry")
            with suppress(OSError):  # there are other versions in it
                os.rmdir(folder.parent)
        return None

    def _uncatalogue(self, entries: Sequence[Digest]) -> None:
        """Tell the catalogue, which may be behind without harm. An entry may have been made anew meanwhile."""
        gone = [digest for digest in entries if not self._store.has(digest)]
        if gone:
            with suppress(sqlite3.Error, OSError):
                self._store.catalogue.remove(gone)


def _batches(things: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (things[start : start + size] for start in range(0, len(things), size))


def _spared(things: Sequence[Subject], why: Spared) -> Swept:
    return Swept(spared=dict.fromkeys(things, why))
