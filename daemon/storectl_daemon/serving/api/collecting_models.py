"""What the API says of the life of the store. Paths are absolute, sizes are bytes, times are the system clock's."""

from typing import Annotated, Literal

from pydantic import Field

from storectl_daemon.models import AbsolutePath, FailedEvent, ShownPath, Variables
from storectl_daemon.serving.api.entry_models import WorkingEvent
from storectl_daemon.serving.api.model import Model
from storectl_store.digest import EnvironmentId

PinName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class CollectRequest(Model):
    """Take away what nothing keeps; with ``dry_run`` only tell it.

    What is None is as the settings say. ``max_size`` is how big the store may be: then what is kept for some days only
    goes too, as far as is needed. With ``project`` only what this project had goes. ``without_leases`` is for file
    systems on which nobody can tell whether a program runs. ``environ`` are the variables of the command.
    """

    dry_run: bool = False
    keep_days: Annotated[float | None, Field(ge=0, lt=1e6)] = None
    keep_generations: Annotated[int | None, Field(ge=0, lt=10**6)] = None
    max_size: Annotated[int | None, Field(ge=0)] = None
    project: AbsolutePath | None = None
    without_leases: bool = False
    environ: Annotated[Variables | None, Field(repr=False)] = None


class GoingEntry(Model):
    """An entry that is to go."""

    name: str
    version: str
    prefix: str
    bytes: int


class GoingGroup(Model):
    """Environments of one branch of a project that are to go, with the entries that go because of them.

    Without environments it is about entries that no environment names.
    """

    project: ShownPath | None
    branch: ShownPath | None
    environments: tuple[EnvironmentId, ...]
    entries: tuple[GoingEntry, ...]
    last_used: float | None
    bytes: int
    inodes: int


class PlannedEvent(Model):
    """What is to go. ``leases`` and ``roots`` count what keeps the rest; ``notes`` are sentences for a person."""

    event: Literal["planned"] = "planned"
    groups: tuple[GoingGroup, ...]
    environments: int
    entries: int
    bytes: int
    inodes: int
    leases: int
    roots: int
    notes: tuple[ShownPath, ...]


class SweepingEvent(Model):
    """So many environments or entries are dealt with."""

    event: Literal["sweeping"] = "sweeping"
    what: Literal["environments", "entries"]
    done: int
    total: int


class StayedThing(Model):
    """Something that was to go, and stayed."""

    what: ShownPath
    why: ShownPath


class CollectedEvent(Model):
    """What went. ``enough`` is false if a size was asked for and more should have become free."""

    event: Literal["collected"] = "collected"
    environments: int
    entries: int
    bytes: int
    inodes: int
    stayed: tuple[StayedThing, ...]
    enough: bool


CollectEvent = PlannedEvent | SweepingEvent | WorkingEvent | CollectedEvent | FailedEvent


class Taken(Model):
    """What a collect took, or would have taken."""

    at: float
    environments: int
    entries: int
    bytes: int
    inodes: int


class CollectState(Model):
    """Collecting by itself. ``reported`` is what the first time would have taken, ``last`` what was taken last."""

    automatic: bool
    leases: bool
    reported: Taken | None
    last: Taken | None


class WhyReason(Model):
    """One thing that keeps something. ``environment`` is the one by which it is kept, ``until`` None for no end."""

    kind: Literal["current", "front", "generation", "prefetch", "pin", "user", "hold", "lease", "young"]
    project: ShownPath | None
    detail: ShownPath
    environment: EnvironmentId | None
    until: float | None


class Why(Model):
    """An entry or an environment, and everything that keeps it. ``prefix`` is the address of an entry, or an id.

    ``project`` and ``branch`` say whose an environment is or was. ``note`` says what keeps it besides.
    """

    what: Literal["entry", "environment"]
    name: str
    version: str
    prefix: str
    project: ShownPath | None
    branch: ShownPath | None
    reasons: tuple[WhyReason, ...]
    note: ShownPath


class PinRequest(Model):
    """Keep this environment, which this project has now, whatever becomes of the project."""

    name: PinName
    environment: EnvironmentId
    project: AbsolutePath


class PinInfo(Model):
    """A pin. ``there`` is whether its environment exists."""

    name: str
    environment: EnvironmentId
    project: ShownPath
    at: float
    there: bool
