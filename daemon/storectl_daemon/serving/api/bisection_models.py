"""What a bisection is asked, and what it answers."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from storectl_daemon.models import (
    AbsolutePath,
    EnvironmentInfo,
    FailedEvent,
    OptionsModel,
    Problem,
    ProgressEvent,
    ShownPath,
    Variables,
    WarningEvent,
)
from storectl_daemon.serving.api.model import Model
from storectl_store.digest import EnvironmentId

Shown = Literal["good", "bad", "skipped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BisectionRequest(OptionsModel):
    """A question: what is to be tried next, to find out why a program fails in the project at or above ``start``.

    ``good`` and ``bad`` are numbers of generations; without them the oldest and the last count. ``outcomes`` are those
    of all environments that were tried, by id.
    """

    start: AbsolutePath
    good: Annotated[int | None, Field(ge=1)] = None
    bad: Annotated[int | None, Field(ge=1)] = None
    outcomes: Annotated[dict[EnvironmentId, Shown], Field(max_length=10_000)] = field(default_factory=dict)
    offline: bool = False
    environ: Variables | None = field(default=None, repr=False)


class GenerationInfo(Model):
    """One generation. ``at_ns`` is a time of the system clock."""

    number: int
    at_ns: int
    branch: ShownPath | None
    commit: str | None


class ChangeInfo(Model):
    """A project whose wheel is another one: the versions on both sides, null if there is none."""

    name: str
    good: str | None
    bad: str | None


class TryEvent(Model):
    """Run the program in ``environment``, and ask again with the outcome of the environment ``outcome_of``.

    It is that of a ``generation``, or a mixture that takes the changes in ``taken`` of the good generation. ``left``
    generations or changes may still be to blame; it is 0 as long as both ends are not tried. With a ``problem`` there
    is no environment, and it counts as skipped.
    """

    event: Literal["try"] = "try"
    outcome_of: EnvironmentId
    environment: EnvironmentInfo | None
    problem: Problem | None
    left: int
    generation: GenerationInfo | None
    taken: tuple[ChangeInfo, ...]


class FoundEvent(Model):
    """The result: what changed from the ``good`` generation to the ``bad`` one, and which of it is to blame.

    Generations ``between`` them were skipped. ``suspects`` are groups of changes that are inseparable; there is one,
    unless skips have left several, or no wheel changed. ``needs`` had to be taken with it. ``alone`` and ``rest`` are
    what it does without the other changes, and they without it. ``pythons`` are two versions if the interpreter
    changed: then no wheels were told apart.
    """

    event: Literal["found"] = "found"
    good: GenerationInfo
    bad: GenerationInfo
    between: tuple[GenerationInfo, ...]
    changes: tuple[ChangeInfo, ...]
    suspects: tuple[tuple[ChangeInfo, ...], ...]
    needs: tuple[ChangeInfo, ...]
    alone: Shown | None
    rest: Shown | None
    pythons: tuple[str, str] | None


BisectionEvent = ProgressEvent | WarningEvent | TryEvent | FoundEvent | FailedEvent
