"""The registered projects, in ``projects.json``: which environments each has asked for, and when.

Format, version 2:

    {"format": 2, "projects": [{"path", "wishes": [
        {"options", "inputs", "environment", "lock_file", "last_used", "notices", "variables", "rolled_back"}]}]}

``wishes`` are the environments that a project was given, most recent first. ``inputs`` is the digest of the inputs that
the environment was made from, ``last_used`` is in seconds of the system clock, ``variables`` are digests by name.
``rolled_back`` is the number of a generation, if the user wants that instead of what the inputs give; else it is left
out. The file is sealed. A file from before there were seals is read, too, and so is version 1, which had the name of a
link.
"""

import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from storectl_daemon.jobs.options import DEFAULT_OPTIONS, Options
from storectl_daemon.process.latest_file import LatestFile
from storectl_shim.project_record import last_environment
from storectl_store.digest import EnvironmentId
from storectl_store.entries.layout import StoreLayout
from storectl_store.entries.sealed import opened, sealed
from storectl_store.projects.project_record import project_of, record_folders

logger = logging.getLogger(__name__)

_FORMAT = 2
_READABLE = (1, 2)
_MOST_ENVIRONMENTS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedEnvironment:
    """The environment that a project was given for one set of options.

    ``environment`` is its id. It, ``lock_file`` and ``inputs`` are None until a warm for these options was successful.
    ``rolled_back`` is None unless the user wants an earlier generation as long as the inputs are these.
    """

    options: Options
    lock_file: str | None = None
    inputs: str | None = None
    environment: EnvironmentId | None = None
    last_used: float = 0.0
    notices: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    rolled_back: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A registered project."""

    path: Path
    environments: tuple[RecordedEnvironment, ...] = ()

    def environment(self, options: Options) -> RecordedEnvironment | None:
        """The environment of these options; None if the project was never warmed for them."""
        return next((recorded for recorded in self.environments if recorded.options == options), None)

    @property
    def main(self) -> RecordedEnvironment | None:
        """The environment that is meant if only the project is named.

        That is the one of the default options, else the latest without an overlay.
        """
        return self.environment(DEFAULT_OPTIONS) or next(
            (recorded for recorded in self.environments if not recorded.options.overlay), None
        )

    def with_environment(self, recorded: RecordedEnvironment) -> "Project":
        """The project with this environment first. It keeps at most 16, and that of the default options always."""
        others = [other for other in self.environments if other.options != recorded.options]
        kept = [recorded, *others]
        while len(kept) > _MOST_ENVIRONMENTS:
            kept.remove(next(w for w in reversed(kept) if w.options != DEFAULT_OPTIONS))
        return replace(self, environments=tuple(kept))


class ProjectBook:
    """All projects, in memory and in one file that is replaced by rename.

    ``otherwise`` gives the projects if the file is broken or gone: those that have a record. On an event loop a thread
    writes the file soon after each change; ``written`` waits for that.
    """

    def __init__(self, file: Path, *, otherwise: Callable[[], Iterable[Project]] = tuple) -> None:
        known = _read(file)
        found = otherwise() if known is None else known
        self._projects = {project.path: project for project in found}
        self._lines = {project.path: _line(project) for project in self._projects.values()}
        self._path = file
        self._file = LatestFile(file, self._content)
        if known is None and self._projects:
            self._file.changed()

    def __iter__(self) -> Iterator[Project]:
        return iter(tuple(self._projects.values()))

    def get(self, path: Path) -> Project | None:
        """The project in exactly this folder."""
        return self._projects.get(path)

    def containing(self, folder: Path) -> Project | None:
        """The nearest registered project at or above the folder."""
        return next((self._projects[path] for path in (folder, *folder.parents) if path in self._projects), None)

    def add(self, path: Path) -> Project:
        """Register the folder."""
        return self._put(self._projects.get(path) or Project(path=path))

    def want(self, path: Path, options: Options) -> Project:
        """Register the folder with these options, so that a later change of its lock file warms them."""
        known = self._projects.get(path) or Project(path=path)
        return self._put(
            known if known.environment(options) else known.with_environment(RecordedEnvironment(options=options))
        )

    def record(self, path: Path, recorded: RecordedEnvironment) -> Project:
        """Remember the outcome of a warm."""
        return self._put((self._projects.get(path) or Project(path=path)).with_environment(recorded))

    def drop(self, path: Path, options: Options) -> None:
        """Forget that the project was asked for with these options."""
        known = self._projects.get(path)
        if known is not None:
            left = tuple(recorded for recorded in known.environments if recorded.options != options)
            self._put(replace(known, environments=left))

    def remove(self, path: Path) -> bool:
        """Forget the project. Returns whether it was registered."""
        known = self._projects.pop(path, None)
        if known is not None:
            del self._lines[path]
            self._file.changed()
        return known is not None

    async def written(self) -> None:
        """Return when every change so far is in the file."""
        await self._file.written()

    @property
    def is_whole(self) -> bool:
        """Whether the file has what is in memory. May raise OSError."""
        if not self._projects and not self._path.exists():
            return True
        return self._path.exists() and self._path.read_bytes() == b"".join(self._content())

    def write(self) -> None:
        """Write the file anew. If the disk refuses, a warning goes to the log."""
        self._file.changed()

    def _put(self, project: Project) -> Project:
        if self._projects.get(project.path) != project:
            self._projects[project.path] = project
            self._lines[project.path] = _line(project)
            self._file.changed()
        return project

    def _content(self) -> list[bytes]:
        """The sealed file, one line for each project. Only the lines of projects that changed are made anew."""
        lines = b"".join(b",\n" + line for line in self._lines.values()).removeprefix(b",")
        return [sealed(b'{"format": %d, "projects": [%b\n]}\n' % (_FORMAT, lines))]


def _line(project: Project) -> bytes:
    return json.dumps(_encode(project)).encode()


def _encode(project: Project) -> dict[str, Any]:
    environments = [
        {
            "options": recorded.options.encode(),
            "lock_file": recorded.lock_file,
            "inputs": recorded.inputs,
            "environment": recorded.environment,
            "last_used": recorded.last_used,
            "notices": list(recorded.notices),
            "variables": dict(recorded.variables),
            **({"rolled_back": recorded.rolled_back} if recorded.rolled_back is not None else {}),
        }
        for recorded in project.environments
    ]
    return {"path": str(project.path), "wishes": environments}


def projects_with_records(layout: StoreLayout) -> Iterator[Project]:
    """Each project that has a record, with its default environment."""
    for folder in record_folders(layout):
        path = project_of(layout, folder)
        environment = os.path.basename(last_environment(str(layout.root), str(path), DEFAULT_OPTIONS.key) or "")
        recorded = (
            RecordedEnvironment(options=DEFAULT_OPTIONS, environment=EnvironmentId(environment))
            if environment
            else None
        )
        yield Project(path=path, environments=(recorded,) if recorded else ())


def _read(file: Path) -> list[Project] | None:
    """The projects in the file; None if it is gone or cannot be read."""
    try:
        value = json.loads(opened(file.read_bytes())[0].decode("utf-8", "surrogateescape"))
        return [_decode(project) for project in value["projects"]] if value["format"] in _READABLE else []
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        logger.warning("%s is not readable, and is made of the records of projects: %s", file, error)
        return None


def _decode(value: dict[str, Any]) -> Project:
    environments = tuple(
        RecordedEnvironment(
            options=Options.decode(recorded["options"]),
            lock_file=recorded["lock_file"],
            inputs=recorded["inputs"],
            environment=recorded["environment"],
            last_used=float(recorded["last_used"]),
            notices=tuple(map(str, recorded["notices"])),
            variables={str(name): str(digest) for name, digest in recorded.get("variables", {}).items()},
            rolled_back=int(recorded["rolled_back"]) if recorded.get("rolled_back") is not None else None,
        )
        for recorded in value["wishes"]
    )
    return Project(path=Path(value["path"]), environments=environments)
