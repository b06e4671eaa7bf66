"""Bisection over generations: which one is tried next, and what is refused. Mixtures of wheels: tests/store/test_mixture.py."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from storectl_daemon.errors import BisectionError, UnknownGenerationError
from storectl_daemon.jobs.options import Job
from storectl_daemon.warming.bisection import Asked, Neighbours, next_generation
from storectl_store.digest import EnvironmentId
from storectl_store.environments.halving import Outcome
from storectl_store.projects.history import Generation

GOOD, BAD, SKIPPED = Outcome.GOOD, Outcome.BAD, Outcome.SKIPPED


def history(environments: str) -> list[Generation]:
    """Generations from number 1 on, one for each letter: that names its environment."""
    return [
        Generation(
            number=number,
            at_ns=number,
            key="default",
            environment=EnvironmentId(letter),
            inputs="",
            branch=None,
            commit=None,
            snapshot="",
        )
        for number, letter in enumerate(environments, 1)
    ]


def asked(good: int | None = None, bad: int | None = None, **shown: Outcome) -> Asked:
    outcomes = {EnvironmentId(name): outcome for name, outcome in shown.items()}
    return Asked(job=Job(project=Path("/project")), good=good, bad=bad, outcomes=outcomes)


def searched(
    generations: Sequence[Generation], judged: dict[str, Outcome], good: int | None = None, bad: int | None = None
) -> tuple[Neighbours, str]:
    """The neighbours, and the environments that had to be tried for them, in order."""
    shown: dict[str, Outcome] = {}
    while not isinstance(found := next_generation(generations, asked(good, bad, **shown)), Neighbours):
        environment = str(found[0].environment)
        assert environment not in shown
        shown[environment] = judged[environment]
    return found, "".join(shown)


def test_both_ends_are_tried_first_the_last_and_then_the_oldest() -> None:
    generations = history("abcde")
    assert next_generation(generations, asked()) == (generations[4], 0)
    assert next_generation(generations, asked(e=BAD)) == (generations[0], 0)
    assert next_generation(generations, asked(e=BAD, a=GOOD)) == (generations[2], 4)


def test_the_first_bad_generation_is_found_in_as_many_tries_as_halving_takes() -> None:
    letters = [chr(0x4E00 + place) for place in range(50)]
    judged = {letter: BAD if place >= 17 else GOOD for place, letter in enumerate(letters)}
    found, tried = searched(history("".join(letters)), judged)
    assert (found.good.number, found.bad.number) == (17, 18)
    assert len(tried) <= 2 + 6


def test_generations_with_one_environment_are_tried_once() -> None:
    found, tried = searched(history("abababac"), {"a": GOOD, "b": GOOD, "c": BAD})
    assert (found.good.number, found.bad.number) == (7, 8)
    assert tried == "cab"


def test_what_cannot_be_judged_is_skipped_and_told() -> None:
    found, _ = searched(history("abcdef"), {"a": GOOD, "b": GOOD, "c": SKIPPED, "d": SKIPPED, "e": BAD, "f": BAD})
    assert (found.good.number, found.bad.number) == (2, 5)
    assert [each.number for each in found.between] == [3, 4]


def test_if_the_oldest_cannot_be_judged_the_next_one_is_tried() -> None:
    found, tried = searched(history("abcd"), {"a": SKIPPED, "b": GOOD, "c": BAD, "d": BAD})
    assert (found.good.number, found.bad.number) == (2, 3)
    assert tried == "dabc"


def test_the_two_ends_may_be_named() -> None:
    found, tried = searched(history("abcdef"), {"b": GOOD, "c": GOOD, "d": BAD, "e": BAD}, 2, 5)
    assert (found.good.number, found.bad.number) == (3, 4)
    assert set(tried) <= set("bcde")


def test_the_good_one_may_be_the_later_one_to_find_what_mended_something() -> None:
    found, _ = searched(history("abcd"), {"a": BAD, "b": BAD, "c": GOOD, "d": GOOD}, 4, 1)
    assert (found.good.number, found.bad.number) == (3, 2)


@pytest.mark.parametrize(
    ("generations", "question", "message"),
    [
        ("", asked(), "/project has no history with these options"),
        ("ab", asked(b=GOOD), "generation 2 is good, and a bad one is needed to begin with"),
        ("ab", asked(b=SKIPPED), "generation 2 could not be judged, and a bad one is needed to begin with"),
        ("ab", asked(b=BAD, a=BAD), "generation 1 is bad, and a good one is needed to begin with"),
        ("ab", asked(1, 2, b=BAD, a=SKIPPED), "generation 1 could not be judged, and a good one is needed to begin"),
        ("ab", asked(7, b=BAD), "there is no generation 7 of /project; its history has 1 to 2"),
        ("aba", asked(1, 3, a=BAD), "generations 1 and 3 have the same environment"),
        ("a", asked(a=BAD), "no other environment before generation 1 is left to compare with"),
        ("aa", asked(a=BAD), "no other environment before generation 2 is left to compare with"),
    ],
)
def test_what_has_nothing_to_find_is_refused(generations: str, question: Asked, message: str) -> None:
    with pytest.raises((BisectionError, UnknownGenerationError)) as refused:
        next_generation(history(generations), question)
    assert refused.value.message.startswith(message)
    assert refused.value.hint
