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
        self._requirements = _Requirements(markers)
        self._unmet = frozenset(unmet for side in (self._good, self._bad) for unmet in self._requirements.unmet(side))
        self.changes = _changes(self._good, self._bad)
        self.groups, self.needs = _grouped(
            self.changes, old=self._ties(self._good, self._bad), new=self._ties(self._bad, self._good)
        )

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
        for unmet in self._requirements.unmet(wheels):
            if unmet not in self._unmet:
                there = wheels.get(unmet.project)
                found = f"{there.name} is {there.version}" if there else f"{unmet.project} is not there"
                return f"{unmet.wheel.name} {unmet.wheel.version} requires {unmet.text}, and {found}"
        return None

    def _ties(self, side: Mapping[NormalizedName, Wheel], other: Mapping[NormalizedName, Wheel]) -> set[Tie]:
        """The ties that the wheels of this side make."""
        ties = set()
        for requirement in self._requirements.of(side):
            requiring, required = requirement.wheel.name, requirement.project
            both_changed = requiring != required and requiring in self.changes and required in self.changes
            ties_them = both_changed and not self._requirements.meets(other.get(required), requirement)
            if ties_them and requirement not in self._unmet:
                ties.add((requiring, required))
        return ties


@dataclass(frozen=True, slots=True)
class _Requirement:
    """A requirement of a wheel that holds in its environment."""

    wheel: Wheel
    text: str
    project: NormalizedName


class _Requirements:
    """Reads the requirements of wheels, for one interpreter. What was read is remembered."""

    def __init__(self, markers: Mapping[str, str]) -> None:
        self._markers = dict(markers)
        self._read: dict[str, Requirement | None] = {}
        self._holding: dict[tuple[str, str], bool] = {}
        self._met: dict[tuple[str, str], bool] = {}

    def of(self, wheels: Mapping[NormalizedName, Wheel]) -> Iterator[_Requirement]:
        """Every requirement that holds among these wheels, also for an extra that one of them asks for."""
        waiting = [(name, "") for name in wheels]
        seen = set(waiting)
        while waiting:
            name, extra = waiting.pop()
            for text in wheels[name].requires_dist:
                requirement = self._requirement(text)
                if requirement is None or not self._holds(text, requirement, extra):
                    continue
                project = canonicalize_name(requirement.name)
                yield _Requirement(wheels[name], text, project)
                asked = {(project, canonicalize_name(each)) for each in requirement.extras} - seen
                if project in wheels:
                    seen |= asked
                    waiting += asked

    def unmet(self, wheels: Mapping[NormalizedName, Wheel]) -> Iterator[_Requirement]:
        """The requirements among these wheels that none of them meets."""
        return (each for each in self.of(wheels) if not self.meets(wheels.get(each.project), each))

    def meets(self, wheel: Wheel | None, requirement: _Requirement) -> bool:
        """Whether this wheel of the project is one that is required."""
        if wheel is None:
            return False
        question = requirement.text, wheel.version
        if question not in self._met:
            read = self._requirement(requirement.text)
            try:
                fits = read is None or read.specifier.contains(Version(wheel.version), prereleases=True)
            except InvalidVersion:
                fits = True  # of an old wheel: nothing can compare it
            self._met[question] = fits
        return self._met[question]

    def _requirement(self, text: str) -> Requirement | None:
        """The requirement; None if it cannot be read: metadata of old wheels has lines that no tool can read."""
        if text not in self._read:
            try:
                self._read[text] = Requirement(text)
            except InvalidRequirement:
                self._read[text] = None
        return self._read[text]

    def _holds(self, text: str, requirement: Requirement, extra: str) -> bool:
        """Whether it holds for this extra ("" for none). What holds without the extra is not told once more with it."""
        question = text, extra
        if question not in self._holding:
            marker = requirement.marker
            try:
                holds = marker is None or marker.evaluate({**self._markers, "extra": extra})
            except (InvalidVersion, ValueError):
                holds = False  # a comparison that makes no sense
            self._holding[question] = holds and not (extra and self._holds(text, requirement, ""))
        return self._holding[question]


def _changes(good: Mapping[NormalizedName, Wheel], bad: Mapping[NormalizedName, Wheel]) -> dict[NormalizedName, Change]:
    both = ((name, good.get(name), bad.get(name)) for name in sorted(good.keys() | bad.keys()))
    return {name: Change(name=name, good=old, bad=new) for name, old, new in both if _identity(old) != _identity(new)}


def _identity(wheel: Wheel | None) -> tuple[Digest, str | None] | None:
    return None if wheel is None else (wheel.digest, wheel.direct_url)


def _grouped(
    changes: Iterable[NormalizedName], *, old: Collection[Tie], new: Collection[Tie]
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
