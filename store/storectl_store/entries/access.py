"""Who may enter a store: its owner alone, or other accounts as well. The umask never counts.

    PRIVATE   0700 the top folder
    SHARED    0755 the top folder, or 0750 if it is for one group; 0644 VERSION
              0700 and 0600 what only the writer needs: ``tmp``, ``trash``, ``quarantine``, ``roots``, ``urls``,
              ``git``, ``lock``, ``index.db``

Entries, manifests, views and packs have modes by which everybody may read them, in either case.
"""

import os
import stat
from contextlib import suppress
from enum import Enum
from pathlib import Path

from storectl_store.disk.whole_files import PRIVATE as PRIVATE_FILE
from storectl_store.entries.layout import StoreLayout

PRIVATE_FOLDER = 0o700
PUBLIC_FOLDER = 0o755
_OF_A_GROUP = 0o750
_PUBLIC_FILE = 0o644


class Access(Enum):
    """Whether other accounts than the owner may read a store."""

    PRIVATE = "private"
    SHARED = "shared"


def private_folders(layout: StoreLayout) -> frozenset[Path]:
    """The folders of a store that only its writer needs."""
    return frozenset({layout.tmp, layout.trash, layout.quarantine, layout.roots, layout.urls, layout.repositories})


def share(layout: StoreLayout, group: int | None) -> None:
    """Let all accounts read the store, or those of one group (a gid). What only the writer needs is closed first.

    May raise OSError: this process has to own the store, and to be a member of the group.
    """
    for path in private_folders(layout):
        _set_mode(path, PRIVATE_FOLDER)
    for path in (layout.index, layout.lock):
        _set_mode(path, PRIVATE_FILE)
    for path in (layout.version_file, layout.version_copy):
        _set_mode(path, _PUBLIC_FILE)
    if group is not None and layout.root.stat().st_gid != group:
        os.chown(layout.root, -1, group)
    _set_mode(layout.root, PUBLIC_FOLDER if group is None else _OF_A_GROUP)


def _set_mode(path: Path, mode: int) -> None:
    """Set the mode, unless it is this one already; a path that is not there stays so."""
    with suppress(FileNotFoundError):
        if stat.S_IMODE(path.lstat().st_mode) != mode:
            path.chmod(mode)
