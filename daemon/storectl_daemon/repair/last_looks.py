"""Environments that were found right, so that a warm with nothing to do need not look at every file again.

A file that comes, goes or is replaced changes the time of its folder. As long as the times of all folders, and of the
few files that everything else is read from, are those from before a look that found nothing, another look would find
nothing either: unless a file was changed in place, which is seen by the next look at all files, after a minute.
"""

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

GOOD_FOR_S = 60.0
"""So long after a look at all files the times of folders count."""

_MOST = 16
"""So many environments are remembered: the times of one with 300 wheels take a megabyte."""

Times = tuple[tuple[str, int], ...]
"""Paths, and their modification times in ns."""


@dataclass(frozen=True, slots=True)
class LastLooks:
    """The times of what was found right, by the folder of the environment."""

    _known: dict[Path, tuple[float, Times]] = field(default_factory=dict)

    def holds(self, environment: Path) -> bool:
        """Whether all of it was found right a short while ago, and nothing has come, gone or been replaced since."""
        at, times = self._known.get(environment, (0.0, ()))
        if not times or time.monotonic() > at + GOOD_FOR_S:
            return False
        try:
            return all(os.lstat(path).st_mtime_ns == mtime_ns for path, mtime_ns in times)
        except OSError:
            return False

    def note(self, environment: Path, times: Times) -> None:
        """Remember that it was found right by a look that began after these times were taken."""
        self._known.pop(environment, None)
        self._known[environment] = (time.monotonic(), times)
        if len(self._known) > _MOST:
            del self._known[next(iter(self._known))]

    def forget(self, environment: Path) -> None:
        """Have the next warm look at all files."""
        self._known.pop(environment, None)


def times_of(folders: Iterable[Path], files: Iterable[Path]) -> Times:
    """The times of these files, and of these folders with all that are below them. May raise OSError."""
    paths = [*map(str, files), *(path for folder in folders for path in _folders(str(folder)))]
    return tuple((path, os.lstat(path).st_mtime_ns) for path in paths)


def _folders(folder: str) -> Iterator[str]:
    yield folder
    with os.scandir(folder) as found:
        below = [child.path for child in found if child.is_dir(follow_symlinks=False)]
    for path in below:
        yield from _folders(path)
