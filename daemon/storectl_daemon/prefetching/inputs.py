"""The inputs of a commit that nobody has checked out, read with the paths and options that they will have.

A stranger may have written them, so less counts than of files on disk:

- Of the command's variables only the settings of the tool count, and the variables that the checkout's own lock file
  uses: a ``${NAME}`` cannot carry another variable into an address.
- ``.python-version`` may name a version. A path, which would be run to ask what it is, counts only if the checkout
  says the same.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from storectl_daemon.jobs.options import Job
from storectl_daemon.prefetching.commit_files import CommitFiles
from storectl_daemon.prefetching.git_calls import GitError
from storectl_store.interpreters.request import pinned_request
from storectl_store.projects.version_files import VERSION_FILES, Around, look_around, requires_python_in
from storectl_store.selection.lock_file import LockFile, kind_of
from storectl_store.selection.reading import read_lock_file
from storectl_store.selection.settings_files import SETTING_VARIABLES, settings_files

_PLACES = frozenset({"HOME", "XDG_CONFIG_HOME", "POETRY_CONFIG_DIR", "UV_NO_CONFIG"})
_PLAIN_VERSION = re.compile(r"(?:(?:cpython|python)[-@]?)?3(?:\.\d+){0,2}t?|[<>=!~][<>=!~\d.,* ]*", re.IGNORECASE)


def counting_variables(environ: Mapping[str, str], current: LockFile | None) -> dict[str, str]:
    """The variables that may count for a commit. ``current`` is the lock file that is checked out."""
    settings = {name for names in SETTING_VARIABLES.values() for name in names}
    names = _PLACES | settings | (current.variables.keys() if current else set())
    return {name: environ[name] for name in sorted(names) if name in environ}


def outside_files(lock_file: Path, top: Path, variables: Mapping[str, str]) -> frozenset[Path]:
    """The settings files outside of the checkout that count for this lock file: those of the user."""
    kind = kind_of(lock_file)
    files = settings_files(kind, lock_file.parent, variables) if kind else ()
    return frozenset(file for file in files if not file.is_relative_to(top))


def read_commit(
    files: CommitFiles, job: Job, lock_file: Path, top: Path, variables: Mapping[str, str]
) -> tuple[LockFile, Around]:
    """The lock file of the commit, and what the folders around it say.

    Raises a SelectionError if it cannot be read, GitError if git does not give it or if it asks for too much.
    """
    further = map(Path, job.options.further_lock_files)
    found = read_lock_file(lock_file, further, variables=variables, read=files.read, matching=files.matching)
    start = Path(job.options.member) if job.options.member else job.project
    pinned = _pinned(files, start, top, job)
    requires_python = _requires_python(files, start, top) if found.kind == "requirements" else None
    return found, Around(pinned=pinned, requires_python=requires_python)


def _pinned(files: CommitFiles, start: Path, top: Path, job: Job) -> str | None:
    """The content of the nearest version file. Raises GitError if it may name a program."""
    content = _nearest(files, start, top, VERSION_FILES, job.environ.get("HOME"))
    pinned = content.decode(errors="replace") if content is not None else None
    said = pinned_request(pinned or "")
    if said is None or _PLAIN_VERSION.fullmatch(said):
        return pinned
    if said == pinned_request(look_around(start, job.environ, for_project=False).pinned or ""):
        return pinned
    raise GitError(f"it asks for the Python {said[:80]!r}, which the checkout does not")


def _requires_python(files: CommitFiles, start: Path, top: Path) -> str | None:
    content = _nearest(files, start, top, ("pyproject.toml",), None)
    return requires_python_in(content) if content is not None else None


def _nearest(files: CommitFiles, start: Path, top: Path, names: tuple[str, ...], home: str | None) -> bytes | None:
    """The content of the nearest of these files, from this folder up to the top of the checkout, or the home folder."""
    last = {top, Path(os.path.realpath(home))} if home else {top}
    for folder in (start, *start.parents):
        for name in names:
            content = files.read(folder / name)
            if content is not None:
                return content
        if folder in last:
            return None
    return None
