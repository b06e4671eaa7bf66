"""What views share: symbolic links, and copies of files, with a further name in every view that shows them.

    links/<digits of its target>                              a symbolic link
    links/<digits of its source>.<digits of its bytes>.copy   a copy of an entry's file, with its mode and time

Digits are the first 32 hex digits of a sha256.

A link into an entry is the same in every view, so only the first view has to make it. One more name for it costs no
inode and a tenth of the time. The same goes for a copy: it is no file of an entry, so what writes into it harms none,
and then its time tells, so that the next view makes another. Links and copies are kept here once the view that they
were made for is durable, so each of them is whole. One that no view has any more has a link count of 1.

Only Linux is sure to give a symbolic link a second name. On other systems, and if the file system refuses, each view
has links and copies of its own.
"""

import errno
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path

from storectl_store.disk.descriptors import opened_folder
from storectl_store.environments.planning.tree import SameFile

NO_HARD_LINK = frozenset({errno.EPERM, errno.EACCES, errno.EXDEV, errno.EMLINK, errno.ENOSYS, errno.EOPNOTSUPP})
"""Errors that mean no hard link can be made.

The file system has none, the file has as many as it can have, or it belongs to another user.
"""

_NAME_DIGITS = 32
_COPY = ".copy"


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

    def copy_into(self, copy: SameFile, *, view: int) -> bool:
        """Give the copy of an entry's file a name in the view.

        Returns false if there is none, or if it is not as the entry's file now: then a program has written into it.
        """
        name = _name_of_copy(copy)
        try:
            if looks_of(os.stat(copy.target)) != looks_of(os.stat(name, dir_fd=self._folder, follow_symlinks=False)):
                return False
            os.link(name, copy.path, src_dir_fd=self._folder, dst_dir_fd=view)
        except OSError as error:
            if error.errno == errno.ENOENT or error.errno in NO_HARD_LINK:
                return False
            raise
        return True

    def keep_copy(self, copy: SameFile, *, view: int) -> None:
        """Keep a copy of a view that is durable, in place of any other. It does no harm if it cannot be kept."""
        name = _name_of_copy(copy)
        with suppress(OSError):
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=self._folder)
            os.link(copy.path, name, src_dir_fd=view, dst_dir_fd=self._folder)


class UnsharedLinks(SharedLinks):
    """A stand-in for systems on which views share no link."""

    def link_into(self, target: str, path: str, *, view: int) -> bool:  # noqa: ARG002  # the answer is always the same
        """Return false: there is no link to share."""
        return False

    def keep(self, target: str, path: str, *, view: int) -> None:
        """Keep nothing."""

    def copy_into(self, copy: SameFile, *, view: int) -> bool:  # noqa: ARG002  # as above
        """Return false: there is no copy to share."""
        return False

    def keep_copy(self, copy: SameFile, *, view: int) -> None:
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


def drop_unused_links(folder: Path) -> int:
    """Delete the links and copies that no view has any more. Returns how many. May raise OSError.

    A view that takes one at this moment has a name for it of its own, or makes another.
    """
    dropped = 0
    with suppress(FileNotFoundError), os.scandir(folder) as found:
        for each in found:
            with suppress(FileNotFoundError):
                status = each.stat(follow_symlinks=False)
                if status.st_nlink == 1 and not stat.S_ISDIR(status.st_mode):
                    os.unlink(each.path)
                    dropped += 1
    return dropped


def misnamed_links(folder: Path) -> list[Path]:
    """Everything in the folder that is no link to the target, or no copy of the bytes, that its name says.

    What goes meanwhile is left out. May raise OSError.
    """
    return [path for path in sorted(folder.iterdir()) if not _is_named_right(path) and os.path.lexists(path)]


def _is_named_right(path: Path) -> bool:
    with suppress(FileNotFoundError):
        if path.is_symlink():
            return _name_of(os.readlink(path)) == path.name
        if path.name.endswith(_COPY) and path.is_file():
            return sha256(path.read_bytes()).hexdigest().startswith(path.name.removesuffix(_COPY).partition(".")[2])
    return False


def _name_of_copy(copy: SameFile) -> str:
    return f"{_name_of(copy.target)}.{copy.sha256[:_NAME_DIGITS]}{_COPY}"


def _name_of(target: str) -> str:
    return sha256(os.fsencode(target)).hexdigest()[:_NAME_DIGITS]


def looks_of(status: os.stat_result) -> tuple[int, int, int]:
    """Mode, size and time of a file. They tell if a program has written into it."""
    return status.st_mode, status.st_size, status.st_mtime_ns
