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

Both are between two changes of ``GENERATION``, if others read the store.

A crash in between leaves what recovery knows: an environment that is there or not, or an entry without a manifest.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from storectl_shim.leases import LEASED
from storectl_store.collecting.belt import Process
from storectl_store.collecting.doomed import DoomedEntry, doomed_entry
from storectl_store.collecting.guards import Guards, Lease
from storectl_store.collecting.holds import Deciding, Holds
from storectl_store.collecting.leases import AT_ONCE
from storectl_store.collecting.mark import Subject
from storectl_store.collecting.named import Named
from storectl_store.digest import Digest, EnvironmentId
from storectl_store.disk.durability import disk_errors, fsync_folder
from storectl_store.entries.bytecode_files import side_manifests_by_entry
from storectl_store.entries.generation import taking_away
from storectl_store.entries.store import Store
from storectl_store.entries.trash import discard

Thing = TypeVar("Thing", EnvironmentId, Digest)
_TOGETHER = 4
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


Outcome = Spared | None
"""What became of something: why it stays, or None if it went."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What went and what stayed. ``processes`` are those that were seen to use what was dead, by what they use."""

    environments: tuple[EnvironmentId, ...] = ()
    entries: tuple[Digest, ...] = ()
    spared: Mapping[Subject, Spared] = field(default_factory=dict)
    processes: Mapping[Subject, tuple[Process, ...]] = field(default_factory=dict)


_SYSTEM = Guards()


def _nothing(_environment: EnvironmentId) -> None:
    """Forget nothing."""


def _always() -> bool:
    return True


