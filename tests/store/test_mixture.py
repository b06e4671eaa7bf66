"""Which wheel broke it: mixtures of two environments whose wheels fit each other, and how few of them have to be tried."""

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import pytest
from packaging.utils import NormalizedName

from storectl_store.digest import digest_of_hex
from storectl_store.environments.halving import Found, Outcome, Try, Undecided, next_step
from storectl_store.environments.mixture import Mixing, Wheel

Names = frozenset[NormalizedName]
MARKERS = {"python_version": "3.12", "sys_platform": "linux"}


def wheel(name: str, version: str, *requires: str) -> Wheel:
    content = digest_of_hex(f"{random.Random(f'{name} {version}').getrandbits(256):064x}")
    return Wheel(name=NormalizedName(name), version=version, digest=content, requires_dist=requires)


def versions(mixing: Mixing, *taken: str) -> dict[str, str]:
    return {each.name: each.version for each in mixing.wheels(map(NormalizedName, taken))}


def needs(mixing: Mixing) -> dict[str, set[str]]:
    return {str(name): {*needed} for name, needed in mixing.needs.items()}


def names(found: Iterable[str]) -> list[str]:
    return sorted(found)


def searched(
    mixing: Mixing, judge: Callable[[Mapping[str, str]], Outcome]
) -> tuple[Found[NormalizedName] | Undecided[NormalizedName], list[Names]]:
    """The result, and the mixtures that had to be tried for it."""
    shown: dict[Names, Outcome] = {}
    while True:
        step = next_step(mixing.needs, shown.get)
        if not isinstance(step, Try):
            return step, list(shown)
        assert step.taken not in shown
        shown[step.taken] = judge(versions(mixing, *step.taken))


class TestWhatChanges:
    def test_a_project_with_another_wheel_is_a_change_and_one_with_the_same_is_not(self) -> None:
        mixing = Mixing([wheel("a", "1"), wheel("b", "1")], [wheel("a", "1"), wheel("b", "2")], MARKERS)
        assert list(mixing.changes) == ["b"]

    def test_what_came_and_what_went_are_changes(self) -> None:
        mixing = Mixing([wheel("gone", "1")], [wheel("new", "1")], MARKERS)
        assert list(mixing.changes) == ["gone", "new"]
        assert versions(mixing) == {"gone": "1"}
        assert versions(mixing, "new") == {"gone": "1", "new": "1"}
        assert versions(mixing, "gone") == {}

    def test_the_same_wheel_from_another_place_is_a_change(self) -> None:
        here = wheel("a", "1")
        assert list(Mixing([here], [replace(here, direct_url="{}")], MARKERS).changes) == ["a"]


