"""What the API says of what the store takes up. Bytes are those of blocks on disk."""

from typing import Literal

from storectl_daemon.models import Problem, ShownPath
from storectl_daemon.serving.api.entry_models import WorkingEvent
from storectl_daemon.serving.api.model import Model

By = Literal["project", "package", "age", "environment", "entry"]
AnyBy = By | Literal["user", "group"]
"""By user and group, only a store of many users can be counted."""


class Size(Model):
    """So many inodes, and so many bytes on disk."""

    inodes: int
    bytes: int


class PartSize(Size):
    """One part of the store; all parts together are the store."""

    name: str


class ShareInfo(Model):
    """What one project, package, age or environment has, by its ``name``; "" is what nobody has.

    ``own`` would go with it, ``shared`` others have, too, ``full`` is both. By age, ``own`` would go if all that is
    older had gone already. ``share`` divides what several have: all shares, and what is ``beside`` them, are the store.
    ``linked`` are a project's linked environments, which are outside of the store.
    """

    name: ShownPath
    versions: tuple[str, ...] = ()
    projects: tuple[ShownPath, ...] = ()
    environments: int
    entries: int
    own: Size
    shared: Size
    full: Size
    share: Size
    last_used: float | None
    linked: Size | None = None


class EntryShareInfo(Size):
    """One entry. ``projects`` are places in the list of projects; ``bytecode`` is in bytes."""

    name: str
    version: str
    prefix: str
    bytecode: int
    environments: int
    projects: tuple[int, ...]
    last_used: float | None


class UsageEvent(Model):
    """What the store takes up; ``left_over`` of it are links, packs and notes of what is gone: any collect takes them.

    ``beside`` is what the store has beside entries and environments.
    ``shares`` are those that were asked for, ``entries`` and ``projects`` are there if entries were.
    """

    event: Literal["usage"] = "usage"
    store: ShownPath
    by: AnyBy
    exact: bool
    total: Size
    parts: tuple[PartSize, ...]
    left_over: Size
    beside: Size
    shares: tuple[ShareInfo, ...] = ()
    entries: tuple[EntryShareInfo, ...] = ()
    projects: tuple[ShownPath, ...] = ()


class UsageFailedEvent(Model):
    """The store cannot be counted."""

    event: Literal["failed"] = "failed"
    problem: Problem


UsageAnswer = WorkingEvent | UsageEvent | UsageFailedEvent
