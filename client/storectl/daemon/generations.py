"""The daemon's answers about the environments that a project had."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from storectl.daemon.answers import EnvironmentInfo
from storectl.daemon.wire import path_from_wire, path_on_wire

if TYPE_CHECKING:
    from storectl.daemon.client import DaemonClient, WarmListener
    from storectl.options import Options

_NEEDS, _LACK = "history", "knows no history"


class Wheel(NamedTuple):
    """A wheel of an environment. What is None is not known; ``size`` is unpacked, in bytes."""

    version: str | None
    size: int | None


class Change(NamedTuple):
    """A project that is not the same; ``before`` is None if it came, ``after`` if it went."""

    name: str
    before: Wheel | None
    after: Wheel | None

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read a ChangeInfo of the API."""
        return cls(name=value["name"], before=_wheel(value["before"]), after=_wheel(value["after"]))


class Generation(NamedTuple):
    """One environment that a project had. ``at`` is in seconds of the system clock.

    ``changes`` are those since the generation before it, None if they are not known. ``published``: its environment is
    there. ``missing`` are wheels that the store no longer has. ``kept``: it can be made again.
    """

    number: int
    at: float
    branch: str | None
    commit: str | None
    environment: str
    lock_file: str | None
    python: str | None
    wheels: int | None
    changes: tuple[Change, ...] | None
    published: bool
    missing: tuple[str, ...]
    kept: bool

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read a GenerationInfo of the API."""
        changes = value["changes"]
        fields = {name: value[name] for name in cls._fields} | {
            "branch": path_from_wire(value["branch"]),
            "lock_file": path_from_wire(value["lock_file"]),
            "changes": None if changes is None else tuple(map(Change.from_json, changes)),
            "missing": tuple(value["missing"]),
        }
        return cls(**fields)


class History(NamedTuple):
    """The generations, the oldest first; the one that the inputs give, and the one that was rolled back to."""

    current: int | None
    rolled_back: int | None
    generations: tuple[Generation, ...]


class Side(NamedTuple):
    """One of two that are compared. ``size`` is that of all its wheels, None if not known."""

    label: str
    generation: int | None
    at: float | None
    branch: str | None
    commit: str | None
    wheels: int
    size: int | None


class Difference(NamedTuple):
    """What changed from one to the other."""

    before: Side
    after: Side
    changes: tuple[Change, ...]


class LockFileThen(NamedTuple):
    """A lock file as it was, and the other inputs that are not what they were then."""

    path: str
    content: bytes
    differing: tuple[str, ...]


def history(daemon: "DaemonClient", project: str, key: str) -> History:
    """The generations of the project in this folder, for the options with this key."""
    value = daemon.answer("GET", f"/v1/projects/history?{_query(project, key)}", needs=_NEEDS, lack=_LACK)
    generations = tuple(map(Generation.from_json, value["generations"]))
    return History(current=value["current"], rolled_back=value["rolled_back"], generations=generations)


def lock_file_then(daemon: "DaemonClient", project: str, key: str, number: int) -> LockFileThen:
    """The lock file as it was in this generation."""
    path = f"/v1/projects/history/lock-file?{_query(project, key)}&number={number}"
    value = daemon.answer("GET", path, needs=_NEEDS, lack=_LACK)
    content = path_from_wire(value["content"]).encode("utf-8", "surrogateescape")
    differing = tuple(path_from_wire(path) for path in value["differing"])
    return LockFileThen(path=path_from_wire(value["path"]), content=content, differing=differing)


def compare(
    daemon: "DaemonClient",
    start: str,
    options: "Options",
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
) -> Difference:
    """What changed between these two, each ``generation``, ``ref`` or ``lock_file``; None is what there was last."""
    body = daemon.request_of(start, options) | {"before": before, "after": after}
    value = daemon.answer("POST", "/v1/diff", body, needs=_NEEDS, lack=_LACK)
    changes = tuple(map(Change.from_json, value["changes"]))
    return Difference(before=_side(value["before"]), after=_side(value["after"]), changes=changes)


def roll_back(
    daemon: "DaemonClient", start: str, options: "Options", number: int | None, listener: "WarmListener", *, off: bool
) -> EnvironmentInfo:
    """The environment of this generation, or of the one before; with ``off`` that which the inputs give."""
    body = daemon.request_of(start, options) | {"generation": number, "off": off, "offline": options.offline}
    return daemon.ready("/v1/rollback", body, listener, needs=_NEEDS, lack=_LACK)


def _wheel(value: Mapping[str, Any] | None) -> Wheel | None:
    return None if value is None else Wheel(version=value["version"], size=value["size"])


def _side(value: Mapping[str, Any]) -> Side:
    own = {"label": path_from_wire(value["label"]), "branch": path_from_wire(value["branch"])}
    return Side(**{name: value[name] for name in Side._fields} | own)


def _query(project: str, key: str) -> str:
    quoted = "".join(f"%{byte:02X}" for byte in path_on_wire(project).encode())
    return f"path={quoted}&key={key}"
