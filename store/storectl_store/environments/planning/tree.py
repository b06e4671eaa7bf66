"""What a view consists of.

It has links into the store, files shared with it, small files of its own, and scripts with a first line of its own.
Paths are relative to the environment, with forward slashes. Targets and sources are absolute, except for the few links
that a view makes to itself (``lib64 -> lib``).
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A symbolic link. ``folder`` is true if it stands for a whole folder of one entry."""

    path: str
    target: str
    folder: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SameFile:
    """The file of an entry under a second name.

    It is a hard link, which costs no inode, or a symbolic link if there can be no hard link.
    """

    path: str
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallFile:
    """A file that belongs to the view alone: mode 0555 if executable, otherwise 0444."""

    path: str
    content: bytes
    executable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreScript:
    """A script of a wheel. If its first line is ``#!python``, a copy with another first line; otherwise a ``SameFile``.

    Only its bytes tell which of the two, so the plan leaves that to the publisher, which reads them.
    """

    path: str
    source: str


Leaf = Link | SameFile | SmallFile | StoreScript
