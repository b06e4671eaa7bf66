"""The findings about one thing that was looked at, and what can be done about them."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from storectl_daemon.errors import DaemonError

Kind = Literal[
    "store", "entry", "catalogue", "environment", "pack", "link", "note", "repository", "record", "history", "projects"
]
"""The kind of a thing. A note holds what can be asked again: answers of indexes and interpreters, known builds."""


class LostError(DaemonError):
    """A damaged thing cannot be made again. Message and hint say what is missing and how the thing comes back."""

    default_code = "E_LOST"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One finding: ``path`` is below the thing itself, ``message`` says what is wrong."""

    path: str
    message: str


async def _nothing_to_mend() -> str:
    raise AssertionError("there is nothing to mend")


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """One thing, and what was found.

    ``mend`` repairs it and returns in a few words how; it raises a ProblemError if that cannot be done. It is called
    only if something was found.
    """

    kind: Kind
    name: str
    version: str = ""
    prefix: str = ""
    found: tuple[Found, ...] = ()
    mend: Callable[[], Awaitable[str]] = _nothing_to_mend

    @property
    def label(self) -> str:
        """The name of the thing in a sentence: ``entry idna 3.4``."""
        return " ".join(filter(None, (self.kind, self.name, self.version)))

    @property
    def reasons(self) -> list[str]:
        """A sentence for each thing that was found."""
        return [f"{found.path}: {found.message}" for found in self.found]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be done. With ``offline`` nothing is fetched from the network for a repair.

    ``environ`` are the variables of the command that asks. They count for a project for which no command has sent any.
    """

    repair: bool = False
    offline: bool = False
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)


class Part(Protocol):
    """One part of the store."""

    def look(self, order: Order) -> AsyncIterator[Examined]:
        """Every thing of the part. What was found of one thing is mended before the next one is looked at."""
        ...
