"""Symbolic links that views share: one inode in ``links/``, with a further name in every view that shows its target.

    links/<32 hex digits of the sha256 of its target>      a symbolic link

A link into an entry is the same in every view, so only the first view has to make it. One more name for it costs no
inode and a tenth of the time. A link is kept here once the view that it was made for is durable, so every link here is
whole. A link that no view has any more has a link count of 1.

Only Linux is sure to give a symbolic link a second name. On other systems, and if the file system refuses, each view
has links of its own.
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
"""Errors that mean no hard link can be made.

The file system has none, the file has as many as it can have, or it belongs to another user.
"""

_NAME_DIGITS = 32


class SharedLinks:
    """The links of the folder behind one descriptor."""

    def __init__(self, folder: int) -> None:
        self._folder = folder

    def link_into(self, target: str, path: str, *, view: int) -> bool:
        """Give the link to this target a name in the view, relative to its descriptor. Returns false if it cannot."""
        try:
            os.link(_name_of(target), path, src_dir_fd=self._folder, dst_dir_fd=view, follow_symlinks=False)
        except OSError as error:
            if error.errno == errno.ENOENT or error.errno in NO_HARD_LINK:
                return False
            raise
        return True

    def keep(self, target: str, path: str, *, view: int) -> None:
        """Keep a link of a view that is durable. It does no harm if it cannot be kept, or is there already."""
        with suppress(OSError):
            os.link(path, _name_of(target), src_dir_fd=view, dst_dir_fd=self._folder, follow_symlinks=False)


class UnsharedLinks(SharedLinks):
    """A stand-in for systems on which views share no link."""

    def link_into(self, target: str, path: str, *, view: int) -> bool:  # noqa: ARG002  # the answer is always the same
        """Return false: there is no link to share."""
        return False

    def keep(self, target: str, path: str, *, view: int) -> None:
        """Keep nothing."""


@contextmanager
def shared_links(folder: Path) -> Iterator[SharedLinks]:
    """The links in this folder, which is made if there is none."""
    if not sys.platform.startswith("linux"):
        yield UnsharedLinks(-1)
        return
    folder.mkdir(parents=True, exist_ok=True)
    with opened_folder(folder) as descriptor:
        yield SharedLinks(descriptor)


def misnamed_links(folder: Path) -> list[Path]:
    """Everything in the folder that is no link, or a link with another target than its name says."""
    with os.scandir(folder) as found:
        names = sorted((child.name, child.is_symlink()) for child in found)
    return [folder / name for name, is_link in names if not is_link or _name_of(os.readlink(folder / name)) != name]


def _name_of(target: str) -> str:
    return sha256(os.fsencode(target)).hexdigest()[:_NAME_DIGITS]
