"""Accounts: what goes if environments and entries go, by closed sets. Pure: an inventory and what was measured go in.

Names are not bytes. An entry is shown by many environments, and views share links. So nothing is divided up: an entry
goes with a set of environments if all that name it are in the set, a shared inode if all of its names are.

``full`` is all that something reaches, ``own`` is what would go with it, ``shared`` is the rest, which others reach
too. What is shared counts for each of those that share it, so that only ``own`` may be added up. ``share`` divides it:
all shares together are what is reached (``keepers``).
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from packaging.utils import NormalizedName

from storectl_store.collecting.inventory import Inventory
from storectl_store.collecting.keepers import NAME_FOLDER, Group, kept
from storectl_store.collecting.measuring import Measured
from storectl_store.digest import Digest, EnvironmentId
from storectl_store.disk.disk_size import DiskSize, sum_of

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What one thing reaches. ``last_used`` is in seconds of the system clock, None if no environment shows it."""

    environments: int
    entries: int
    own: DiskSize
    full: DiskSize
    share: DiskSize
    last_used: float | None

    @property
    def shared(self) -> DiskSize:
        """What others reach, too."""
        return self.full - self.own


def freed(measured: Measured, environments: Collection[EnvironmentId], entries: Collection[Digest]) -> DiskSize:
    """The inodes and bytes that go when these go, as far as they were measured: what is gone already counts nothing.

    No environment that stays may name one of the entries.
    """
    views = [measured.environments[each] for each in environments if each in measured.environments]
    gone = [measured.entries[each] for each in entries if each in measured.entries]
    names: Counter[int] = Counter()
    for view in views:
        names.update(view.shared)
    by_name = Counter(entry.name for entry in gone)
    return sum_of([
        *(view.own + view.pack for view in views),
        *(entry.size for entry in gone),
        *(measured.shared[inode].size for inode, count in names.items() if count == measured.shared[inode].names),
        *(NAME_FOLDER for name, count in by_name.items() if count == measured.names[name]),
    ])  # fmt: skip


def loose_links(measured: Measured) -> DiskSize:
    """What the links take up that no view has any more."""
    return sum_of(inode.size for inode in measured.shared.values() if inode.names == 0)


def left_over(measured: Measured) -> DiskSize:
    """What goes with any collect: such links, and packs and records of builds of what is gone already."""
    return loose_links(measured) + measured.left


def reached(measured: Measured, environments: Iterable[EnvironmentId], entries: Iterable[Digest]) -> DiskSize:
    """The inodes and bytes of all that these consist of, whether others have it, too, or not."""
    views = [measured.environments[each] for each in environments if each in measured.environments]
    found = [measured.entries[each] for each in entries if each in measured.entries]
    return sum_of([
        *(view.own + view.pack for view in views),
        *(entry.size for entry in found),
        *(measured.shared[inode].size for inode in {inode for view in views for inode in view.shared}),
        *(NAME_FOLDER for _ in {entry.name for entry in found}),
    ])  # fmt: skip


def by_group(inventory: Inventory, measured: Measured, groups: Mapping[Key, Group]) -> dict[Key, Account]:
    """The account of each group. They may overlap: an environment of two groups is neither's own."""
    naming = inventory.back_references()
    owners = Counter(each for group in groups.values() for each in group.environments)
    accounts, share = {}, kept(inventory, measured, groups).share()
    for key, group in groups.items():
        entries = _entries_of(inventory, measured, group)
        alone = frozenset(each for each in group.environments if owners[each] == 1)
        accounts[key] = Account(
            environments=len(group.environments & measured.environments.keys()),
            entries=len(entries),
            own=freed(measured, alone, _closed(inventory, naming, alone, entries)),
            full=reached(measured, group.environments, entries),
            share=share[key],
            last_used=last_used_of(inventory, group.environments),
        )
    return accounts


def by_package(inventory: Inventory, measured: Measured) -> dict[NormalizedName, Account]:
    """The account of all entries of each name. They are nobody else's, so all of it is its own."""
    naming = inventory.back_references()
    named: defaultdict[NormalizedName, list[Digest]] = defaultdict(list)
    for digest, entry in measured.entries.items():
        named[entry.name].append(digest)
    accounts = {}
    for name, digests in named.items():
        environments = {each for digest in digests for each in naming.get(digest, ())}
        size = reached(measured, (), digests)
        accounts[name] = Account(
            environments=len(environments),
            entries=len(digests),
            own=size,
            full=size,
            share=size,
            last_used=last_used_of(inventory, environments),
        )
    return accounts


def by_age(
    inventory: Inventory, measured: Measured, *, now: float, ages: Sequence[float]
) -> list[tuple[float, Account]]:
    """The account of all that was used last within each age, in seconds, and not within the one before it.

    ``own`` is what would go with these if everything older were gone already: from the oldest on, it adds up to what
    would go if nothing were kept that is older than that. Environments older than all ages belong to the last one.
    """
    naming = inventory.back_references()
    aged: list[set[EnvironmentId]] = [set() for _ in ages]
    for environment in inventory.environments.values():
        within = (place for place, age in enumerate(ages) if now - environment.last_used <= age)
        aged[next(within, len(ages) - 1)].add(environment.id)
    accounts: list[tuple[float, Account]] = []
    share = kept(
        inventory,
        measured,
        {age: Group(environments=frozenset(found)) for age, found in zip(ages, aged, strict=True)},
    ).share()
    older: frozenset[EnvironmentId] = frozenset()
    unnamed = unnamed_entries(inventory)
    gone = freed(measured, (), unnamed)
    for age, environments in reversed([*zip(ages, aged, strict=True)]):
        older |= environments
        entries = _entries_of(inventory, measured, Group(environments=frozenset(environments)))
        named = _entries_of(inventory, measured, Group(environments=older))
        closed = _closed(inventory, naming, older, named) | unnamed
        before, gone = gone, freed(measured, older, closed)
        account = Account(
            environments=len(environments),
            entries=len(entries),
            own=gone - before,
            full=reached(measured, environments, entries),
            share=share[age],
            last_used=last_used_of(inventory, environments),
        )
        accounts.append((age, account))
    return accounts[::-1]


def unnamed_entries(inventory: Inventory) -> frozenset[Digest]:
    """The entries that no environment names."""
    return frozenset(inventory.entries.keys() - inventory.back_references().keys() - inventory.copies)


def _entries_of(inventory: Inventory, measured: Measured, group: Group) -> frozenset[Digest]:
    """The entries of a group that were measured."""
    known = (inventory.environments.get(each) for each in group.environments)
    named = (environment.digests or frozenset() for environment in known if environment is not None)
    return group.entries.union(*named) & measured.entries.keys()


def _closed(
    inventory: Inventory,
    naming: Mapping[Digest, Collection[EnvironmentId]],
    environments: frozenset[EnvironmentId],
    entries: frozenset[Digest],
) -> frozenset[Digest]:
    """Those of these entries that no other environment names.

    There are none if one stays of which nobody knows what it names.
    """
    if not environments.issuperset(inventory.unreadable):
        return frozenset()
    return frozenset(each for each in entries - inventory.copies if environments.issuperset(naming.get(each, ())))


def last_used_of(inventory: Inventory, environments: Iterable[EnvironmentId]) -> float | None:
    """When the one of these that was used last was used, in seconds; None if none of them is there."""
    known = inventory.environments
    return max((known[each].last_used for each in environments if each in known), default=None)
