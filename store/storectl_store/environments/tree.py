"""What a view consists of: links into the store, files shared with it, small files of its own, scripts whose first line is its own.

Paths are relative to the environment, with forward slashes; targets and sources are absolute, except the few links
that a view makes to itself (``lib64 -> lib``).
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A symbolic link. ``folder`` is true where it stands for a whole folder of one entry."""

    path: str
    target: str
    folder: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SameFile:
    """The file of an entry under a second name: a hard link, which costs no inode, or a symbolic one where none can be."""

    path: str
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallFile:
    """A file that belongs to the view alone: mode 0555 where executable, else 0444."""

    path: str
    content: bytes
    executable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreScript:
    """A script of a wheel: a copy with another first line where that is ``#!python``, else ``source`` as a ``SameFile``.

    Which of the two is only known when its bytes are read, so the plan leaves it to the publisher.
    """

    path: str
    source: str


Leaf = Link | SameFile | SmallFile | StoreScript
