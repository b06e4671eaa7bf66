"""What requirements of one project allow together: the versions on each kind of machine.

    ["idna<40"]
    ["idna<40,<50"]
    ["idna<40", "idna<50; sys_platform == 'win32'"]

For uv these three are the same.
"""

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence

from packaging.markers import Marker
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from storectl_store.selection.marker_equality import Environment, machines_of

_MAX_QUESTIONS = 20_000
"""Most combinations of machine and version that are compared; with more, requirements count as equal."""

_RELEASE = re.compile(r"(\d+(?:\.\d+)*)")

Bound = tuple[str | None, frozenset[tuple[str, str]]]
"""A marker (None: everywhere), and operators with their versions."""


def allow_the_same(first: Sequence[Bound], second: Sequence[Bound], requires_python: str = "") -> bool:
    """Whether both allow the same versions on each kind of machine that has one of these Pythons.

    Also true if they cannot be compared, because the markers or specifiers have too many values.
    """
    bounds = (*first, *second)
    machines, versions = machines_of([marker for marker, _ in bounds]), list(_versions(bounds))
    if machines is None or len(machines) * len(versions) > _MAX_QUESTIONS:
        return True
    pythons = SpecifierSet(requires_python)
    supported = [each for each in machines if pythons.contains(each["python_full_version"], prereleases=True)]
    ours, theirs = _asked(first), _asked(second)
    return all(
        _allows(ours, machine, version) == _allows(theirs, machine, version)
        for machine, version in itertools.product(supported, versions)
    )


_Asked = list[tuple[Marker | None, SpecifierSet]]


def _asked(bounds: Iterable[Bound]) -> _Asked:
    return [
        (
            Marker(marker) if marker else None,
            SpecifierSet(",".join(operator + version for operator, version in specifiers)),
        )
        for marker, specifiers in bounds
    ]


def _allows(asked: _Asked, machine: Environment, version: Version) -> bool:
    return all(
        specifiers.contains(version, prereleases=True)
        for marker, specifiers in asked
        if marker is None or marker.evaluate(dict(machine))
    )


def _versions(bounds: Iterable[Bound]) -> Iterator[Version]:
    """Each version that is named, and some before and after it: enough to tell any two lists of specifiers apart."""
    named = {version for _, specifiers in bounds for _, version in specifiers}
    yield Version("0")
    for text in sorted(named):
        match = _RELEASE.search(text)
        if match is None:
            continue
        release = [int(part) for part in match[1].split(".")]
        for place in range(len(release)):
            up = [*release[:place], release[place] + 1]
            yield Version(".".join(map(str, up)))
        exact = ".".join(map(str, release))
        for suffix in ("", ".dev0", "a0", ".post1", ".0.1"):
            yield Version(exact + suffix)
        if release[-1]:
            yield Version(".".join(map(str, [*release[:-1], release[-1] - 1, 999])))
