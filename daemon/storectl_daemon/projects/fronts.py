"""The fronts in projects' folders: found by their records, made, kept up to date, compared, taken away."""

import os
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from storectl_daemon.jobs.options import DEFAULT_OPTIONS, Options, moved_options
from storectl_daemon.projects.installers import installer_at_work
from storectl_store.disk.durability import disk_errors
from storectl_store.entries.layout import StoreLayout
from storectl_store.environments.front.difference import Difference, difference
from storectl_store.environments.front.front_record import read_front
from storectl_store.environments.front.place import (
    FrontBusyError,
    follow,
    is_settled,
    is_stage,
    leads_into,
    place,
    remove,
)
from storectl_store.environments.front.renewal import AskedFront
from storectl_store.errors import ProblemError

PATIENCE_S = 4.0
"""How long a command waits for the lock of a front that another program is changing."""

_MOMENT_S = 0.1
"""How long a warm waits for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """A front of a project. ``environment`` is the folder that it was made from; "" for a link of an older version."""

    path: Path
    options: Options
    environment: str = ""
    whole: bool = False


class Fronts:
    """Finds, makes and changes fronts. Every method may block; none needs the event loop.

    No list of them is kept: a front says itself which options it has, so it may be moved or deleted like any folder.
    """

    def __init__(self, layout: StoreLayout) -> None:
        self._environments = layout.environments

    def of(self, project: Path) -> list[Front]:
        """The fronts in the project's folder, and the links to environments that older versions made."""
        with suppress(OSError), os.scandir(project) as children:
            return [front for child in sorted(children, key=lambda each: each.name) for front in self._front(child)]
        return []

    def _front(self, child: os.DirEntry[str]) -> Iterator[Front]:
        path = Path(child.path)
        if child.is_symlink():
            if leads_into(path, self._environments):
                yield Front(path=path, options=DEFAULT_OPTIONS)
        elif child.is_dir() and not is_stage(child.name) and (record := read_front(path)) is not None:
            with suppress(KeyError, TypeError, AttributeError):
                options = Options.decode(dict(record.options))
                options = moved_options(options, Path(record.front).parent, path.parent)
                yield Front(path=path, options=options, environment=record.environment, whole=record.whole)

    def place(self, path: Path, options: Options, environment: Path, *, force: bool) -> list[str]:
        """Make a front at this path, or bring the one there up to date. Returns what was moved aside, in words.

        Raises FrontRefusedError if something else is there and ``force`` is false, and FrontBusyError.
        """
        with disk_errors(f"make {path}"):
            return place(_asked(path, options, environment), self._environments, force=force, patience_s=PATIENCE_S)

    def follow(self, front: Front, environment: Path, lock_file: Path) -> list[str]:
        """Bring the front up to date, if the project still has its lock file. Returns what was moved aside, in words.

        Raises FrontBusyError if another program is changing it.
        """
        asked = _asked(front.path, front.options, environment)
        if not lock_file.exists() or (front.environment and is_settled(asked)):
            return []
        if tool := installer_at_work(front.path):
            raise FrontBusyError(f"{tool} is at work in {front.path.parent}", hint="it follows once that is done")
        with disk_errors(f"bring {front.path} up to date"), suppress(FileNotFoundError):  # it may be deleted meanwhile
            if front.environment:
                return follow(asked, patience_s=_MOMENT_S)
            return place(asked, self._environments, force=False, patience_s=_MOMENT_S)
        return []

    def follow_all(self, project: Path, options: Options, environment: Path, lock_file: Path) -> tuple[list[str], bool]:
        """Bring every front of the project that has these options up to date.

        Returns what has to be told, and whether another program is changing one of them, which is to be tried again.
        """
        told: list[str] = []
        busy = False
        for front in self.of(project):
            if front.options == options:
                try:
                    told += self.follow(front, environment, lock_file)
                except FrontBusyError:
                    busy = True
                except ProblemError as error:
                    told.append(str(error))
        return told, busy

    def remove(self, path: Path) -> list[str]:
        """Take the front away. Returns the paths in it that are left: what others put there."""
        with disk_errors(f"remove {path}"):
            return remove(path, self._environments, patience_s=PATIENCE_S)

    def difference(self, front: Front) -> Difference:
        """How the front differs from the environment that it was made from."""
        try:
            return difference(front.path, Path(front.environment))
        except OSError:
            return Difference()  # the environment is gone, or somebody deletes the front just now


def _asked(path: Path, options: Options, environment: Path) -> AskedFront:
    return AskedFront(environment=environment, at=path, prompt=_name_of(path.parent), options=options.encode())


def _name_of(project: Path) -> str:
    """The name that activation shows: the project's, or that of its folder."""
    try:
        name = tomllib.loads((project / "pyproject.toml").read_text())["project"]["name"]
    except (OSError, ValueError, KeyError, TypeError):
        name = None
    return name if isinstance(name, str) and name.isprintable() else project.name
