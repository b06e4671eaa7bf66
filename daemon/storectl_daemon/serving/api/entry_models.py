"""What the API says of entries and of a verification. Paths are absolute, sizes are bytes."""

from typing import Annotated, Literal

from pydantic import Field

from storectl_daemon.models import Problem, ShownPath, Variables
from storectl_daemon.serving.api.model import Model


class EntryInfo(Model):
    """One entry of the store; ``size`` is that of its files."""

    name: str
    version: str
    prefix: str
    digest: str
    size: int
    filename: str


class BuildInfo(Model):
    """What a wheel was built from, where it came from no index: see ``storectl_store.entries.provenance``."""

    kind: Literal["wheel", "editable"]
    source: ShownPath
    python: str
    backend: str
    build_requires: tuple[str, ...]
    installed: tuple[str, ...]
    variables: tuple[str, ...]


class EntryDetail(EntryInfo):
    """One entry with what its manifest says."""

    path: ShownPath
    files: int
    tags: tuple[str, ...]
    builds: tuple[BuildInfo, ...] = ()


class VerifyRequest(Model):
    """Whether what is found is to be mended, and whether ``offline``, without anything from the network.

    ``environ`` are the variables of the command. They count for projects for which no command has sent any.
    """

    repair: bool = False
    offline: bool = False
    environ: Annotated[Variables | None, Field(repr=False)] = None


class CheckedEvent(Model):
    """One thing was looked at; ``prefix`` is that of an entry."""

    event: Literal["checked"] = "checked"
    kind: str
    name: str
    prefix: str


class FindingEvent(Model):
    """Something is not as it should be; ``path`` is relative to the thing. Version and prefix are those of an entry."""

    event: Literal["finding"] = "finding"
    kind: str
    name: str
    version: str
    prefix: str
    path: ShownPath
    what: ShownPath


class MendedEvent(Model):
    """What was found of one thing is mended; ``how`` in a few words."""

    event: Literal["mended"] = "mended"
    kind: str
    name: str
    prefix: str
    how: str


class LeftEvent(Model):
    """What was found of one thing cannot be mended; it is out of service as far as programs could have read it."""

    event: Literal["left"] = "left"
    kind: str
    name: str
    prefix: str
    problem: Problem


class WorkingEvent(Model):
    """Nothing new: whoever listens is told every few seconds that it goes on."""

    event: Literal["working"] = "working"


class VerifyDone(Model):
    """The last line of a verification: entries looked at, findings, things that were mended, things that were not."""

    event: Literal["done"] = "done"
    entries: int
    findings: int
    mended: int
    left: int


VerifyEvent = CheckedEvent | FindingEvent | MendedEvent | LeftEvent | WorkingEvent | VerifyDone
