"""Folders of entries that are writable for a moment: noted in the session, so that recovery closes them after a crash.

A note is a file ``tmp/<session>/opened.<random>`` with a line for each folder: its path below ``store/``. Everything
below such a folder may have been opened. The note is written before the first folder is opened, and deleted after the
last one is closed.
"""

import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from storectl_store.entries.layout import StoreLayout

_NOTE = "opened."
CLOSED = 0o555
"""The mode of every folder of an entry."""


@contextmanager
def noted(layout: StoreLayout, folders: Iterable[Path], session: Path) -> Iterator[None]:
    """Within the block, folders at or below these may be opened. The caller's next barrier makes the note durable.

    Raises OSError if the note cannot be written.
    """
    note = session / f"{_NOTE}{secrets.token_hex(8)}"
    note.write_text("".join(f"{folder.relative_to(layout.entries)}\n" for folder in folders))
    try:
        yield
    finally:
        note.unlink(missing_ok=True)


def close_noted(layout: StoreLayout, session: Path) -> list[str]:
    """Close the folders that the notes of a session name, and all below them. Returns those that were open.

    They are paths below ``store/``, sorted. Raises OSError if the disk refuses.
    """
    closed = set()
    for note in session.glob(f"{_NOTE}*"):
        for line in note.read_text().splitlines():
            for folder, _, _ in os.walk(layout.entries / line):
                with suppress(FileNotFoundError):
                    if stat.S_IMODE(os.stat(folder).st_mode) & 0o222:
                        os.chmod(folder, CLOSED)
                        closed.add(os.path.relpath(folder, layout.entries))
    return sorted(closed)
