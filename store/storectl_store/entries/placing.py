"""Placing an entry: a rename to its address, in the folder of its name, which goes when the last version in it goes."""

import os
from contextlib import suppress
from pathlib import Path

from storectl_store.disk.durability import rename_noreplace
from storectl_store.entries.layout import StoreLayout
from storectl_store.entries.opened import CLOSED

_NAME_FOLDER = 0o755
_TRIES = 5
"""So often the folder of the name is made: a collect may delete it as often, while it is empty."""


def place_entry(stage: Path, entry: Path) -> None:
    """Rename the staged folder to the entry's address. Raises FileExistsError if something is there already."""
    for _ in range(_TRIES):
        with suppress(FileExistsError):
            entry.parent.mkdir()
            entry.parent.chmod(_NAME_FOLDER)
        with suppress(FileNotFoundError):
            return rename_noreplace(stage, entry)
    return rename_noreplace(stage, entry)


def close_placed(layout: StoreLayout) -> list[str]:
    """Give the folders of names and of entries the modes that they should have. Returns those that had others.

    They are paths below ``store/``, sorted. Raises OSError if the disk refuses.
    """
    names = _folders_in(layout.entries)
    wanted = dict.fromkeys(names, _NAME_FOLDER) | {entry: CLOSED for name in names for entry in _folders_in(name)}
    other = [folder for folder, mode in wanted.items() if folder.lstat().st_mode & 0o777 != mode]
    for folder in other:
        folder.chmod(wanted[folder])
    return sorted(str(folder.relative_to(layout.entries)) for folder in other)


def _folders_in(parent: Path) -> list[Path]:
    with os.scandir(parent) as found:
        return [Path(each.path) for each in found if each.is_dir(follow_symlinks=False)]
