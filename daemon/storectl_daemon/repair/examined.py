"""What is said of one thing that was looked at, and what can be done about it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from storectl_daemon.errors import DaemonError

Kind = Literal["store", "entry", "catalogue", "environment", "pack", "link", "note", "repository", "record", "projects"]
"""What a thing is. A note is what something outside said and what can be asked again: indexes, interpreters, builds."""


class LostError(DaemonError):
    """A damaged thing cannot be made again; message and hint say what is missing and how it comes back."""

    default_code = "E_LOST"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One thing that is not as it should be: the path says where, below the thing itself, the message what."""

    path: str
    message: str


async def _nothing_to_mend() -> str:
    raise AssertionError("there is nothing to mend")


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """One thing, and what was found.

    ``mend`` makes it right and returns how, in a few words; it raises a ProblemError if that cannot be done. It is called
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
        """The thing in a sentence: ``entry idna 3.4``."""
        return " ".join(filter(None, (self.kind, self.name, self.version)))

    @property
    def reasons(self) -> list[str]:
        """A sentence for each thing that was found."""
        return [f"{found.path}: {found.message}" for found in self.found]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be done. With ``offline`` nothing is fetched from the network for a repair.

    ``environ`` are the variables of the command that asks. They count for a project for which no command sent any.
    """

    repair: bool = False
    offline: bool = False
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)


class Part(Protocol):
    """One part of the store."""

    def look(self, order: Order) -> AsyncIterator[Examined]:
        """Every thing of the part; what was found of one is mended before the next is looked at."""
        ...
