"""Sightings: since when the folder of a project is missing, and on which mount it was. ``<store>/sightings.json``.

    {"format": 1, "projects": {absolute folder: {"mount": folder of its file system, "missing": seconds or null}}}

``missing`` is when the folder was first missed, as a time of the system clock. The file is sealed. If it is damaged,
the time begins anew: what is missing is kept for longer.

A folder may be missing because its disk is: then the folder on which the disk was mounted is no mount point now.
"""

import json
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from storectl_store.disk.durability import disk_errors
from storectl_store.disk.whole_files import PRIVATE, replace_file
from storectl_store.entries.layout import StoreLayout
from storectl_store.entries.sealed import opened, sealed

SIGHTINGS_FORMAT = "1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """``missing`` is None as long as the folder is there. ``mount`` is where it was then; "" if nobody knows."""

    mount: str
    missing: float | None = None


Sightings = Mapping[Path, Sighting]


@dataclass(frozen=True, slots=True, kw_only=True)
class Absence:
    """A folder that is missing, first at ``since``. ``disk`` means that its disk is missing with it."""

    since: float
    disk: bool


def mount_of(folder: Path) -> str | None:
    """The top folder of the file system that this folder is on; None if the folder is not there.

    Raises OSError if that cannot be known.
    """
    try:
        status = os.stat(folder)
        if not stat.S_ISDIR(status.st_mode):
            return None
        while folder != folder.parent and os.stat(folder.parent).st_dev == status.st_dev:
            folder = folder.parent
    except (FileNotFoundError, NotADirectoryError):
        return None
    return str(folder)


def sighted(before: Sightings, mounts: Mapping[Path, str | None], now: float) -> dict[Path, Sighting]:
    """The sightings of now: ``mounts`` has the mount of each project, None if its folder is missing."""
    return {path: _sighted(before.get(path), mount, now) for path, mount in mounts.items()}


def absences(sightings: Sightings) -> dict[Path, Absence]:
    """The folders that are missing. May raise OSError."""
    return {
        path: Absence(since=sighting.missing, disk=bool(sighting.mount) and not os.path.ismount(sighting.mount))
        for path, sighting in sightings.items()
        if sighting.missing is not None
    }


def read_sightings(layout: StoreLayout) -> dict[Path, Sighting]:
    """What was written last; nothing if the file is damaged or not there. Raises StoreError if it cannot be read."""
    with disk_errors(f"read {layout.sightings}"):
        try:
            data = layout.sightings.read_bytes()
        except FileNotFoundError:
            return {}
    with suppress(ValueError, KeyError, TypeError, AttributeError, RecursionError):
        value = json.loads(opened(data)[0])
        if value["format"] == int(SIGHTINGS_FORMAT):
            return {Path(path): _decoded(each) for path, each in value["projects"].items()}
    return {}


def write_sightings(layout: StoreLayout, sightings: Sightings) -> None:
    """Replace the file. Raises StoreError if the disk refuses."""
    projects = {str(path): {"mount": each.mount, "missing": each.missing} for path, each in sightings.items()}
    content = json.dumps({"format": int(SIGHTINGS_FORMAT), "projects": projects}, sort_keys=True).encode() + b"\n"
    with disk_errors(f"write {layout.sightings}"):
        replace_file(layout.sightings, sealed(content), mode=PRIVATE)


def _sighted(before: Sighting | None, mount: str | None, now: float) -> Sighting:
    if mount is not None:
        return Sighting(mount=mount)
    if before is None:
        return Sighting(mount="", missing=now)
    # A time to come is that of a clock that was wrong.
    missing = now if before.missing is None else min(before.missing, now)
    return Sighting(mount=before.mount, missing=missing)


def _decoded(value: Mapping[str, object]) -> Sighting:
    missing = value["missing"]
    if not isinstance(value["mount"], str) or not isinstance(missing, float | int | type(None)):
        raise TypeError("not a sighting")
    return Sighting(mount=value["mount"], missing=None if missing is None else float(missing))
