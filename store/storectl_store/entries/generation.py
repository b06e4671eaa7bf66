"""The generation of a store that others read: a file ``GENERATION`` that is replaced when anything is taken away.

    storectl-generation 1 <32 hex digits>

Who recorded an environment of the store has a stamp of the file. If it is another one, the environment may have gone:
the next start looks for itself. So it is replaced after the last thing has gone, and before what went is deleted; and
once more before the first goes, so that who starts in between looks, too. A store that nobody but its owner can enter
has none.
"""

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from storectl_store.disk.durability import disk_errors
from storectl_store.disk.whole_files import replace_file
from storectl_store.entries.layout import StoreLayout

_MODE = 0o644
_OTHERS_ENTER = stat.S_IXGRP | stat.S_IXOTH


def renew_generation(layout: StoreLayout) -> None:
    """Replace the file, durably; it is made if there is none. Raises StoreError if the disk refuses."""
    content = f"storectl-generation 1 {secrets.token_hex(16)}\n"
    with disk_errors(f"write {layout.generation}"):
        replace_file(layout.generation, content.encode(), mode=_MODE, synced=True)
        layout.generation.chmod(_MODE)  # whatever the umask


def renew_if_shared(layout: StoreLayout) -> None:
    """Replace the file if others than its owner can enter the store. Raises StoreError if the disk refuses."""
    with disk_errors(f"look at {layout.root}"):
        shared = os.stat(layout.root).st_mode & _OTHERS_ENTER
    if shared:
        renew_generation(layout)


@contextmanager
def taking_away(layout: StoreLayout) -> Iterator[None]:
    """Within the block things are taken out of the store, or put aside."""
    renew_if_shared(layout)
    try:
        yield
    finally:
        renew_if_shared(layout)
