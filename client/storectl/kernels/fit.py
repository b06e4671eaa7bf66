"""Two environments on one ``sys.path``: which requirements of the later one the earlier one breaks.

If both have a distribution, the one of the earlier is imported. It is a misfit if the later one needs another version.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from packaging.markers import default_environment
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

_DIST_INFO = re.compile(r"(?P<name>[^/]+?)-(?P<version>[^/-]+)\.dist-info")
_MODULE = re.compile(r"(?P<name>[^\W\d]\w*)(?:/|\.(?:[\w-]+\.)?(?:py|so|pyd)$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """A distribution, by the absolute path of its ``.dist-info`` folder. ``name`` is normalised."""

    name: str
    version: str
    folder: str

    def requirements(self, markers: Mapping[str, str]) -> Iterator[Requirement]:
        """Its requirements without extras, for the interpreter that the markers describe; without unreadable lines."""
        for line in _header_lines(os.path.join(self.folder, "METADATA")):
            field, _, value = line.partition(":")
            if field.lower() != "requires-dist":
                continue
            try:
                requirement = Requirement(value.strip())
            except InvalidRequirement:
                continue
            if requirement.marker is None or requirement.marker.evaluate({**markers, "extra": ""}):
                yield requirement

    def modules(self) -> tuple[str, ...]:
        """The top-level names that it installs into site-packages, by its RECORD; sorted."""
        with open(os.path.join(self.folder, "RECORD"), encoding="utf-8") as file:
            matches = [_MODULE.match(line.rpartition(",")[0].rpartition(",")[0].strip('"')) for line in file]
        return tuple(sorted({match["name"] for match in matches if match is not None}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Misfit:
    """``wanted_by`` needs another version than ``locked``; ``beside`` is the distribution that fits it."""

    wanted_by: Installed
    specifier: str
    locked: Installed
    beside: Installed

    @property
    def text(self) -> str:
        """Such as ``traitlets 5.14.3 is loaded, the lock file has 4.1.0: ipykernel 7.1.0 needs >=5.4``."""
        return (
            f"{self.beside.name} {self.beside.version} is loaded, the lock file has {self.locked.version}: "
            f"{self.wanted_by.name} {self.wanted_by.version} needs {self.specifier}"
        )


def installed_in(site_packages: str) -> dict[str, Installed]:
    """The distributions in a site-packages folder, by name."""
    found: dict[str, Installed] = {}
    for entry in sorted(os.listdir(site_packages)):
        match = _DIST_INFO.fullmatch(entry)
        if match is not None:
            name = canonicalize_name(match["name"])
            found[name] = Installed(name=name, version=match["version"], folder=os.path.join(site_packages, entry))
    return found


def markers_of(version: str) -> dict[str, str]:
    """The markers of this machine for a CPython of this full version."""
    feature = ".".join(version.split(".")[:2])
    return {
        **{name: str(value) for name, value in default_environment().items()},
        "python_version": feature,
        "python_full_version": version,
        "implementation_version": version,
    }


def misfits(
    earlier: Mapping[str, Installed], later: Mapping[str, Installed], markers: Mapping[str, str]
) -> list[Misfit]:
    """Every misfit, sorted by name.

    Those distributions are checked that would be imported from the later environment: only it has them, or the
    earlier one's is a misfit itself.
    """
    own = set(later) - set(earlier)
    found: dict[str, Misfit] = {}
    while True:
        new = {m.locked.name: m for name in sorted(own) for m in _misfits_of(later[name], earlier, later, own, markers)}
        if not new:
            return [found[name] for name in sorted(found)]
        own |= new.keys()
        found |= new


def _misfits_of(
    dependent: Installed,
    earlier: Mapping[str, Installed],
    later: Mapping[str, Installed],
    own: set[str],
    markers: Mapping[str, str],
) -> Iterator[Misfit]:
    for requirement in dependent.requirements(markers):
        name = canonicalize_name(requirement.name)
        if name in own or name not in earlier or name not in later:
            continue
        if not _fits(requirement, earlier[name].version):
            specifier = str(requirement.specifier)
            yield Misfit(wanted_by=dependent, specifier=specifier, locked=earlier[name], beside=later[name])


def _fits(requirement: Requirement, version: str) -> bool:
    """Whether the version meets the requirement; a version that cannot be compared counts as one that does."""
    try:
        return requirement.specifier.contains(Version(version), prereleases=True)
    except InvalidVersion:
        return True


def _header_lines(path: str) -> Iterator[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                if not line.strip():
                    return  # all that follows is the description
                yield line
    except OSError:
        return
