"""The sums of a repository's mirror: the digest of every file in it when git was done with it.

    git/<name>.sums     a line ``<sha256 hex> <path in the mirror>`` for each file, sorted; worktrees are left out

git checks its objects, but neither its configuration, which names the address, nor its lists of refs.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from storectl_store.disk.whole_files import replace_file
from storectl_store.entries.layout import StoreLayout
from storectl_store.entries.trash import discard

_OTHERS = frozenset({"worktrees", "hooks", "FETCH_HEAD"})


def sums_file(mirror: Path) -> Path:
    """The path of the file with this mirror's sums."""
    return mirror.with_name(f"{mirror.name}.sums")


def lock_file(mirror: Path) -> Path:
    """The file that a process locks while it works on this mirror."""
    return mirror.with_name(f"{mirror.name}.lock")


def write_sums(mirror: Path) -> None:
    """Write the sums of the files as they are now. The caller has locked the mirror."""
    replace_file(sums_file(mirror), _sums(mirror))


def is_damaged(mirror: Path) -> bool:
    """Whether the mirror has changed since git was done with it. The caller holds its lock. May raise OSError."""
    return mirror.exists() and (not sums_file(mirror).exists() or sums_file(mirror).read_bytes() != _sums(mirror))


def sums_problem(mirror: Path) -> str | None:
    """What is wrong with the mirror; None if nothing is, or if a process works on it. May raise OSError."""
    with lock_file(mirror).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return None
        if not sums_file(mirror).exists():
            return "it does not say what was fetched"
        return None if sums_file(mirror).read_bytes() == _sums(mirror) else "its files are not as git left them"


def drop_old_mirrors(layout: StoreLayout, before: float) -> int:
    """Throw away the mirrors that were used last before this time, in seconds. Returns how many.

    The sums are written at each use. Lock files stay: one process at a time could not be told from two without them.
    """
    dropped = 0
    for sums in layout.repositories.glob("*.sums"):
        mirror = sums.with_suffix("")
        with suppress(BlockingIOError, FileNotFoundError), lock_file(mirror).open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if sums.stat().st_mtime < before:
                discard(layout, mirror, kind="repository")
                sums.unlink()
                dropped += 1
    return dropped


def _sums(mirror: Path) -> bytes:
    return b"".join(sorted(_lines(mirror)))


def _lines(mirror: Path) -> Iterator[bytes]:
    for parent, folders, names in os.walk(mirror):
        if Path(parent) == mirror:
            folders[:] = [folder for folder in folders if folder not in _OTHERS]
            names = [name for name in names if name not in _OTHERS]  # noqa: PLW2901 - the rest of them
        for name in names:
            path = Path(parent, name)
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            yield os.fsencode(f"{digest} {path.relative_to(mirror)}\n")
