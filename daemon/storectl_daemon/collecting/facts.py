"""What there is to know of projects, and of what else keeps environments, as values; and how it is read.

Reading overlooks nothing: whatever cannot be read, other than because it is gone, is an error. Then nothing is deleted.
"""

import errno
import logging
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from storectl_daemon.projects.book import Project, RecordedEnvironment
from storectl_store.collecting.node_roots import NodeRoot, read_roots
from storectl_store.collecting.pins import KeptEnvironment, read_pins
from storectl_store.collecting.sightings import (
    Absence,
    absences,
    mount_of,
    read_sightings,
    sighted,
    write_sightings,
)
from storectl_store.digest import EnvironmentId, is_environment_id
from storectl_store.disk.durability import disk_errors
from storectl_store.entries.layout import StoreLayout
from storectl_store.environments.front.front_record import OWN_FOLDER, RECORD, decode_front
from storectl_store.environments.front.place import is_stage, leads_into
from storectl_store.errors import StoreError
from storectl_store.projects.history import Generation, read_history
from storectl_store.projects.prefetched import Prefetched, read_prefetched
from storectl_store.projects.project_record import project_of
from storectl_store.projects.recorded_environments import RecordedReady, every_record_folder, recorded_environments

logger = logging.getLogger(__name__)

REMEMBERED = ("tools", "overlays", "scripts", "requirements")
"""The folders, in the state folder, of what was locked once for a command and belongs to no project of a person."""

_NOT_THERE = (FileNotFoundError, NotADirectoryError)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownFront:
    """A linked ``.venv``, and the environment that it shows."""

    path: Path
    environment: EnvironmentId


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectFacts:
    """All that is known of one project. ``remembered``: no person made it, see ``REMEMBERED``.

    ``absence`` is None if its folder is there. ``lost_lock_files`` are those that wishes name and that are gone.
    """

    path: Path
    wishes: tuple[RecordedEnvironment, ...] = ()
    recorded: tuple[RecordedReady, ...] = ()
    fronts: tuple[KnownFront, ...] = ()
    generations: tuple[Generation, ...] = ()
    prefetched: tuple[Prefetched, ...] = ()
    remembered: bool = False
    absence: Absence | None = None
    lost_lock_files: frozenset[str] = frozenset()

    def environments(self) -> Iterator[EnvironmentId]:
        """All environments that the project is known to have, or to have had."""
        yield from (wish.environment for wish in self.wishes if wish.environment is not None)
        yield from (each.environment for each in self.recorded)
        yield from (each.environment for each in self.fronts)
        yield from (each.environment for each in self.generations)
        yield from (each.environment for each in self.prefetched if each.environment is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What there is to know of all projects, the pins, and the roots of users in a store of many."""

    projects: tuple[ProjectFacts, ...] = ()
    pins: tuple[KeptEnvironment, ...] = ()
    users: tuple[NodeRoot, ...] = ()


def read_facts(layout: StoreLayout, book: Sequence[Project], states: Iterable[Path], *, now: float) -> Facts:
    """Read everything. ``book`` are the registered projects, ``states`` the state folders of this user.

    Raises StoreError if anything cannot be read. ``now`` is a time of the system clock, in seconds.
    """
    recorded = {project_of(layout, folder): folder for folder in every_record_folder(layout)}
    wishes = {project.path: project.environments for project in book}
    paths = sorted({*recorded, *wishes})
    missing = _look_for(layout, paths, now)
    remembered = {state / kind for state in states for kind in REMEMBERED}
    projects = tuple(
        ProjectFacts(
            path=path,
            wishes=wishes.get(path, ()),
            recorded=recorded_environments(recorded[path]) if path in recorded else (),
            fronts=() if path in missing else tuple(_fronts(layout, path)),
            generations=_history(layout, path),
            prefetched=read_prefetched(layout, path),
            remembered=path.parent in remembered,
            absence=missing.get(path),
            lost_lock_files=frozenset(_lost_lock_files(wishes.get(path, ()))),
        )
        for path in paths
    )
    return Facts(projects=projects, pins=read_pins(layout), users=_users(layout))


def _users(layout: StoreLayout) -> tuple[NodeRoot, ...]:
    found = read_roots(layout)
    if found.unreadable:
        raise StoreError(
            f"nobody can tell what {found.unreadable[0]} keeps: it is no root of a user",
            hint="delete it: the user's next warm writes a root again",
            path=str(found.unreadable[0]),
        )
    return found.roots


def _look_for(layout: StoreLayout, paths: Sequence[Path], now: float) -> dict[Path, Absence]:
    """The projects whose folders are missing. It is written down when each was missed first."""
    before = read_sightings(layout)
    mounts = {path: _mount(path) for path in paths}
    after = sighted(before, mounts, now)
    if after != before:
        try:
            write_sightings(layout, after)
        except StoreError as error:  # such as a full disk: what is missing is kept for longer
            logger.warning("it is not written down which projects are missing: %s", error)
    with disk_errors("look where projects were"):
        return absences(after)


def _mount(project: Path) -> str | None:
    try:
        return mount_of(project)
    except OSError as error:
        raise _unknown(project, error) from error


def _unknown(project: Path, error: OSError) -> StoreError:
    return StoreError(
        f"nobody can tell whether the project {project} is still there: {os.strerror(error.errno or errno.EIO)}",
        hint=f"mend that, or forget the project: storectl watch remove {project}",
        path=str(project),
    )


def _lost_lock_files(wishes: Iterable[RecordedEnvironment]) -> Iterator[str]:
    for wish in wishes:
        named = wish.options.lock_file
        if named is not None:
            with disk_errors(f"look for the lock file {named}"):
                try:
                    os.stat(named)
                except _NOT_THERE:
                    yield named


def _history(layout: StoreLayout, project: Path) -> tuple[Generation, ...]:
    with disk_errors(f"read the history of {project}"):
        return read_history(layout, project)


def _fronts(layout: StoreLayout, project: Path) -> Iterator[KnownFront]:
    """The fronts in the project's folder, and the links into the store that older versions made."""
    with disk_errors(f"look for linked environments in {project}"):
        for child in _children(project):
            with suppress(*_NOT_THERE):  # it is deleted just now
                environment = _shown_by(layout, Path(child.path), child)
                if is_environment_id(environment):
                    yield KnownFront(path=Path(child.path), environment=environment)


def _children(folder: Path) -> list[os.DirEntry[str]]:
    """What is in the folder; nothing if it is gone. May raise OSError."""
    with suppress(*_NOT_THERE), os.scandir(folder) as found:
        return list(found)
    return []


def _shown_by(layout: StoreLayout, path: Path, child: os.DirEntry[str]) -> str:
    """The name of the environment that this shows; "" if it is none of ours."""
    if child.is_symlink():
        return os.path.basename(os.readlink(path)) if leads_into(path, layout.environments) else ""
    if not child.is_dir() or is_stage(child.name):
        return ""
    content = _record_of(path)
    record = decode_front(content) if content is not None else None
    return os.path.basename(record.environment) if record is not None else ""


def _record_of(folder: Path) -> bytes | None:
    """The record of the front in this folder; None if it is none."""
    try:
        content = (folder / RECORD).read_bytes()
        return None if stat.S_ISLNK(os.lstat(folder / OWN_FOLDER).st_mode) else content
    except (*_NOT_THERE, IsADirectoryError):
        return None
    except PermissionError:
        if os.stat(folder).st_uid == os.geteuid():
            raise
        return None  # another user's folder, such as that of a database: this user's programs do not run in it
