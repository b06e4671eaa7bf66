"""Mark: live and dead follow from inventory and roots, and ``why`` says from which root."""

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from storectl_store.collecting.inventory import Inventory, StoredEnvironment
from storectl_store.collecting.mark import DeadClass, Marked, mark
from storectl_store.collecting.roots import Root, RootKind
from storectl_store.digest import Digest, EnvironmentId, digest_of_hex

NOW = 1_000_000.0
GRACE = 3600.0
KINDS: tuple[RootKind, ...] = ("current", "front", "generation", "prefetch", "pin", "hold", "lease")


def entry(number: int) -> Digest:
    return digest_of_hex(f"{number:064x}")


def environment_id(number: int) -> EnvironmentId:
    return EnvironmentId(f"{number:032x}")


def environment(
    number: int, *entries: int, age: float = 2 * GRACE, used: float | None = None, readable: bool = True
) -> StoredEnvironment:
    """The environment of these entries, published so many seconds ago."""
    return StoredEnvironment(
        id=environment_id(number),
        digests=frozenset(map(entry, entries)) if readable else None,
        published=NOW - age,
        last_used=NOW - (age if used is None else used),
    )


def store_of(
    environments: Iterable[StoredEnvironment], entries: Iterable[int], *, young: Iterable[int] = ()
) -> Inventory:
    return Inventory(
        environments={each.id: each for each in environments},
        entries={**{entry(n): NOW - 2 * GRACE for n in entries}, **{entry(n): NOW - 1 for n in young}},
    )


def root_of(number: int, kind: RootKind = "current", until: float | None = None) -> Root:
    return Root(kind=kind, environment=environment_id(number), until=until)


def marked(inventory: Inventory, *roots: Root) -> Marked:
    return mark(inventory, roots, now=NOW, grace=GRACE)


def test_an_environment_with_a_root_keeps_its_entries_and_the_others_are_dead() -> None:
    found = marked(store_of([environment(1, 1, 2), environment(2, 2, 3)], range(1, 5)), root_of(1))
    assert found.live_environments == {environment_id(1)}
    assert found.live_entries == {entry(1), entry(2)}
    assert [each.id for each in found.dead_environments] == [environment_id(2)]
    assert found.dead_entries == (entry(3), entry(4))


def test_a_root_of_an_entry_keeps_the_entry_and_no_environment_that_names_it() -> None:
    found = marked(store_of([environment(1, 1, 2)], [1, 2]), Root(kind="pin", digest=entry(1)))
    assert found.live_entries == {entry(1)}
    assert found.live_environments == frozenset()


def test_what_was_published_within_the_grace_is_kept_and_says_until_when() -> None:
    found = marked(store_of([environment(1, 1, age=GRACE - 1), environment(2, 2, age=GRACE)], [1, 2], young=[3]))
    assert found.live_environments == {environment_id(1)}
    assert found.live_entries == {entry(1), entry(3)}
    (young,) = found.why(environment_id(1))
    assert (young.kind, young.until) == ("young", NOW + 1)


def test_what_the_clock_says_is_still_to_be_published_is_kept() -> None:
    assert marked(store_of([environment(1, age=-(10**9))], [])).live_environments == {environment_id(1)}


def test_a_root_whose_time_has_come_keeps_nothing() -> None:
    store = store_of([environment(1, 1)], [1])
    assert marked(store, root_of(1, "prefetch", until=NOW + 1)).dead_environments == ()
    assert marked(store, root_of(1, "prefetch", until=NOW)).live_entries == frozenset()


def test_the_dead_go_by_class_and_in_a_class_the_least_recently_used_first() -> None:
    store = store_of([environment(n, used=used) for n, used in ((1, 50), (2, 60), (3, 90), (4, 80), (5, 70))], [])
    found = marked(
        store,
        root_of(1, "prefetch", until=NOW - 1),
        root_of(2, "generation", until=NOW - 1),
        root_of(3, "current", until=NOW - 1),
        root_of(3, "generation", until=NOW - 1),
    )
    assert [(each.id, each.dead_class) for each in found.dead_environments] == [
        (environment_id(4), DeadClass.ROOTLESS),
        (environment_id(5), DeadClass.ROOTLESS),
        (environment_id(2), DeadClass.GENERATION),
        (environment_id(1), DeadClass.PREFETCH),
        (environment_id(3), DeadClass.UNUSED),
    ]


