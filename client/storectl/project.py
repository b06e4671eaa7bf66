"""Find the project that a command is about."""

from __future__ import annotations

import os
import time

from storectl.errors import NoLockFileError, ProjectOwnerError
from storectl_shim.project_record import INPUTS, LOCK_FILES, find_member, find_project
from storectl_shim.trust import ForeignFileError, check_inputs

TYPE_CHECKING = False  # typing and collections.abc take longer to import than all of `run`
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from storectl.options import Options


_LOOKS, _LOOK_SECONDS = 100, 0.02
"""How often to look for a lock file while git is at work: for two seconds."""


def locate_project(starts: Iterable[str], options: Options, environ: Mapping[str, str]) -> tuple[str, str]:
    """The project's folder without symbolic links, and its lock file; NoLockFileError if there is none.

    It is the folder of the lock file that the options name, else the first project found upward from one of ``starts``.
    """
    project, lock_file, _ = locate_member(starts, options, environ)
    return project, lock_file


def locate_member(starts: Iterable[str], options: Options, environ: Mapping[str, str]) -> tuple[str, str, Options]:
    """The project's folder and lock file, and the options, for the workspace member that the search started in, if any.

    ProjectOwnerError if the project belongs to another user and is not trusted.
    """
    try:
        if options.lock_file is not None:
            return (*_project_of(options.lock_file, environ), options)
        return _search(starts, options, environ)
    except ForeignFileError as error:
        kind = NoLockFileError if error.passed_by else ProjectOwnerError
        raise kind(str(error), code=error.code, hint=error.hint, path=error.path, uid=error.uid) from None


def _search(starts: Iterable[str], options: Options, environ: Mapping[str, str]) -> tuple[str, str, Options]:
    tried: list[str] = []
    for each in starts:  # one by one: the current folder may be gone, and may not be needed
        start = os.path.abspath(each)
        found = find_project(start, environ.get("HOME"), environ)
        looks = 0
        while found is None and looks < _LOOKS and _git_is_at_work(start):
            time.sleep(_LOOK_SECONDS)  # a switch of branches removes a lock file before it writes the other
            found = find_project(start, environ.get("HOME"), environ)
            looks += 1
        if found is not None:
            return (*found, options.at_member(find_member(start, *found)))
        tried.append(start)
    raise NoLockFileError(
        f"no lock file ({', '.join(LOCK_FILES)}) at or above {tried[0]}",
        hint="make one (`storectl lock`), name one with --lock FILE, or a project with --project DIR; "
        "a requirements.txt counts where it holds hashes",
        start=tried[0],
        unlocked=any(_is_in_project(start, environ.get("HOME")) for start in tried),
    )


def _is_in_project(folder: str, home: str | None) -> bool:
    """Whether a `pyproject.toml` is as near as a lock file would have to be: a project that nobody has locked yet."""
    last = os.path.realpath(home) if home else None
    folder = os.path.realpath(folder)
    while not os.path.exists(os.path.join(folder, "pyproject.toml")):
        parent = os.path.dirname(folder)
        if folder in (last, parent) or os.path.exists(os.path.join(folder, ".git")):
            return False
        folder = parent
    return True


def _git_is_at_work(folder: str) -> bool:
    """Whether git is changing the checkout around the folder. Not seen in a worktree, whose lock is elsewhere."""
    while not os.path.exists(os.path.join(folder, ".git")) and folder != os.path.dirname(folder):
        folder = os.path.dirname(folder)
    return os.path.exists(os.path.join(folder, ".git", "index.lock"))


def _project_of(lock_file: str, environ: Mapping[str, str]) -> tuple[str, str]:
    if not os.path.isfile(lock_file):
        raise NoLockFileError(
            f"no lock file at {lock_file}", hint="--lock takes the path of an existing file", start=lock_file
        )
    project = os.path.dirname(lock_file)
    check_inputs(project, INPUTS, lock_file, environ)
    return project, lock_file
