"""Halving: which one of many changes makes a program fail. Pure: each call says what has to be tried next.

A change may need others: then it is only ever taken together with them. A mix is the set of the changes that are taken,
each with all that it needs. Without a change the program is good, with all of them it is bad, and it is taken that one
change is to blame. So a mix is bad if and only if that one is in it, and each try halves what is left:

    good mix < the mix that is tried < bad mix        the next pair is the left or the right one of the two

At the end the two differ by one change, and both were tried: with it the program is bad, without it good. That is true
even if two changes are to blame. If each of them alone makes the program fail, it is one of the two that is found. If
only both together do, it is the one that comes second in the order of tries. Two more tries tell these cases apart: the
change alone, and everything but it.

A mix that cannot be judged is skipped, as with ``git bisect``: another mix of about the same size is tried instead, in
which other changes are taken.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from random import Random
from typing import Generic, TypeVar

Change = TypeVar("Change", bound=str)
Needs = Mapping[Change, frozenset[Change]]
"""Each change, with all that it needs: also what those need, but not itself. Two changes never need each other."""

_ORDERS = 16
"""In so many orders the changes are taken, before mixes of another size are tried."""

_MOST_MIXES = 64
"""So many mixes are tried at most until one of them can be judged."""


class Outcome(Enum):
    """What a try has shown. ``SKIPPED``: the mix cannot be judged."""

    GOOD = "good"
    BAD = "bad"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Try(Generic[Change]):
    """The mix to try next. ``left`` changes may be to blame; if it is one, this try is to confirm it."""

    taken: frozenset[Change]
    left: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Found(Generic[Change]):
    """The change that makes the difference: on top of the good mix ``before`` it makes the program fail.

    ``alone`` is what the change and what it needs do, ``rest`` what everything does but it and what needs it.
    """

    change: Change
    before: frozenset[Change]
    alone: Outcome
    rest: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Undecided(Generic[Change]):
    """It is one of these changes: whatever could tell them apart was skipped."""

    changes: frozenset[Change]


def next_step(
    needs: Needs[Change], outcome: Callable[[frozenset[Change]], Outcome | None]
) -> Try[Change] | Found[Change] | Undecided[Change]:
    """The next try, or the result. ``outcome`` tells what a mix has shown, None if it was not tried yet.

    Nothing is remembered: the same outcomes always lead to the same step. There must be at least one change.
    """
    good, bad = frozenset[Change](), frozenset(needs)
    while len(bad - good) > 1:
        for mix in mixes_between(needs, good, bad):
            shown = outcome(mix)
            if shown is None:
                return Try(taken=mix, left=len(bad - good))
            if shown is not Outcome.SKIPPED:
                good, bad = (mix, bad) if shown is Outcome.GOOD else (good, mix)
                break
        else:
            return Undecided(changes=bad - good)
    (change,) = bad - good
    return _confirmed(needs, change, good, outcome)


def _confirmed(
    needs: Needs[Change],
    change: Change,
    good: frozenset[Change],
    outcome: Callable[[frozenset[Change]], Outcome | None],
) -> Try[Change] | Found[Change]:
    known = {frozenset[Change](): Outcome.GOOD, frozenset(needs): Outcome.BAD, good: Outcome.GOOD}
    known[good | {change}] = Outcome.BAD
    alone = needs[change] | {change}
    rest = frozenset(other for other in needs if other != change and change not in needs[other])
    shown = []
    for mix in (alone, rest):
        result = known.get(mix) or outcome(mix)
        if result is None:
            return Try(taken=mix, left=1)
        shown.append(result)
    return Found(change=change, before=good, alone=shown[0], rest=shown[1])


def mixes_between(needs: Needs[Change], good: frozenset[Change], bad: frozenset[Change]) -> Iterator[frozenset[Change]]:
    """Mixes that hold the good one and more, but not all of the bad one. Those that halve what is left come first."""
    left = bad - good
    given = set[frozenset[Change]]()
    orders: list[Sequence[Change]] = []
    for size in sorted(range(1, len(left)), key=lambda size: (abs(size - len(left) // 2), size)):
        for turn in range(_ORDERS):
            if turn == len(orders):
                orders.append(_in_order(needs, good, left, turn))
            mix = good.union(orders[turn][:size])
            if mix not in given and len(given) < _MOST_MIXES:
                given.add(mix)
                yield mix


def _in_order(needs: Needs[Change], good: frozenset[Change], left: frozenset[Change], turn: int) -> Sequence[Change]:
    """What is left, each behind all that it needs: in another order at each turn, as far as the needs allow it."""
    names = sorted(left)
    if turn:
        Random(turn).shuffle(names)  # noqa: S311  # it has to be the same each time
    placed: dict[Change, None] = {}
    for name in names:
        missing = (needs[name] | {name}) - good
        # What needs others needs more than they do: all that they need, and them.
        placed |= dict.fromkeys(sorted(missing, key=lambda other: (len(needs[other]), other)))
    return list(placed)
