"""Folders held open: a call relative to a descriptor looks up no way, and cannot be led astray on it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
"""Flags to open a folder, or what a symbolic link leads to."""

REAL_FOLDER = FOLDER | os.O_NOFOLLOW
"""Flags to open a folder and nothing else."""


@contextmanager
def opened_folder(folder: Path) -> Iterator[int]:
    """A descriptor of the folder, closed with the block. An OSError where there is none."""
    descriptor = os.open(folder, FOLDER)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
