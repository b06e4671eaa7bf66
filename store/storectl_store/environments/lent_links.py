"""Symbolic links that views share: one inode in ``links/``, with a further name in every view that shows the same thing.

    links/<32 hex digits of the sha256 of its target>      a symbolic link

A link into an entry says the same in whatever view it stands, so only the first view has to make it; a name more for it
costs no inode and a tenth of the time. A link is kept here once the view that it was made for is durable, so what is here
is whole. One that no view has any more has a link count of 1.

Only Linux is sure to give a symbolic link a second name. Elsewhere, and where the file system refuses, each view has links
of its own.
"""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path

from storectl_store.disk.descriptors import opened_folder

NO_HARD_LINK = frozenset({errno.EPERM, errno.EACCES, errno.EXDEV, errno.EMLINK, errno.ENOSYS, errno.EOPNOTSUPP})
"""What is said of a file system without hard links, of a file that has all it can have, and of somebody else's file."""

_NAME_DIGITS = 32


class LentLinks:
    """The links of the folder behind one descriptor."""

    def __init__(self, folder: int) -> None:
        self._folder = folder

    def borrow(self, target: str, path: str, *, view: int) -> bool:
        """Give the link to this target a name in the view, relative to its descriptor; False where it cannot be had."""
        try:
            os.link(_name_of(target), path, src_dir_fd=self._folder, dst_dir_fd=view, follow_symlinks=False)
        except OSError as error:
            if error.errno == errno.ENOENT or error.errno in NO_HARD_LINK:
                return False
            raise
        return True

    def keep(self, target: str, path: str, *, view: int) -> None:
        """Keep a link of a view that is durable. That it cannot be kept, or is there already, does no harm."""
        with suppress(OSError):
            os.link(path, _name_of(target), src_dir_fd=view, dst_dir_fd=self._folder, follow_symlinks=False)


class NoLentLinks(LentLinks):
    """Where no link is lent."""

    def borrow(self, target: str, path: str, *, view: int) -> bool:  # noqa: ARG002  # the answer is always the same
        """There is none."""
        return False

    def keep(self, target: str, path: str, *, view: int) -> None:
        """Nothing is kept."""


@contextmanager
def lent_links(folder: Path) -> Iterator[LentLinks]:
    """The links in this folder, which is made where there is none."""
    if not sys.platform.startswith("linux"):
        yield NoLentLinks(-1)
        return
    folder.mkdir(parents=True, exist_ok=True)
    with opened_folder(folder) as descriptor:
        yield LentLinks(descriptor)


def misnamed_links(folder: Path) -> list[Path]:
    """What in the folder is no link, or one that leads elsewhere than its name says."""
    with os.scandir(folder) as found:
        names = sorted((child.name, child.is_symlink()) for child in found)
    return [folder / name for name, is_link in names if not is_link or _name_of(os.readlink(folder / name)) != name]


def _name_of(target: str) -> str:
    return sha256(os.fsencode(target)).hexdigest()[:_NAME_DIGITS]
