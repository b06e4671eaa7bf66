"""What a view consists of.

It has links into the store, copies of files, small files of its own, and scripts with a first line of its own.
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
    """A file with the bytes, mode and time of an entry's file, which it never is itself.

    What writes into it does not write into the entry. Views share it (``shared_links``), so it mostly costs no inode.
    ``target`` is the entry's file, ``sha256`` its digest in hex.
    """

    path: str
    target: str
    sha256: str


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
    sha256: str


Leaf = Link | SameFile | SmallFile | StoreScript
