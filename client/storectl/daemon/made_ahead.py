"""What the daemon made ready before anybody asked for it, as values."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from storectl.daemon.wire import path_from_wire, path_on_wire

if TYPE_CHECKING:
    from storectl.daemon.client import DaemonClient


class MadeAhead(NamedTuple):
    """One environment. ``why`` is change, fetch or worktree; ``at`` and ``used`` are in seconds since 1970.

    ``seconds`` is how long the making took; ``used`` is when a program first started in it, or None.
    """

    project: str
    environment: str
    branch: str | None
    why: str
    at: float
    seconds: float
    used: float | None

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read a MadeAheadInfo of the API; KeyError or TypeError if the object is something else."""
        texts = {"project": path_from_wire(value["project"]), "branch": path_from_wire(value["branch"])}
        return cls(**{name: value[name] for name in cls._fields} | texts)


class AheadAccount(NamedTuple):
    """The last seven days: how many were made and used, and the seconds of waiting that the used ones saved."""

    made: int
    used: int
    saved_s: float
    last: MadeAhead | None

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read an AheadAccount of the API; KeyError or TypeError if the object is something else."""
        last = MadeAhead.from_json(value["last"]) if value["last"] else None
        return cls(made=value["made"], used=value["used"], saved_s=value["saved_s"], last=last)

    def to_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return self._asdict() | {"last": self.last._asdict() if self.last else None}


def made_ahead(daemon: "DaemonClient", project: str | None = None) -> AheadAccount | None:
    """The account of this project, or of all; None if the daemon keeps none."""
    if not daemon.has("ahead"):
        return None
    query = "" if project is None else "?path=" + "".join(f"%{byte:02X}" for byte in path_on_wire(project).encode())
    return AheadAccount.from_json(daemon.answer("GET", f"/v1/ahead{query}", needs="ahead", lack="keeps no account"))
