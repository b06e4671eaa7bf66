"""How much a lock file may hold: a bound on what a hostile one costs."""

from collections.abc import Iterable

from storectl_store.errors import LockFileError
from storectl_store.selection.marker_values import MAX_MARKER

MAX_PACKAGES = 20_000


def check_count(count: int, file: str) -> None:
    """LockFileError where a lock file has more packages than any real one."""
    if count > MAX_PACKAGES:
        raise LockFileError(f"{file}: {count} packages, more than {MAX_PACKAGES}", path=file)


def check_markers(markers: Iterable[str | None], file: str) -> None:
    """LockFileError where a marker is longer than any real one."""
    longest = max((len(marker) for marker in markers if marker), default=0)
    if longest > MAX_MARKER:
        raise LockFileError(f"{file}: a marker of {longest} characters, more than {MAX_MARKER}", path=file)
