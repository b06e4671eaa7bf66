"""Random stores that are nowhere: what goes with something is what the whole store has more than the rest of it."""

import random
from collections import Counter

import pytest
from packaging.utils import NormalizedName

from storectl_store.collecting.accounts import by_age, by_group, freed, reached, unnamed_entries
from storectl_store.collecting.inventory import Inventory, StoredEnvironment
from storectl_store.collecting.keepers import Group
from storectl_store.collecting.measuring import Measured, MeasuredEntry, MeasuredEnvironment, SharedInode
from storectl_store.digest import Digest, EnvironmentId, digest_of_hex
from storectl_store.disk.disk_size import BLOCK, DiskSize

NOW = 1_000_000.0


def made_up(choice: random.Random) -> tuple[Inventory, Measured]:
    """A store: entries of some names, environments that name some of them and share links."""
    digests = [digest_of_hex(f"{n:064x}") for n in range(choice.randint(1, 25))]
    ids = [EnvironmentId(f"{n:032x}") for n in range(choice.randint(0, 12))]
    named = {each: frozenset(choice.sample(digests, choice.randint(0, len(digests)))) for each in ids}
    links = {each: Counter(choice.choices(range(40), k=choice.randint(0, 30))) for each in ids}
    names = sum(links.values(), Counter())

    def size() -> DiskSize:
        return DiskSize(choice.randint(1, 90), BLOCK * choice.randint(1, 90))

    entries = {
        each: MeasuredEntry(
            name=NormalizedName(f"p{choice.randint(0, 9)}"),
            version="1",
            wheel=size(),
            bytecode=size(),
            records=size(),
        )
        for each in digests
    }
    measured = Measured(
        entries=entries,
        environments={each: MeasuredEnvironment(own=size(), shared=dict(links[each]), pack=size()) for each in ids},
        shared={inode: SharedInode(size=DiskSize(1, BLOCK), names=count) for inode, count in names.items()},
        names=Counter(entry.name for entry in entries.values()),
    )
    stored = {
        each: StoredEnvironment(id=each, digests=named[each], published=0.0, last_used=NOW - 10 ** choice.uniform(0, 7))
        for each in ids
    }
    return Inventory(environments=stored, entries=dict.fromkeys(digests, 0.0)), measured


def rest(inventory: Inventory, measured: Measured, gone: frozenset[EnvironmentId], also: frozenset[Digest]) -> DiskSize:
    """What is left without these environments, without the entries that only they name, and without ``also``."""
    left = inventory.environments.keys() - gone
    named = frozenset().union(*(inventory.environments[each].digests or () for each in left))
    unnamed = unnamed_entries(inventory) - also
    return reached(measured, left, named | unnamed)


@pytest.mark.parametrize("seed", range(25))
def test_what_goes_with_a_group_is_what_the_rest_has_less(seed: int) -> None:
    choice = random.Random(seed)
    inventory, measured = made_up(choice)
    ids = sorted(inventory.environments)
    groups = {n: Group(environments=frozenset(choice.sample(ids, choice.randint(0, len(ids))))) for n in range(4)}
    owners = Counter(each for group in groups.values() for each in group.environments)
    nothing = frozenset[Digest]()
    whole = rest(inventory, measured, frozenset(), nothing)
    for key, account in by_group(inventory, measured, groups).items():
        alone = frozenset(each for each in groups[key].environments if owners[each] == 1)
        assert account.own == whole - rest(inventory, measured, alone, nothing)
        assert account.shared.inodes >= 0
        assert account.shared.bytes >= 0


@pytest.mark.parametrize("seed", range(25))
def test_from_the_oldest_on_ages_add_up_to_what_the_younger_have_less(seed: int) -> None:
    inventory, measured = made_up(random.Random(seed))
    unnamed = unnamed_entries(inventory)
    whole = rest(inventory, measured, frozenset(), frozenset())
    gone = freed(measured, (), unnamed)
    ages = [10.0, 1000.0, 100_000.0, float("inf")]
    for (_, account), younger in reversed(
        [*zip(by_age(inventory, measured, now=NOW, ages=ages), [0.0, *ages], strict=False)]
    ):
        gone += account.own
        old = frozenset(each.id for each in inventory.environments.values() if NOW - each.last_used > younger)
        assert gone == whole - rest(inventory, measured, old if younger else frozenset(inventory.environments), unnamed)
