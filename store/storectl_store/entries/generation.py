r"""``GENERATION``: a file in the root of a store that others read. It is another one after anything was taken away.

    GENERATION      "storectl generation <32 hex digits>\n", replaced by rename

Who uses a store below its own keeps the file's time in the records of projects, and looks again at what it uses there
once that is another. A store that nobody but its owner can enter has no such file. It is renewed before and after
things are taken away: who starts in between finds it changed, and looks by itself.
"""

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from storectl_store.disk.durability import disk_errors
from storectl_store.disk.whole_files import replace_file
from storectl_store.entries.layout import StoreLayout

_OTHERS_ENTER = stat.S_IXGRP | stat.S_IXOTH
_READABLE = 0o644


def is_shared(layout: StoreLayout) -> bool:
    """Whether others than its owner can enter the store."""
    return bool(os.stat(layout.root).st_mode & _OTHERS_ENTER)


def renew_generation(layout: StoreLayout) -> None:
    """Replace the file, if the store is shared. Raises StoreError if the disk refuses."""
    with disk_errors(f"renew {layout.generation}"):
        if is_shared(layout):
            content = f"storectl generation {secrets.token_hex(16)}\n".encode()
            replace_file(layout.generation, content, synced=True)
            layout.generation.chmod(_READABLE)  # whatever the umask


@contextmanager
def taking_away(layout: StoreLayout) -> Iterator[None]:
    """Within the block things are taken out of the store, or put aside."""
    renew_generation(layout)
    try:
        yield
    finally:
        renew_generation(layout)
