"""What users of one store keep alive: own is what collecting frees, shares add up to the store."""

import random
from collections.abc import Iterable, Iterator
from dataclasses import replace
from operator import attrgetter
from pathlib import Path

import pytest
from packaging.utils import NormalizedName

from storectl_store.collecting.inventory import Inventory, StoredEnvironment, read_inventory
from storectl_store.collecting.keepers import kept
from storectl_store.collecting.measuring import Measured, MeasuredEntry, MeasuredEnvironment, SharedInode
from storectl_store.collecting.node_accounts import groups_of, node_accounts
from storectl_store.collecting.node_roots import NodeRoot
from storectl_store.collecting.pressure import giving_way
from storectl_store.collecting.usage import Part, read_usage
from storectl_store.digest import Digest, EnvironmentId, digest_of_hex
from storectl_store.disk.disk_size import BLOCK, NOTHING, DiskSize, sum_of
from storectl_store.entries.read_only import ReadOnlyStore
from support.environments import interpreters
from support.lived_in import WHEELS, LivedIn, lived_in, walked
from support.stores import digest
from support.wheels import WheelBytes

CATALOGUE = ("index.db", "index.db-wal", "index.db-shm")
ELSEWHERE = EnvironmentId("e" * 32)
"""An environment in a store of a user's own, of which this store has the entries."""

UID = attrgetter("uid")


def root(uid: int, environment: EnvironmentId, digests: Iterable[Digest] = (), *, project: str = "p", seen: int = 1):  # type: ignore[no-untyped-def]
    return NodeRoot(uid=uid, environment=environment, project=project, seen=seen, digests=frozenset(digests))


def digests(*wheels: WheelBytes) -> frozenset[Digest]:
    return frozenset(map(digest, wheels))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[LivedIn]:
    with lived_in(tmp_path / "store", interpreters()[0]) as place:
        yield place


@pytest.fixture
def roots(place: LivedIn) -> list[NodeRoot]:
    """Three users of two environments and of entries that an environment elsewhere shows. Of gamma there is no root."""
    first = place.publish(WHEELS["alpha-1"], WHEELS["beta"])
    second = place.publish(WHEELS["alpha-2"], WHEELS["beta"])
    place.publish(WHEELS["gamma"], WHEELS["beta"])
    place.pack(first, "alpha/__init__.py", "beta.py")
    return [
        root(1, first, digests(WHEELS["alpha-1"], WHEELS["beta"]), project="a"),
        root(2, second, digests(WHEELS["alpha-2"], WHEELS["beta"]), project="b"),
        root(3, second, digests(WHEELS["alpha-2"], WHEELS["beta"]), project="a"),
        root(3, ELSEWHERE, digests(WHEELS["delta"], WHEELS["alpha-1"]), project="c"),
    ]


def taken(place: LivedIn, roots: Iterable[NodeRoot]) -> None:
    """Have all go that none of these roots keeps, as a collect does."""
    inventory, kept_roots = read_inventory(place.written.store), list(roots)
    environments = {each.environment for each in kept_roots} & inventory.environments.keys()
    named = [inventory.environments[each].digests or frozenset() for each in environments]
    live = frozenset[Digest]().union(*named, *(each.digests for each in kept_roots))
    place.collect(inventory.environments.keys() - environments, inventory.entries.keys() - live)


@pytest.mark.parametrize("whose", ["uid", "project"])
def test_shares_and_what_stands_beside_them_are_the_store(place: LivedIn, roots: list[NodeRoot], whose: str) -> None:
    store = place.written.store
    read_usage(store)  # the catalogue grows with the first count
    usage = read_usage(store, exact=True)
    found = node_accounts(usage.inventory, usage.measured, roots, attrgetter(whose))
    shares = sum_of(account.share for account in found.accounts.values())
    parts: tuple[Part, ...] = ("catalogue", "index pages", "projects", "other", "trash", "quarantine", "unfinished")
    beside = sum_of(usage.parts.get(part, NOTHING) for part in parts) + DiskSize(5, 5 * BLOCK)  # five empty top folders
    there = walked(store.layout.root)
    assert (shares + found.nobodys + beside).inodes == pytest.approx(there.inodes, rel=0.001)
    assert (shares + found.nobodys + beside).bytes == pytest.approx(there.bytes, rel=0.001)
    assert usage.beside.inodes == beside.inodes


