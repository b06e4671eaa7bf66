"""Guards: what is asked of the system before something goes. The sweep does not know how it is found out."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from storectl_store.collecting.belt import Seen, look_through_processes
from storectl_store.collecting.leases import is_used, try_write_lease


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

    ``lease`` is the lease of a file, None if anybody has it open. ``seen`` is what processes name of the store in a
    folder. ``is_used`` tells whether a program has a file open, mapped or running. If nothing can be known, they raise
    OSError. Then what ``lease`` and ``is_used`` were asked about counts as used, and nothing goes at all if ``seen``
    fails.
    """

    lease: Callable[[Path], Lease | None] = try_write_lease
    seen: Callable[[Path], Seen] = look_through_processes
    is_used: Callable[[Path], bool] = is_used
