"""Which projects have which environment, for a person who counts: nothing is deleted by it.

So a record, history or pin that cannot be read is left out.
"""

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from storectl_daemon.collecting.gathering import Keep
from storectl_daemon.collecting.shares import Users
from storectl_daemon.projects.book import Project
from storectl_daemon.projects.fronts import Fronts
from storectl_store.collecting.pins import read_pins
from storectl_store.digest import EnvironmentId
from storectl_store.entries.layout import StoreLayout
from storectl_store.errors import StoreError
from storectl_store.projects.history import read_history, recent_generations
from storectl_store.projects.project_record import project_of, record_folders
from storectl_store.projects.recorded_environments import recorded_environments


def users_of(layout: StoreLayout, book: Iterable[Project], fronts: Fronts, keep: Keep, *, now: float) -> Users:
    """The projects of each environment: by the book, records, fronts, pins, and the generations that are kept.

    ``now`` is in seconds of the system clock.
    """
    wishes = {project.path: project.environments for project in book}
    folders = {project_of(layout, folder): folder for folder in record_folders(layout)}
    found: defaultdict[EnvironmentId, set[str]] = defaultdict(set)
    for project in wishes.keys() | folders.keys():
        wanted = {wish.environment for wish in wishes.get(project, ()) if wish.environment is not None}
        for environment in {*wanted, *_recorded(folders.get(project)), *_kept(layout, project, fronts, keep, now)}:
            found[environment].add(str(project))
    with suppress(StoreError):
        for pin in read_pins(layout):
            found[pin.environment].add(str(pin.project))
    return {environment: frozenset(projects) for environment, projects in found.items()}


def _recorded(folder: Path | None) -> Iterator[EnvironmentId]:
    with suppress(StoreError):
        yield from (recorded.environment for recorded in (recorded_environments(folder) if folder else ()))


def _kept(layout: StoreLayout, project: Path, fronts: Fronts, keep: Keep, now: float) -> Iterator[EnvironmentId]:
    """What its fronts show, and the generations that it may go back to."""
    yield from (EnvironmentId(os.path.basename(front.environment)) for front in fronts.of(project) if front.environment)
    with suppress(StoreError, OSError):
        generations = read_history(layout, project)
        recent = recent_generations(generations, now_ns=int(now * 1e9), number=keep.generations, days=keep.days)
        yield from (generation.environment for generation in recent)
