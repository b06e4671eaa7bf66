"""Bounds on what a lock file may hold, and so on what a hostile one costs."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from storectl_store.errors import LockFileError
from storectl_store.selection.marker_values import MAX_MARKER
from storectl_store.selection.tables.toml_table import Table

MAX_PACKAGES = 20_000


class Placed(Protocol):
    """A table or line of a lock file, which knows its place in the file."""

    def error(self, what: str, /) -> LockFileError:
        """The error that says this of it, with its place."""
        ...


def check_count(packages: Sequence[Placed]) -> None:
    """Raise LockFileError if a lock file has more packages than any real one. It points at the first one too many."""
    if len(packages) > MAX_PACKAGES:
        raise packages[MAX_PACKAGES].error(f"{len(packages)} packages, more than {MAX_PACKAGES}")


def check_markers(tables: Iterable[Table]) -> None:
    """Raise LockFileError if the ``marker`` of a table is longer than any real one."""
    for table in tables:
        length = len(table.optional_text("marker") or "")
        if length > MAX_MARKER:
            raise table.error(f"a marker of {length} characters, more than {MAX_MARKER}", key="marker")
