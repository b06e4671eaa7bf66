"""The trash: folders that must vanish at once but take long to delete are moved here.

    trash/<kind>.<what it was called>.<16 hex digits>     kind: entry, environment, half, repository, session

The name is for a person who looks. The folders of entries are 0555, so deleting makes them writable on the way. It
works on descriptors and never follows a symbolic link.
"""

import os
import re
import secrets
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal

from storectl_store.disk.descriptors import REAL_FOLDER, opened_folder
from storectl_store.entries.layout import StoreLayout

Kind = Literal["entry", "environment", "half", "repository", "session"]

_ODD = re.compile(r"[^0-9A-Za-z_-]")
_LONGEST_NAME = 64  # characters of a name that are kept: a file system takes 255 bytes in all


def discard(layout: StoreLayout, path: Path, *, kind: Kind) -> Path:
    """Move a file or folder of the store into the trash, atomically, to be deleted from there. Returns its new path.

    If that fails, a folder has the mode that it had.
    """
    place = layout.trash / f"{kind}.{_ODD.sub('_', path.name)[:_LONGEST_NAME]}.{secrets.token_hex(8)}"
    mode = path.lstat().st_mode
    if not stat.S_ISDIR(mode):
        path.rename(place)
        return place
    # A folder that changes its parent gets a new "..", for which it has to be writable.
    path.chmod(0o700)
    try:
        path.rename(place)
    except OSError:
        with suppress(OSError):
            path.chmod(stat.S_IMODE(mode))
        raise
    return place


def trash_count(layout: StoreLayout) -> int:
    """How many things are in the trash. Raises OSError if it cannot be listed."""
    with os.scandir(layout.trash) as found:
        return sum(1 for _ in found)


def empty_trash(layout: StoreLayout, proceed: Callable[[], bool] = lambda: True) -> int:
    """Delete what is in the trash. Returns how many things were deleted.

    ``proceed`` is called before each thing; if it returns false, the rest stays. If something cannot be deleted, the
    others are, and the first error is raised at the end.
    """
    deleted, problems = 0, []
    for name in sorted(os.listdir(layout.trash)):
        if not proceed():
            break
        try:
            delete_tree(layout.trash / name)
            deleted += 1
        except OSError as error:
            problems.append(error)
    if problems:
        raise problems[0]
    return deleted


def delete_tree(path: Path) -> None:
    """Delete a file, symbolic link or whole folder, whatever the modes in it. It is no error if nothing is there."""
    with suppress(FileNotFoundError), opened_folder(path.parent) as parent:
        _delete(parent, path.name)


def _delete(parent: int, name: str) -> None:
    if not stat.S_ISDIR(os.lstat(name, dir_fd=parent).st_mode):
        os.unlink(name, dir_fd=parent)
        return
    folder = _open_writable(parent, name)
    try:
        with os.scandir(folder) as found:
            children = [(child.name, child.is_dir(follow_symlinks=False)) for child in found]
        for child, is_folder in children:
            if is_folder:
                _delete(folder, child)
            else:
                os.unlink(child, dir_fd=folder)
    finally:
        os.close(folder)
    os.rmdir(name, dir_fd=parent)


def _open_writable(parent: int, name: str) -> int:
    """Open the folder, after making it writable for us. Returns its descriptor."""
    try:
        folder = os.open(name, REAL_FOLDER, dir_fd=parent)
    except PermissionError:
        os.chmod(name, 0o700, dir_fd=parent)
        return os.open(name, REAL_FOLDER, dir_fd=parent)
    if os.fstat(folder).st_mode & 0o300 != 0o300:
        os.fchmod(folder, 0o700)
    return folder
