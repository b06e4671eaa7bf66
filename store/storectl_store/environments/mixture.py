"""Mixtures of two environments: some wheels as in the one, some as in the other. Pure.

``good`` and ``bad`` are the two environments; a change is a project of which they have different wheels. A mixture
takes some of the changes: these projects are as in the bad environment, all others as in the good one. The wheels of
each environment fit each other, those of a mixture need not. What their ``Requires-Dist`` say leads to needs:

    a new wheel requires what only the new wheel of another project is     it needs that change
    an old wheel requires what only the old wheel of another project is    that other change needs it

Changes that need each other are one group, and are taken as one. A requirement that is not even met in the wheel's own
environment says nothing: somebody overrode it there.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import InvalidVersion, Version

from storectl_store.digest import Digest

Needs = Mapping[NormalizedName, frozenset[NormalizedName]]
Tie = tuple[NormalizedName, NormalizedName]
"""A wheel that is changed, and a project that is changed: what it requires of it, only its own side has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """One wheel of an environment. ``direct_url`` is the content of its ``direct_url.json``, if it has one."""

    name: NormalizedName
    version: str
    digest: Digest
    requires_dist: tuple[str, ...] = ()
    direct_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A project of which the two environments have different wheels; None if one of them has none."""

    name: NormalizedName
    good: Wheel | None
    bad: Wheel | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Changes that are taken as one. ``first`` is the one whose requirements tie the most of them together."""

    first: NormalizedName
    others: tuple[NormalizedName, ...]

    @property
    def names(self) -> tuple[NormalizedName, ...]:
        """All of them, the first one first."""
        return self.first, *self.others


class Mixing:
    """Two environments for the same interpreter, whose markers have these values.

    ``needs`` says for the first of each group which other groups have to be taken with it, by their first.
    """

    def __init__(self, good: Iterable[Wheel], bad: Iterable[Wheel], markers: Mapping[str, str]) -> None:
        self._good = {wheel.name: wheel for wheel in good}
        self._bad = {wheel.name: wheel for wheel in bad}
        self._markers = markers
        requirements = _Requirements(self._good, markers), _Requirements(self._bad, markers)
        self._unmet = frozenset(unmet for side in requirements for unmet in side.unmet())
        self.changes = _changes(self._good, self._bad)
        old = _ties(requirements[0], self._bad, self.changes, self._unmet)
        new = _ties(requirements[1], self._good, self.changes, self._unmet)
        self.groups, self.needs = _grouped(self.changes, old, new)

    def wheels(self, taken: Iterable[NormalizedName]) -> tuple[Wheel, ...]:
        """The wheels of the mixture that takes these groups, by name."""
        names = {name for first in taken for name in self.groups[first].names}
        chosen = (
            (self._bad if name in names or name not in self.changes else self._good).get(name)
            for name in sorted(self._good.keys() | self._bad.keys())
        )
        return tuple(wheel for wheel in chosen if wheel is not None)

    def conflict(self, taken: Iterable[NormalizedName]) -> str | None:
        """A sentence about wheels of the mixture that do not fit each other; None if all do.

        Needs keep such mixtures away, but for those that come of an extra: one side may ask for it, and the wheel of
        the other side may have requirements for it that nobody met.
        """
        wheels = {wheel.name: wheel for wheel in self.wheels(taken)}
        for unmet in _Requirements(wheels, self._markers).unmet():
            if unmet not in self._unmet:
                there = wheels.get(unmet.project)
                found = f"{there.name} is {there.version}" if there else f"{unmet.project} is not there"
                return f"{unmet.wheel.name} {unmet.wheel.version} requires {unmet.text}, and {found}"
        return None


@dataclass(frozen=True, slots=True)
class _Requirement:
    """A requirement of a wheel that holds in its environment."""

    wheel: Wheel
    text: str
    project: NormalizedName

    def met_by(self, wheel: Wheel | None) -> bool:
        try:
            return wheel is not None and Requirement(self.text).specifier.contains(
                Version(wheel.version), prereleases=True
            )
        except InvalidVersion:
            return True  # of an old wheel: nothing can compare it