@pytest.mark.parametrize("uid", [1, 2, 3])
def test_own_is_exactly_what_a_collect_frees(place: LivedIn, roots: list[NodeRoot], uid: int) -> None:
    store = place.written.store
    usage = read_usage(store, exact=True)
    account = node_accounts(usage.inventory, usage.measured, roots, UID).accounts[uid]
    sizes = [walked(store.layout.root, without=CATALOGUE)]
    for left in (roots, [each for each in roots if each.uid != uid]):
        taken(place, left)
        sizes.append(walked(store.layout.root, without=CATALOGUE))
    before, nobodys, after = sizes
    found = node_accounts(usage.inventory, usage.measured, roots, UID)
    assert before - nobodys == found.nobodys
    assert nobodys - after == account.own
    assert (account.own.inodes > 0) == (uid != 2)  # user 3 keeps all that user 2 has


def test_a_store_that_is_only_read_is_counted_alike_and_nothing_is_written(
    place: LivedIn, roots: list[NodeRoot]
) -> None:
    store = place.written.store
    usage = read_usage(store)
    before = walked(store.layout.root)
    other = read_usage(ReadOnlyStore.open(store.layout.root))
    assert other.measured == usage.measured
    accounts = [node_accounts(each.inventory, each.measured, roots, UID).accounts for each in (usage, other)]
    assert accounts[0] == accounts[1]
    assert walked(store.layout.root) == before


