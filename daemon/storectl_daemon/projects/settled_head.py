"""What is checked out, once git has said it.

``git switch``, ``merge`` and ``pull`` put the files in their places, then write the index, and then HEAD or its branch.
The environment of the new files may be granted in between. Whoever tells a grant's branch waits a moment for the last
step.

    <git folder>/index        written before
    <git folder>/HEAD         written at last, if the branch is another one
    <git folder>/logs/HEAD    gets a line whenever HEAD or its branch moves
"""

import os
import time
from collections.abc import Mapping
from pathlib import Path

from storectl_daemon.projects.git_folder import head_of
from storectl_store.projects.git_refs import Head, git_folder

_PATIENCE_SECONDS = 0.1
"""An index may be written without a step after it, as by ``git add``: then all of this is waited in vain."""

_LOOK_SECONDS = 0.002
_YOUNG_NS = 1_000_000_000


def settled_head(project: Path, *, environ: Mapping[str, str]) -> Head:
    """What is checked out around this folder. May block, for a tenth of a second at most."""
    git = git_folder(project)
    end = time.monotonic() + _PATIENCE_SECONDS
    while git is not None and _is_to_come(git) and time.monotonic() < end:
        time.sleep(_LOOK_SECONDS)
    return head_of(project, environ=environ)


def _is_to_come(git: Path) -> bool:
    """Whether git has just written an index, and has not moved HEAD since."""
    index = _time(git / "index")
    return time.time_ns() - index < _YOUNG_NS and index > max(_time(git / "HEAD"), _time(git / "logs" / "HEAD"))


def _time(file: Path) -> int:
    """When the file was written, in ns; 0 if there is none."""
    try:
        return os.stat(file).st_mtime_ns
    except OSError:
        return 0
