"""What things take up on disk: inodes, and bytes of whole blocks."""

import os
from collections.abc import Iterable
from dataclasses import dataclass

BLOCK = 4096
"""Bytes. ext4, XFS and btrfs give space in blocks of this size, and a folder with few names takes one."""

_STATUS_BLOCK = 512  # bytes; the unit of st_blocks on all systems


@dataclass(frozen=True, slots=True)
class DiskSize:
    """So many inodes, and so many bytes of blocks."""

    inodes: int = 0
    bytes: int = 0

    def __add__(self, other: "DiskSize") -> "DiskSize":
        return DiskSize(self.inodes + other.inodes, self.bytes + other.bytes)

    def __sub__(self, other: "DiskSize") -> "DiskSize":
        return DiskSize(self.inodes - other.inodes, self.bytes - other.bytes)


NOTHING = DiskSize()


def sum_of(sizes: Iterable[DiskSize]) -> DiskSize:
    """All of these together."""
    each = list(sizes)
    return DiskSize(sum(size.inodes for size in each), sum(size.bytes for size in each))


def in_blocks(size: int) -> int:
    """The bytes that a file of this size takes up in whole blocks."""
    return -(-size // BLOCK) * BLOCK


def size_of(status: os.stat_result) -> DiskSize:
    """What the one inode with this status takes up, as the file system says it."""
    return DiskSize(1, status.st_blocks * _STATUS_BLOCK)
