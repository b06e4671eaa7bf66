"""What the API says of generations. Paths are absolute, sizes are bytes, times are seconds of the system clock."""

from dataclasses import dataclass, field
from typing import Annotated, Self

from pydantic import Field, model_validator

from storectl_daemon.models import AbsolutePath, OptionsModel, ShownPath, Variables
from storectl_daemon.serving.api.model import Model


class WheelState(Model):
    """One wheel of an environment; null is what is not known, such as the version of what is still to be built."""

    version: str | None
    digest: str | None
    size: int | None


class ChangeInfo(Model):
    """A project that is not the same. ``before`` is null if it came, ``after`` if it went."""

    name: str
    before: WheelState | None
    after: WheelState | None


class GenerationInfo(Model):
    """One environment that a project had.

    ``changes`` are those since the generation before it, null if they are not known. ``published``: its environment is
    there. ``missing`` are the wheels that the store no longer has. ``kept``: it can be made again.
    """

    number: int
    at: float
    branch: ShownPath | None
    commit: str | None
    environment: str
    lock_file: ShownPath | None
    python: str | None
    wheels: int | None
    changes: tuple[ChangeInfo, ...] | None
    published: bool
    missing: tuple[str, ...]
    kept: bool


class History(Model):
    """The generations of one set of options, the oldest first.

    ``current`` is the number of the one that the inputs give, ``rolled_back`` of the one that programs have instead.
    """

    project: ShownPath
    key: str
    current: int | None
    rolled_back: int | None
    generations: tuple[GenerationInfo, ...]


class LockFileThen(Model):
    """The lock file of a generation. ``differing`` are other inputs of it that are not what they were then."""

    path: ShownPath
    content: ShownPath
    differing: tuple[ShownPath, ...]


class SideRequest(Model):
    """What is compared: the number of a generation, a ref of git, or a lock file."""

    generation: Annotated[int | None, Field(ge=0)] = None
    ref: Annotated[str | None, Field(min_length=1, max_length=1024)] = None
    lock_file: AbsolutePath | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if [self.generation, self.ref, self.lock_file].count(None) != 2:
            raise ValueError("must have one of generation, ref and lock_file")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffRequest(OptionsModel):
    """Compare two environments of the project at or above ``start``, with these options.

    Without ``after`` with the one that it has now, without ``before`` with the one that it had before.
    """

    start: AbsolutePath
    before: SideRequest | None = None
    after: SideRequest | None = None
    environ: Variables | None = field(default=None, repr=False)


class SideInfo(Model):
    """One of the two. ``size`` is that of all wheels, null if that of one is not known."""

    label: ShownPath
    generation: int | None
    at: float | None
    branch: ShownPath | None
    commit: str | None
    wheels: int
    size: int | None


class DiffInfo(Model):
    """What changed from one to the other."""

    before: SideInfo
    after: SideInfo
    changes: tuple[ChangeInfo, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackRequest(OptionsModel):
    """Give the project at or above ``start`` an earlier environment, as long as its inputs are what they are now.

    Without ``generation`` it is the one before the present one. ``off`` ends that. ``environ`` are the variables of the
    command, as for a warm.
    """

    start: AbsolutePath
    generation: Annotated[int | None, Field(ge=0)] = None
    off: bool = False
    offline: bool = False
    environ: Variables | None = field(default=None, repr=False)
