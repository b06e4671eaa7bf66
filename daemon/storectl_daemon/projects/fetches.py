"""Whether a ``git fetch`` may have changed the refs of a repository: by the files that git then writes.

<git folder>/FETCH_HEAD         by every fetch; each worktree has its own
<common>/packed-refs            refs that were packed
<common>/reftable/tables.list   by every change of a ref, in git's newer format
"""

from collections.abc import Iterable
from pathlib import Path

from storectl_daemon.projects.inputs import Signature, signature_of
from storectl_store.projects.git_refs import git_folder

FETCH_FILES = ("FETCH_HEAD", "packed-refs", "tables.list")
"""The names of these files."""


class Fetches:
    """Remembers how these files were. For one thread at a time."""

    def __init__(self) -> None:
        self._signatures: dict[Path, Signature] = {}

    def changed(self, projects: Iterable[Path]) -> list[Path]:
        """Those of the projects around which one of the files has changed. The first look at a project is no change."""
        found = []
        for project in projects:
            now = _signature(project)
            if self._signatures.setdefault(project, now) != now:
                found.append(project)
            self._signatures[project] = now
        return found


def _signature(project: Path) -> Signature:
    folder = git_folder(project)
    if folder is None:
        return ()
    return signature_of((folder / "FETCH_HEAD", folder / "packed-refs", folder / "reftable" / "tables.list"))
