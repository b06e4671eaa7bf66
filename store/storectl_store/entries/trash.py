"""The trash: folders that must vanish at once but take long to delete are moved here.

The folders of entries are 0555, so deleting makes them writable on the way. It works on descriptors and never follows a
symbolic link.
"""

import os
import secrets
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from storectl_store.disk.descriptors import REAL_FOLDER, opened_folder
from storectl_store.entries.layout import StoreLayout


def discard(layout: StoreLayout, path: Path) -> Path:
    """Move a file or folder of the store into the trash, atomically, to be deleted from there. Returns its new path."""
    place = layout.trash / secrets.token_hex(16)
    mode = path.lstat().st_mode
    if stat.S_ISDIR(mode):
        # A folder that changes its parent gets a new "..", for which it has to be writable.
        path.chmod(0o700)
    path.rename(place)
    return place


def empty_trash(layout: StoreLayout, proceed: Callable[[], bool] = lambda: True) -> int:
    """Delete what is in the trash. Returns how many things were deleted.

    ``proceed`` is called before each thing; if it returns false, the rest stays.
    """
    deleted = 0
    for name in sorted(os.listdir(layout.trash)):
        if not proceed():
            break
        delete_tree(layout.trash / name)
        deleted += 1
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