class TestNeeds:
    def test_a_new_wheel_needs_the_new_wheel_that_it_requires(self) -> None:
        mixing = Mixing(
            [wheel("numpy", "2.0"), wheel("pandas", "2.2", "numpy>=1.26")],
            [wheel("numpy", "2.1"), wheel("pandas", "2.3", "numpy>=2.1")],
            MARKERS,
        )
        assert needs(mixing) == {"numpy": set(), "pandas": {"numpy"}}

    def test_an_old_wheel_goes_as_soon_as_what_it_requires_goes(self) -> None:
        mixing = Mixing(
            [wheel("numpy", "1.26"), wheel("pandas", "2.2", "numpy<2")],
            [wheel("numpy", "2.1"), wheel("pandas", "2.3", "numpy")],
            MARKERS,
        )
        assert needs(mixing) == {"numpy": {"pandas"}, "pandas": set()}

    def test_wheels_that_need_each_other_move_as_one_and_the_one_that_requires_is_named_first(self) -> None:
        mixing = Mixing(
            [wheel("numpy", "2.0"), wheel("pandas", "2.2", "numpy<2.1")],
            [wheel("numpy", "2.1"), wheel("pandas", "2.3", "numpy>=2.1")],
            MARKERS,
        )
        assert [group.names for group in mixing.groups.values()] == [("pandas", "numpy")]
        assert needs(mixing) == {"pandas": set()}
        assert versions(mixing, "pandas") == {"numpy": "2.1", "pandas": "2.3"}

    def test_needs_are_followed_to_their_end(self) -> None:
        mixing = Mixing(
            [wheel("a", "1", "b"), wheel("b", "1", "c"), wheel("c", "1")],
            [wheel("a", "2", "b>=2"), wheel("b", "2", "c>=2"), wheel("c", "2")],
            MARKERS,
        )
        assert needs(mixing) == {"a": {"b", "c"}, "b": {"c"}, "c": set()}

    def test_what_came_is_needed_and_what_went_stays_as_long_as_it_is_required(self) -> None:
        mixing = Mixing(
            [wheel("app", "1", "gone"), wheel("gone", "1")], [wheel("app", "2", "new"), wheel("new", "1")], MARKERS
        )
        assert needs(mixing) == {"app": {"new"}, "gone": {"app", "new"}, "new": set()}

    def test_a_requirement_for_another_platform_needs_nothing(self) -> None:
        mixing = Mixing(
            [wheel("a", "1"), wheel("b", "1")],
            [wheel("a", "2", "b>=2; sys_platform == 'win32'"), wheel("b", "2")],
            MARKERS,
        )
        assert needs(mixing)["a"] == set()

    def test_a_requirement_of_an_extra_counts_if_the_extra_is_asked_for(self) -> None:
        extra = "b>=2; extra == 'fast'"
        old = [wheel("a", "1"), wheel("b", "1"), wheel("c", "1")]
        not_asked = [wheel("a", "2", extra), wheel("b", "2"), wheel("c", "1")]
        assert needs(Mixing(old, not_asked, MARKERS)) == {"a": set(), "b": set()}
        asked = [wheel("a", "2", extra), wheel("b", "2"), wheel("c", "2", "a[fast]")]
        assert needs(Mixing(old, asked, MARKERS)) == {"a": {"b"}, "b": set(), "c": set()}

    def test_a_requirement_that_its_own_environment_does_not_meet_was_overridden_there(self) -> None:
        mixing = Mixing(
            [wheel("a", "1"), wheel("b", "1")], [wheel("a", "2", "b>=3", "absent"), wheel("b", "2")], MARKERS
        )
        assert needs(mixing)["a"] == set()
        assert mixing.conflict([NormalizedName("a")]) is None

    def test_metadata_that_nobody_can_read_needs_nothing(self) -> None:
        mixing = Mixing(
            [wheel("a", "1"), wheel("b", "2004d")],
            [wheel("a", "2", "b (>=what", "b>=1", "b; python_full_version > 'x'"), wheel("b", "of-today")],
            MARKERS,
        )
        assert needs(mixing)["a"] == set()

    def test_a_mixture_that_needs_do_not_keep_away_is_told_as_a_conflict(self) -> None:
        """The old `a` has an extra that only the new `c` asks for, and nothing meets what it requires for it."""
        mixing = Mixing(
            [wheel("a", "1", "b>=3; extra == 'fast'"), wheel("b", "1"), wheel("c", "1")],
            [wheel("a", "2"), wheel("b", "1"), wheel("c", "2", "a[fast]")],
            MARKERS,
        )
        assert mixing.conflict([NormalizedName("c")]) == "a 1 requires b>=3; extra == 'fast', and b is 1"
        assert mixing.conflict([NormalizedName("a"), NormalizedName("c")]) is None


def bad_if(*bad: str) -> Callable[[Mapping[str, str]], Outcome]:
    """A program that fails with the new wheels of all of these."""
    return lambda there: Outcome.BAD if all(there[name] == "2" for name in bad) else Outcome.GOOD


def forty(rng: random.Random | None = None, *, tied: float = 0.0) -> Mixing:
    """Forty wheels, all of them changed. Each may require the new or the old wheels of others that come after it."""
    rng = rng or random.Random(0)
    all_names = [f"w{number:02}" for number in range(40)]

    def wheels(version: str, required: str) -> list[Wheel]:
        later = [(name, all_names[place + 1 :]) for place, name in enumerate(all_names)]
        return [
            wheel(name, version, *(f"{rng.choice(names)}{required}" for _ in "ab" if names and rng.random() < tied))
            for name, names in later
        ]

    return Mixing(wheels("1", "<2"), wheels("2", ">=2"), MARKERS)


