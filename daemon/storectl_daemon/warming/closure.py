"""The closure of a lock file for one target: everything that an environment will hold."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

from packaging.utils import NormalizedName

from storectl_daemon.building.pip_variables import LockedPlaces
from storectl_store.selection.pin import LocalProject, Pin, SourcePin


@dataclass(frozen=True, slots=True, kw_only=True)
class Closure:
    """What a lock file selects for one target, every pin with its file and its sha256.

    ``notices`` go into the record: each command reads them there, and shows them.
    """

    pins: tuple[Pin, ...]
    source_pins: tuple[SourcePin, ...]
    local_projects: tuple[LocalProject, ...]
    places: LockedPlaces
    warnings: tuple[str, ...]
    notices: tuple[str, ...]

    @property
    def versions(self) -> Mapping[NormalizedName, str]:
        """The versions of all projects whose version is known before they are built."""
        built = {pin.name: pin.version for pin in self.source_pins if pin.version is not None}
        return built | {pin.name: pin.version for pin in self.pins}

    def below(self, other: Self) -> Self:
        """This closure with what the other adds. A project that both have stays as it is in this one."""
        own = {item.name for group in (self.pins, self.source_pins, self.local_projects) for item in group}
        return replace(
            self,
            pins=(*self.pins, *(pin for pin in other.pins if pin.name not in own)),
            source_pins=(*self.source_pins, *(pin for pin in other.source_pins if pin.name not in own)),
            local_projects=(*self.local_projects, *(local for local in other.local_projects if local.name not in own)),
            warnings=(*self.warnings, *other.warnings),
        )