def made_up(choice: random.Random) -> tuple[Inventory, Measured, list[NodeRoot]]:
    """A store that is nowhere, with users. Some environments cannot be read, or have names that nobody measured."""
    entries = [digest_of_hex(f"{n:064x}") for n in range(choice.randint(1, 20))]
    ids = [EnvironmentId(f"{n:032x}") for n in range(choice.randint(1, 10))]
    links = {each: choice.sample(range(30), choice.randint(0, 20)) for each in ids}

    def size() -> DiskSize:
        return DiskSize(choice.randint(1, 90), BLOCK * choice.randint(1, 90))

    names = [NormalizedName(f"p{choice.randint(0, 7)}") for _ in entries]
    measured = Measured(
        entries={
            each: MeasuredEntry(name=name, version="1", wheel=size(), bytecode=size(), records=size())
            for each, name in zip(entries, names, strict=True)
        },
        environments={
            each: MeasuredEnvironment(own=size(), shared=dict.fromkeys(links[each], 1), pack=size()) for each in ids
        },
        shared={
            inode: SharedInode(
                size=DiskSize(1, BLOCK),
                names=sum(inode in found for found in links.values()) + (choice.random() < 0.1),
            )
            for inode in {inode for found in links.values() for inode in found}
        },
        names={name: names.count(name) + (choice.random() < 0.1) for name in names},
    )
    stored = {
        each: StoredEnvironment(
            id=each,
            digests=frozenset(choice.sample(entries, choice.randint(0, len(entries)))),
            published=0.0,
            last_used=0.0,
        )
        for each in ids
    }
    if choice.random() < 0.1:
        stored[ids[0]] = replace(stored[ids[0]], digests=None)
    copies = frozenset(choice.sample(entries, 1)) if choice.random() < 0.2 else frozenset[Digest]()
    inventory = Inventory(environments=stored, entries=dict.fromkeys(entries, 0.0), copies=copies)
    roots = [
        root(
            choice.randint(1, 6),
            choice.choice([*ids, ELSEWHERE]),
            choice.sample(entries, choice.randint(0, len(entries) // 2)),
            seen=choice.randint(1, 9),
        )
        for _ in range(choice.randint(0, 12))
    ]
    return inventory, measured, roots


def left_by(inventory: Inventory, measured: Measured, roots: Iterable[NodeRoot]) -> DiskSize:
    """What a store has after a collect with these roots, piece by piece. It is counted from what stays, not what goes."""
    kept_roots, unreadable = list(roots), set(inventory.unreadable)
    environments = {each.environment for each in kept_roots} & inventory.environments.keys() | unreadable
    named = [inventory.environments[each].digests or frozenset() for each in environments]
    live = frozenset(inventory.copies).union(*named, *(each.digests for each in kept_roots))
    entries = set(inventory.entries) if unreadable else set(inventory.entries) & live
    gone = [view for each, view in measured.environments.items() if each not in environments]
    inodes = [
        found.size
        for inode, found in measured.shared.items()
        if found.names > sum(view.shared.get(inode, 0) for view in gone)
    ]
    folders = [
        DiskSize(1, BLOCK)
        for name, count in measured.names.items()
        if count > sum(entry.name == name and each not in entries for each, entry in measured.entries.items())
    ]
    views = (measured.environments[each] for each in environments)
    return sum_of([
        *(view.own + view.pack for view in views),
        *(measured.entries[each].size for each in entries),
        *inodes,
        *folders,
    ])  # fmt: skip


@pytest.mark.parametrize("seed", range(60))
def test_in_random_stores_own_is_what_the_rest_has_less_and_shares_are_all_that_is_reached(seed: int) -> None:
    inventory, measured, roots = made_up(random.Random(seed))
    found = node_accounts(inventory, measured, roots, UID)
    everything = list(inventory.environments)
    whole = left_by(inventory, measured, [root(1, each, inventory.entries) for each in everything])
    with_all = left_by(inventory, measured, roots)
    assert found.nobodys == whole - with_all
    for uid, account in found.accounts.items():
        assert account.own == with_all - left_by(inventory, measured, [each for each in roots if each.uid != uid])
        assert account.own.inodes <= account.share.inodes + 1  # a share is rounded
        assert account.share.inodes <= account.full.inodes
    sizes = kept(inventory, measured, groups_of(roots, UID)).sizes
    reached = sum_of(size for keepers, size in sizes.items() if keepers)
    assert sum_of(account.share for account in found.accounts.values()) == reached


def test_who_is_most_over_the_limit_gives_way_first_and_nobody_within_it(place: LivedIn, roots: list[NodeRoot]) -> None:
    usage = read_usage(place.written.store)
    inventory, measured = usage.inventory, usage.measured
    own = {uid: each.own for uid, each in node_accounts(inventory, measured, roots, UID).accounts.items()}
    nobodys = node_accounts(inventory, measured, roots, UID).nobodys.bytes
    tight = {1: DiskSize(1, own[1].bytes * 10), 3: DiskSize(0, own[3].bytes // 3)}
    assert giving_way(inventory, measured, roots, limits=tight, wanted=nobodys) == []
    assert giving_way(inventory, measured, roots, limits=tight, wanted=nobodys + 1) == roots[:1]  # by its inodes
    everything = giving_way(inventory, measured, roots, limits=tight, wanted=10**15)
    assert everything[0] == roots[0]
    assert {each.uid for each in everything} == {1, 3}
    wide = {uid: DiskSize(10**9, 10**15) for uid in (1, 2, 3)}
    assert giving_way(inventory, measured, roots, limits=wide, wanted=10**15) == []
    assert giving_way(inventory, measured, roots, limits={}, wanted=10**15) == []


def test_of_one_user_the_root_that_was_renewed_longest_ago_goes_first(place: LivedIn, roots: list[NodeRoot]) -> None:
    usage = read_usage(place.written.store)
    aged = [replace(each, seen=9 - place) for place, each in enumerate(roots)]
    found = giving_way(usage.inventory, usage.measured, aged, limits={3: DiskSize(1, 1)}, wanted=10**15)
    assert [each.environment for each in found][:1] == [ELSEWHERE]