class TestHowManyTries:
    @pytest.mark.parametrize("seed", range(100))
    def test_one_bad_wheel_of_forty_that_require_each_other_is_found_in_at_most_ten_tries(self, seed: int) -> None:
        rng = random.Random(seed)
        mixing = forty(rng, tied=rng.choice([0.0, 0.1, 0.2, 0.3]))
        culprit = f"w{rng.randrange(40):02}"
        found, tried = searched(mixing, bad_if(culprit))
        assert isinstance(found, Found)
        assert culprit in mixing.groups[found.change].names
        assert (found.alone, found.rest) == (Outcome.BAD, Outcome.GOOD)
        assert len(tried) <= 10
        for taken in tried:
            assert all(mixing.needs[each] <= taken for each in taken)
            assert mixing.conflict(taken) is None

    def test_these_cases_have_conflicts_and_groups(self) -> None:
        """The control of the test above: without looking at requirements most mixtures would not fit."""
        rng = random.Random(7)
        mixing = forty(rng, tied=0.3)
        halves = [frozenset(rng.sample(sorted(mixing.changes), 20)) for _ in range(50)]
        assert any(group.others for group in mixing.groups.values())
        assert sum(any(not mixing.needs.get(each, frozenset()) <= half for each in half) for half in halves) > 25

    def test_without_ties_the_tries_are_those_of_halving_and_two_to_confirm(self) -> None:
        _, tried = searched(forty(), bad_if("w23"))
        assert len(tried) <= 8

    def test_a_single_change_needs_no_try(self) -> None:
        found, tried = searched(Mixing([wheel("a", "1")], [wheel("a", "2")], MARKERS), bad_if("a"))
        assert isinstance(found, Found)
        assert found.change == "a"
        assert tried == []


class TestMoreThanOneToBlame:
    def test_if_each_alone_makes_it_fail_one_is_found_and_it_is_told_that_the_rest_fails_too(self) -> None:
        found, _ = searched(forty(), lambda there: Outcome.BAD if "2" in (there["w05"], there["w31"]) else Outcome.GOOD)
        assert isinstance(found, Found)
        assert found.change in ("w05", "w31")
        assert (found.alone, found.rest) == (Outcome.BAD, Outcome.BAD)

    def test_if_only_both_make_it_fail_one_is_found_and_it_is_told_that_it_is_good_alone(self) -> None:
        found, _ = searched(forty(), bad_if("w05", "w31"))
        assert isinstance(found, Found)
        assert found.change in ("w05", "w31")
        assert {"w05", "w31"} - {found.change} <= found.before
        assert (found.alone, found.rest) == (Outcome.GOOD, Outcome.GOOD)


class TestSkips:
    def test_a_mix_that_cannot_be_judged_is_passed_by(self) -> None:
        """Two wheels do not work apart, which nothing says: half of all mixtures cannot be judged."""

        def judge(there: Mapping[str, str]) -> Outcome:
            return Outcome.SKIPPED if there["w10"] != there["w30"] else bad_if("w05")(there)

        found, tried = searched(forty(), judge)
        assert isinstance(found, Found)
        assert found.change == "w05"
        assert len(tried) <= 16

    def test_if_all_are_skipped_the_changes_that_are_left_are_named(self) -> None:
        def judge(there: Mapping[str, str]) -> Outcome:
            return Outcome.SKIPPED if there["w10"] != there["w30"] else bad_if("w10")(there)

        found, _ = searched(forty(), judge)
        assert isinstance(found, Undecided)
        assert names(found.changes) == ["w10", "w30"]

    def test_in_a_chain_every_link_that_is_left_is_tried(self) -> None:
        links = [f"{number:02}" for number in range(20)]
        needs = {link: frozenset(links[:place]) for place, link in enumerate(links)}
        tried = set()
        while isinstance(step := next_step(needs, lambda mix: Outcome.SKIPPED if mix in tried else None), Try):
            tried.add(step.taken)
        assert isinstance(step, Undecided)
        assert len(tried) == 19
