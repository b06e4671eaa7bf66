"""Who keeps what: every piece of a store with the groups that reach it. Pure.

A piece is an environment with its pack, an entry, an inode that views share, or the folder of a name. A piece that one
group alone reaches is its own; one that several reach is divided among them, in equal parts.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Generic, TypeVar

from storectl_store.collecting.inventory import Inventory
from storectl_store.collecting.measuring import Measured
from storectl_store.digest import Digest, EnvironmentId
from storectl_store.disk.disk_size import BLOCK, NOTHING, DiskSize, sum_of

Key = TypeVar("Key", bound=Hashable)

NAME_FOLDER = DiskSize(1, BLOCK)
"""The folder in which all entries of one name stand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Some environments, such as those of one project, and entries that belong to them though none of them names it."""

    environments: frozenset[EnvironmentId] = frozenset()
    entries: frozenset[Digest] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept(Generic[Key]):
    """The pieces of a store by who reaches them. A set of groups is a number: bit n stands for the nth of ``keys``.

    ``sizes`` has all pieces, ``staying`` those that no collect takes, whoever lets go of them.
    """

    keys: tuple[Key, ...]
    sizes: Mapping[int, DiskSize]
    staying: Mapping[int, DiskSize]

    def own(self) -> dict[Key, DiskSize]:
        """What a collect would free more if the group alone kept nothing any more."""
        return {key: self._free(1 << place) for place, key in enumerate(self.keys)}

    def full(self) -> dict[Key, DiskSize]:
        """All that each group reaches."""
        return {
            key: sum_of(size for keepers, size in self.sizes.items() if keepers >> place & 1)
            for place, key in enumerate(self.keys)
        }

    def share(self) -> dict[Key, DiskSize]:
        """Each group's part of what it reaches. They add up to all that is reached."""
        inodes, taken = ([Fraction(0)] * len(self.keys) for _ in range(2))
        for keepers, size in self.sizes.items():
            for place in _places(keepers):
                inodes[place] += Fraction(size.inodes, keepers.bit_count())
                taken[place] += Fraction(size.bytes, keepers.bit_count())
        return dict(zip(self.keys, map(DiskSize, _whole(inodes), _whole(taken)), strict=True))

    def nobodys(self) -> DiskSize:
        """What the next collect would free: no group reaches it."""
        return self._free(0)

    def _free(self, keepers: int) -> DiskSize:
        return self.sizes.get(keepers, NOTHING) - self.staying.get(keepers, NOTHING)


def kept(inventory: Inventory, measured: Measured, groups: Mapping[Key, Group]) -> Kept[Key]:
    """Find out who reaches each piece that was measured."""
    bits = {key: 1 << place for place, key in enumerate(groups)}
    environments: defaultdict[EnvironmentId, int] = defaultdict(int)
    entries: defaultdict[Digest, int] = defaultdict(int)
    for key, group in groups.items():
        for environment in group.environments:
            environments[environment] |= bits[key]
        for digest in group.entries:
            entries[digest] |= bits[key]
    for environment, keepers in environments.items():
        known = inventory.environments.get(environment)
        for digest in (known.digests or ()) if known is not None else ():
            entries[digest] |= keepers
    sizes: defaultdict[int, DiskSize] = defaultdict(DiskSize)
    staying: defaultdict[int, DiskSize] = defaultdict(DiskSize)
    for keepers, size, stays in _pieces(inventory, measured, environments, entries):
        sizes[keepers] += size
        if stays:
            staying[keepers] += size
    return Kept(keys=tuple(groups), sizes=dict(sizes), staying=dict(staying))


def _pieces(
    inventory: Inventory,
    measured: Measured,
    environments: Mapping[EnvironmentId, int],
    entries: Mapping[Digest, int],
) -> Iterator[tuple[int, DiskSize, bool]]:
    """Each piece: who reaches it, how large it is, and whether it stays in any case."""
    unreadable = set(inventory.unreadable)
    keeping: Counter[int] = Counter()  # names of each inode in views that were measured and may go
    reaching: defaultdict[int, int] = defaultdict(int)
    for environment, view in measured.environments.items():
        keepers = environments.get(environment, 0)
        yield keepers, view.own + view.pack, environment in unreadable
        for inode, count in view.shared.items():
            reaching[inode] |= keepers
            if environment not in unreadable:
                keeping[inode] += count
    for inode, found in measured.shared.items():
        if found.names:  # without a name in a view it is left over, and goes with any collect
            yield reaching[inode], found.size, keeping[inode] < found.names
    yield from _pieces_of_entries(measured, entries, inventory.entries if unreadable else inventory.copies)


def _pieces_of_entries(
    measured: Measured, entries: Mapping[Digest, int], staying: Collection[Digest]
) -> Iterator[tuple[int, DiskSize, bool]]:
    going: Counter[str] = Counter()
    reaching: defaultdict[str, int] = defaultdict(int)
    for digest, entry in measured.entries.items():
        keepers = entries.get(digest, 0)
        yield keepers, entry.size, digest in staying
        reaching[entry.name] |= keepers
        going[entry.name] += digest not in staying
    for name, keepers in reaching.items():
        yield keepers, NAME_FOLDER, going[name] < measured.names.get(name, 0)  # type: ignore[call-overload]


def _places(keepers: int) -> Iterator[int]:
    """The places of the bits that are set."""
    while keepers:
        lowest = keepers & -keepers
        yield lowest.bit_length() - 1
        keepers ^= lowest


def _whole(parts: Sequence[Fraction]) -> list[int]:
    """Whole numbers with the sum of these parts, which is one: those with the largest rests are rounded up."""
    whole = [part.__floor__() for part in parts]
    missing = int(sum(parts)) - sum(whole)
    for place in sorted(range(len(parts)), key=lambda each: whole[each] - parts[each])[:missing]:
        whole[place] += 1
    return whole