class Sweep:
    """Takes away what is dead. One at a time has a store; the caller is its writer.

    ``holds`` must be remembering since before the roots were read. ``forget`` is called for each environment that went,
    while nothing can become held: whoever remembers something of it drops that at once.
    """

    def __init__(
        self,
        store: Store,
        holds: Holds,
        guards: Guards = _SYSTEM,
        *,
        forget: Callable[[EnvironmentId], None] = _nothing,
    ) -> None:
        self._store = store
        self._layout = store.layout
        self._holds = holds
        self._guards = guards
        self._forget = forget

    def environments(self, dead: Sequence[EnvironmentId], *, proceed: Callable[[], bool] = _always) -> Swept:
        """Take these environments away, in batches. ``proceed`` is called before each; if it is false, the rest stays.

        Raises StoreError if the disk refuses. Some may be gone then.
        """
        outcomes: dict[EnvironmentId, Outcome] = dict.fromkeys(dead, Spared.LATER)
        processes: dict[Subject, tuple[Process, ...]] = {}
        with disk_errors(f"collect environments of {self._layout.root}"), self._taking_away(dead):
            for batch in _batches(dead, AT_ONCE):
                if not proceed():
                    break
                found, seen = self._take_environments(batch)
                outcomes |= found
                processes |= {each: seen[each] for each in batch if each in seen}
        return Swept(environments=_gone(outcomes), spared=_spared(outcomes), processes=processes)

    def entries(self, dead: Sequence[Digest], *, proceed: Callable[[], bool] = _always) -> Swept:
        """Take these entries away, unless an environment names them by now. ``proceed`` is as for ``environments``.

        Raises StoreError if the disk refuses, or an environment cannot be looked at. Some entries may be gone then.
        """
        outcomes: dict[Digest, Outcome] = dict.fromkeys(dead, Spared.LATER)
        with disk_errors(f"collect entries of {self._layout.root}"), self._taking_away(dead):
            looked = self._look()
            try:
                for batch in _batches(dead, _TOGETHER):
                    if not proceed():
                        break
                    outcomes |= self._take_entries(batch, looked)
            finally:
                fsync_folder(self._layout.meta)
        gone = _gone(outcomes)
        self._uncatalogue(gone)
        return Swept(entries=gone, spared=_spared(outcomes), processes=looked.processes)

    def _taking_away(self, dead: Sequence[object]) -> AbstractContextManager[None]:
        """What is around the taking. If nothing is taken, no reader of the store has to look again."""
        return taking_away(self._layout) if dead else nullcontext()

    def _take_environments(
        self, batch: Sequence[EnvironmentId]
    ) -> tuple[dict[EnvironmentId, Outcome], Mapping[EnvironmentId, tuple[Process, ...]]]:
        """Move some environments into the trash, at most ``AT_ONCE``. Returns what became of each, and who was seen."""
        outcomes: dict[EnvironmentId, Outcome] = {}
        with ExitStack() as stack:
            leases = {environment: self._lease(environment, stack) for environment in batch}
            free = any(not isinstance(lease, Spared) for lease in leases.values())
            seen = self._guards.seen(self._layout.root).environments if free else {}
            for environment, lease in leases.items():
                if isinstance(lease, Spared):
                    outcomes[environment] = lease
                elif environment in seen:
                    outcomes[environment] = Spared.SEEN
                else:
                    outcomes[environment] = self._take_environment(environment, lease)
        for environment in _gone(outcomes):
            self._layout.pack(environment).unlink(missing_ok=True)
        return outcomes, seen

    def _lease(self, environment: EnvironmentId, stack: ExitStack) -> Lease | Spared:
        """The lease of the environment, which lasts as long as the stack; or why there is none.

        A damaged environment that has nothing to lease is left to ``verify``.
        """
        folder = self._layout.environment(environment)
        try:
            lease = self._guards.lease(folder / LEASED)
        except OSError:
            return Spared.UNKNOWN if os.path.lexists(folder) else Spared.GONE
        if lease is None:
            return Spared.LEASED
        stack.callback(lease.close)
        return lease

    def _take_environment(self, environment: EnvironmentId, lease: Lease) -> Outcome:
        """Move the environment into the trash, unless a warm holds it or somebody waits for it."""
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

    def _look(self) -> "_Looked":
        """See what is there, once, and have it last that environments are gone that have been taken away."""
        named = Named(self._layout)
        named.look()
        fsync_folder(self._layout.environments)
        fsync_folder(self._layout.trash)
        return _Looked(
            named=named,
            seen=self._guards.seen(self._layout.root).entries,
            side_manifests=side_manifests_by_entry(self._layout),
        )

    def _take_entries(self, batch: Sequence[Digest], looked: "_Looked") -> dict[Digest, Outcome]:
        """Move some entries into the trash, unless a warm holds them or an environment names them.

        While this decides, nothing becomes held, and nobody lets go of anything. So if an environment comes after the
        look, its entries are held.
        """
        doomed = [doomed_entry(self._store, digest, looked.side_manifests) for digest in batch]
        with self._holds.deciding() as deciding:
            looked.named.look()
            return {entry.digest: self._take_entry(entry, looked, deciding) for entry in doomed}

    def _take_entry(self, entry: DoomedEntry, looked: "_Looked", deciding: Deciding) -> Outcome:
        if deciding.is_held(entry.digest):
            return Spared.HELD
        if looked.named.is_named(entry.digest):
            return Spared.NAMED
        if looked.is_seen(entry):
            return Spared.SEEN
        try:
            if any(map(self._guards.is_used, entry.programs)):
                return Spared.USED
        except OSError:
            return Spared.UNKNOWN
        return self._discard(entry)

    def _discard(self, entry: DoomedEntry) -> Outcome:
        """Move the entry into the trash. Its manifest goes first: without it the rest is half an entry."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Looked:
    """What was seen before the first entry goes.

    ``seen`` are the processes that name an entry, by its address ``<name>/<prefix>``; ``side_manifests`` are by the hex
    digits of the entry. ``processes`` are those that were in the way.
    """

    named: Named
    seen: Mapping[str, tuple[Process, ...]]
    side_manifests: Mapping[str, Sequence[Path]]
    processes: dict[Subject, tuple[Process, ...]] = field(default_factory=dict)

    def is_seen(self, entry: DoomedEntry) -> bool:
        """Whether a process names the entry."""
        found = [each for folder in entry.folders for each in self.seen.get(f"{folder.parent.name}/{folder.name}", ())]
        if found:
            self.processes[entry.digest] = tuple(found)
        return bool(found)


def _batches(things: Sequence[Thing], size: int) -> Iterator[Sequence[Thing]]:
    return (things[start : start + size] for start in range(0, len(things), size))


def _gone(outcomes: Mapping[Thing, Outcome]) -> tuple[Thing, ...]:
    return tuple(each for each, outcome in outcomes.items() if outcome is None)


def _spared(outcomes: Mapping[Thing, Outcome]) -> dict[Subject, Spared]:
    return {each: outcome for each, outcome in outcomes.items() if outcome is not None}
