"""Guards: what is asked of the system before something goes. The sweep does not know how it is found out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from storectl_store.digest import EnvironmentId


class Lease(Protocol):
    """A file that nobody else has open, until it is closed."""

    def held(self) -> bool:
        """Whether that is still so, and nobody waits for the file."""
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Guards:
    """Who may use what is to go.

    ``lease`` is the lease of a file, None if anybody has it open. ``seen`` are environments that programs run in, by
    the folder of all environments, each with what is known of the programs. ``is_used`` tells whether a program has a
    file open, mapped or running. ``lease`` and ``is_used`` raise OSError if nothing can be known: then it counts as
    used.
    """

    lease: Callable[[Path], Lease | None]
    seen: Callable[[Path], Mapping[EnvironmentId, Sequence[object]]]
    is_used: Callable[[Path], bool]