class _Requirements:
    """What the wheels of one environment require, of each other and of what is not there."""

    def __init__(self, wheels: Mapping[NormalizedName, Wheel], markers: Mapping[str, str]) -> None:
        self._wheels = wheels
        self._markers = dict(markers)

    def all(self) -> Iterator[_Requirement]:
        """Every requirement that holds, also for an extra that another wheel asks for."""
        waiting = [(name, "") for name in self._wheels]
        seen = set(waiting)
        while waiting:
            name, extra = waiting.pop()
            for requirement, text in self._holding(self._wheels[name], extra):
                project = canonicalize_name(requirement.name)
                yield _Requirement(self._wheels[name], text, project)
                asked = {(project, canonicalize_name(each)) for each in requirement.extras}
                more = [each for each in asked - seen if project in self._wheels]
                seen.update(more)
                waiting += more

    def unmet(self) -> Iterator[_Requirement]:
        """The requirements that no wheel here meets."""
        return (each for each in self.all() if not each.met_by(self._wheels.get(each.project)))

    def _holding(self, wheel: Wheel, extra: str) -> Iterator[tuple[Requirement, str]]:
        for text in wheel.requires_dist:
            try:
                requirement = Requirement(text)
                marker = requirement.marker
                if extra and (marker is None or marker.evaluate({**self._markers, "extra": ""})):
                    continue  # it holds without the extra, too
                if marker is None or marker.evaluate({**self._markers, "extra": extra}):
                    yield requirement, text
            except (InvalidRequirement, InvalidVersion, ValueError):
                continue  # metadata of old wheels has lines that no tool can read


def _changes(good: Mapping[NormalizedName, Wheel], bad: Mapping[NormalizedName, Wheel]) -> dict[NormalizedName, Change]:
    both = ((name, good.get(name), bad.get(name)) for name in sorted(good.keys() | bad.keys()))
    return {name: Change(name=name, good=old, bad=new) for name, old, new in both if _identity(old) != _identity(new)}


def _identity(wheel: Wheel | None) -> tuple[Digest, str | None] | None:
    return None if wheel is None else (wheel.digest, wheel.direct_url)


def _ties(
    side: _Requirements,
    others: Mapping[NormalizedName, Wheel],
    changes: Mapping[NormalizedName, Change],
    unmet: frozenset["_Requirement"],
) -> set[Tie]:
    """The ties that the wheels of this side make, by what they require of projects that are another on the other."""
    ties = set()
    for requirement in side.all():
        needing, needed = requirement.wheel.name, requirement.project
        tied = needing != needed and needing in changes and needed in changes and requirement not in unmet
        if tied and not requirement.met_by(others.get(needed)):
            ties.add((needing, needed))
    return ties


def _grouped(
    changes: Iterable[NormalizedName], old: Collection[Tie], new: Collection[Tie]
) -> tuple[dict[NormalizedName, Group], Needs]:
    """The groups by their first, and the needs of each. The ties are those of old and of new wheels."""
    direct: dict[NormalizedName, set[NormalizedName]] = {name: set() for name in changes}
    for requiring, required in new:
        direct[requiring].add(required)
    for requiring, required in old:
        direct[required].add(requiring)
    reached = {name: _reached(name, direct) for name in direct}
    weight = Counter(requiring for requiring, _ in (*old, *new))
    groups: dict[NormalizedName, Group] = {}
    first_of: dict[NormalizedName, NormalizedName] = {}
    for name in sorted(direct, key=lambda name: (-weight[name], name)):
        if name not in first_of:
            same = sorted(other for other in reached[name] if name in reached[other] and other != name)
            groups[name] = Group(first=name, others=tuple(same))
            first_of |= dict.fromkeys((name, *same), name)
    needs = {first: frozenset(first_of[other] for other in reached[first]) - {first} for first in sorted(groups)}
    return groups, needs


def _reached(name: NormalizedName, direct: Mapping[NormalizedName, set[NormalizedName]]) -> set[NormalizedName]:
    """All changes that this one needs, directly or not."""
    reached, waiting = set[NormalizedName](), [name]
    while waiting:
        for needed in direct[waiting.pop()] - reached:
            reached.add(needed)
            waiting.append(needed)
    return reached