def test_an_environment_that_cannot_be_read_is_kept_and_no_entry_is_dead() -> None:
    found = marked(store_of([environment(1, readable=False), environment(2, 1)], [1, 2]))
    assert found.unreadable == (environment_id(1),)
    assert found.live_environments == {environment_id(1)}
    assert [each.id for each in found.dead_environments] == [environment_id(2)]
    assert found.dead_entries == ()
    assert found.live_entries == {entry(1), entry(2)}
    assert found.dead_entries_without([environment_id(2)]) == ()


def test_what_a_copy_of_an_environment_names_is_kept() -> None:
    store = Inventory(environments={}, entries={entry(1): 0.0, entry(2): 0.0}, copies=frozenset({entry(1), entry(9)}))
    assert marked(store).live_entries == {entry(1)}


def test_if_only_some_environments_go_the_entries_of_the_others_stay() -> None:
    found = marked(store_of([environment(1, 1, 2), environment(2, 2, 3), environment(3, 4)], range(1, 6)), root_of(3))
    assert found.dead_entries_without([environment_id(1)]) == (entry(1), entry(5))
    assert found.dead_entries_without([]) == (entry(5),)
    assert found.dead_entries_without([environment_id(1), environment_id(2)]) == found.dead_entries


# --- over random stores ---------------------------------------------------------------------------------------------

NUMBERS = st.integers(0, 7)
ENVIRONMENTS = st.builds(
    environment,
    NUMBERS,
    age=st.sampled_from([0.0, GRACE - 1, GRACE, 2 * GRACE]),
    used=st.sampled_from([0.0, 1.0, GRACE]),
).flatmap(
    lambda made: st.frozensets(NUMBERS, max_size=4).map(
        lambda entries: StoredEnvironment(
            id=made.id,
            digests=frozenset(map(entry, entries)),
            published=made.published,
            last_used=made.last_used,
        )
    )
)
STORES = st.builds(
    store_of, st.lists(ENVIRONMENTS, max_size=6), st.frozensets(NUMBERS), young=st.frozensets(NUMBERS, max_size=1)
)
ROOTS = st.lists(
    st.builds(
        Root,
        kind=st.sampled_from(KINDS),
        environment=NUMBERS.map(environment_id),
        until=st.sampled_from([None, NOW - 1, NOW, NOW + 1]),
    )
    | st.builds(Root, kind=st.sampled_from(KINDS), digest=NUMBERS.map(entry)),
    max_size=6,
    unique_by=repr,
)


def by_hand(store: Inventory, roots: Iterable[Root]) -> tuple[frozenset[EnvironmentId], frozenset[Digest]]:
    """What is live, by the definition."""
    valid = [root for root in roots if root.until is None or root.until > NOW]
    rooted = {root.environment for root in valid} | {
        each.id for each in store.environments.values() if each.published > NOW - GRACE
    }
    environments = frozenset(each for each in store.environments if each in rooted)
    named = {digest for each in environments for digest in store.environments[each].digests or ()}
    own = {root.digest for root in valid} | {digest for digest, at in store.entries.items() if at > NOW - GRACE}
    return environments, frozenset(store.entries) & (named | own)


@given(store=STORES, roots=ROOTS)
def test_live_are_the_rooted_environments_with_their_closures_and_the_rooted_entries(
    store: Inventory, roots: list[Root]
) -> None:
    found = marked(store, *roots)
    assert (found.live_environments, found.live_entries) == by_hand(store, roots)
    dead = [each.id for each in found.dead_environments]
    assert sorted([*dead, *found.live_environments]) == sorted(store.environments)
    assert sorted([*found.dead_entries, *found.live_entries]) == sorted(store.entries)
    assert found.dead_entries_without(dead) == found.dead_entries


@given(store=STORES, roots=ROOTS)
def test_why_names_exactly_the_roots_that_keep_a_thing(store: Inventory, roots: list[Root]) -> None:
    """With any one of them alone it is live; without all of them it is dead; a root without which it dies is one."""
    found = marked(store, *roots)
    live = {*found.live_environments, *found.live_entries}
    subjects: list[EnvironmentId | Digest] = [*store.environments, *store.entries]
    for subject in subjects:
        reasons = found.why(subject)
        assert bool(reasons) == (subject in live)
        given_reasons = [root for root in reasons if root.kind != "young"]
        is_young = len(given_reasons) < len(reasons)
        others = [root for root in roots if root not in given_reasons]
        assert is_live(subject, marked(store, *others)) == is_young
        for root in roots:
            assert is_young or is_live(subject, marked(store, root)) == (root in given_reasons)
            if not is_live(subject, marked(store, *(each for each in roots if each != root))):
                assert root in given_reasons or subject not in live


def is_live(subject: EnvironmentId | Digest, found: Marked) -> bool:
    return subject in found.live_environments or subject in found.live_entries
