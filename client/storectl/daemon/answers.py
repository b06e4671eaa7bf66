"""The daemon's answers as values: the objects of version 1 of its API.

Named tuples: five dataclasses take 4 ms to make, a twentieth of what a command may take.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, Self

from storectl.daemon.wire import path_from_wire
from storectl.errors import DaemonProblemError


class Health(NamedTuple):
    """The daemon says that it works. ``uptime_s`` is in seconds, ``rss_bytes`` its resident memory."""

    version: str
    api: int
    features: frozenset[str]
    pid: int
    store: str
    socket: str
    uptime_s: float
    rss_bytes: int

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read the answer of ``/v1/health``; KeyError or TypeError if the object is something else."""
        api = value["api"]
        return cls(
            version=value["version"],
            api=api["version"],
            features=frozenset(api["features"]),
            pid=value["pid"],
            store=path_from_wire(value["store"]),
            socket=path_from_wire(value["socket"]),
            uptime_s=value["uptime_s"],
            rss_bytes=value["rss_bytes"],
        )


class EnvironmentInfo(NamedTuple):
    """One environment.

    ``python`` is its ``bin/python``; ``executable`` and ``version`` are those of the interpreter that it leads to.
    ``project`` and ``lock_file`` are None if no project uses it any more.
    """

    id: str
    path: str
    python: str
    project: str | None
    lock_file: str | None
    executable: str
    version: str
    wheels: int

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read an EnvironmentInfo of the API; KeyError or TypeError if the object is something else."""
        interpreter = value["interpreter"]
        return cls(
            id=value["id"],
            path=path_from_wire(value["path"]),
            python=path_from_wire(value["python"]),
            project=path_from_wire(value["project"]),
            lock_file=path_from_wire(value["lock_file"]),
            executable=path_from_wire(interpreter["executable"]),
            version=interpreter["version"],
            wheels=value["wheels"],
        )


class Progress(NamedTuple):
    """How far a warm is: ``done`` of ``total`` wheels in this phase, and of their bytes if ``bytes_total`` is not 0."""

    phase: str
    done: int
    total: int
    bytes_done: int
    bytes_total: int
    current: str

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read a progress event; KeyError or TypeError if the object is something else."""
        return cls(
            phase=value["phase"],
            done=value["done"],
            total=value["total"],
            bytes_done=value.get("bytes_done") or 0,
            bytes_total=value.get("bytes_total") or 0,
            current=path_from_wire(value.get("current") or ""),
        )

    @property
    def percent(self) -> int:
        """0 to 100: the share of the bytes if their total is known, else of the wheels."""
        done, total = (self.bytes_done, self.bytes_total) if self.bytes_total else (self.done, self.total)
        return min(100, done * 100 // total) if total > 0 else 0


class LinkState(NamedTuple):
    """What `storectl link` made, and how it differs from the lock file: projects with versions."""

    path: str
    environment: str | None
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read a LinkState of the API; KeyError or TypeError if the object is something else."""
        environment = value["environment"]
        return cls(
            path=path_from_wire(value["path"]),
            environment=None if environment is None else path_from_wire(environment),
            added=tuple(value["added"]),
            removed=tuple(value["removed"]),
            changed=tuple(value["changed"]),
        )


class ProjectState(NamedTuple):
    """One project. ``state`` is ready, warming, failed or idle; a failed one keeps its last good environment."""

    path: str
    lock_file: str | None
    state: str
    environment: EnvironmentInfo | None
    progress: Progress | None
    problem: DaemonProblemError | None
    watched: bool

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read a ProjectState of the API; KeyError or TypeError if the object is something else."""
        environment, progress, problem = value.get("environment"), value.get("progress"), value.get("problem")
        return cls(
            path=path_from_wire(value["path"]),
            lock_file=path_from_wire(value.get("lock_file")),
            state=value["state"],
            environment=EnvironmentInfo.from_json(environment) if environment else None,
            progress=Progress.from_json(progress) if progress else None,
            problem=problem_from_json(problem) if problem else None,
            watched=bool(value.get("watched")),
        )


def problem_from_json(value: Mapping[str, Any]) -> DaemonProblemError:
    """The error in a problem+json object or a failed event; any of its fields may be missing."""
    message = value.get("detail") or value.get("title") or "the daemon gave no reason"
    code, missing = str(value.get("code") or "E_PROBLEM"), value.get("missing_python")
    return DaemonProblemError(str(message), code=code, hint=value.get("hint"), missing_python=missing)
