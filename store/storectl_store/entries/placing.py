"""Placing an entry: a rename to its address, in the folder of its name, which goes when the last version in it goes."""

from contextlib import suppress
from pathlib import Path

from storectl_store.disk.durability import rename_noreplace

_TRIES = 5
"""So often the folder of the name is made: a collect may delete it as often, while it is empty."""


def place_entry(stage: Path, entry: Path) -> None:
    """Rename the staged folder to the entry's address. Raises FileExistsError if something is there already."""
    for _ in range(_TRIES):
        with suppress(FileExistsError):
            entry.parent.mkdir()
            entry.parent.chmod(0o755)
        with suppress(FileNotFoundError):
            return rename_noreplace(stage, entry)
    return rename_noreplace(stage, entry)
