"""Which environments the records of projects name, read so that nothing is overlooked: for the collector.

Other readers take a record that cannot be read for one that is not there, which is right for starting a program. Here
it would be wrong: an environment would go that a project may still have. So all but a missing file is an error.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from storectl_shim.project_record import FAST, FAST_ENVIRONMENT
from storectl_store.digest import EnvironmentId, is_environment_id
from storectl_store.disk.durability import disk_errors
from storectl_store.entries.layout import StoreLayout
from storectl_store.errors import StoreFormatError
from storectl_store.projects.project_record import record_folders

_READY = "ready."


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedReady:
    """The environment that a record has for the options of this key, since a time of the system clock (in seconds)."""

    key: str
    environment: EnvironmentId
    at: float


def every_record_folder(layout: StoreLayout) -> Iterator[Path]:
    """The folder of the record of every project that has one. Raises StoreError if a folder cannot be read."""
    with disk_errors(f"look for records of projects in {layout.projects}"):
        yield from record_folders(layout, onerror=_unless_gone)


def recorded_environments(folder: Path) -> tuple[RecordedReady, ...]:
    """What the record in this folder names, by key. Raises StoreError if any of it cannot be read."""
    with disk_errors(f"read the record in {folder}"):
        return tuple(found for name in _names(folder) for found in _recorded(folder / name))


def _unless_gone(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def _names(folder: Path) -> list[str]:
    with suppress(FileNotFoundError):
        return sorted(name for name in os.listdir(folder) if name.startswith((FAST, _READY)))
    return []


def _recorded(part: Path) -> Iterator[RecordedReady]:
    is_fast = part.name.startswith(FAST)
    file = part / FAST_ENVIRONMENT if is_fast else part
    key = part.name.removeprefix(FAST if is_fast else _READY)
    with suppress(FileNotFoundError):
        yield RecordedReady(key=key, environment=_environment(file), at=file.stat().st_mtime)


def _environment(file: Path) -> EnvironmentId:
    """The environment that the file names: the last part of a path."""
    lines = os.fsdecode(file.read_bytes()).split("\n")
    begin, end = ("_storectl_environment='", "'") if file.name == FAST_ENVIRONMENT else ("environment ", "")
    path = next((line.removeprefix(begin).removesuffix(end) for line in lines if line.startswith(begin)), "")
    environment = os.path.basename(path)
    if not is_environment_id(environment):
        raise StoreFormatError(
            f"{file} names no environment",
            hint="`storectl store verify --repair` writes the record again",
            path=str(file),
        )
    return environment
