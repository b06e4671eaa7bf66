"""Folders held open: a call relative to a descriptor looks up no path, and cannot be led astray on it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
"""Flags to open a folder, or the folder that a symbolic link leads to."""

REAL_FOLDER = FOLDER | os.O_NOFOLLOW
"""Flags to open a folder and nothing else, not even through a symbolic link."""


@contextmanager
def opened_folder(folder: Path) -> Iterator[int]:
    """Open the folder and give its descriptor; it is closed with the block.

    Raises OSError if there is no such folder.
    """
    descriptor = os.open(folder, FOLDER)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
