"""Find the project that a command is about."""

from __future__ import annotations

import os
import time

from storectl.errors import ClientError, NoLockFileError, ProjectOwnerError
from storectl_shim.project_record import INPUTS, LOCK_FILES, find_member, find_project
from storectl_shim.trust import ForeignFileError, check_inputs, everybody_writes

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
            return _at_package(*_project_of((options.lock_file, *options.further_lock_files), environ), options)
        return _search(starts, options, environ)
    except ForeignFileError as error:
        raise _owner_error(error) from None


def check_owners(folder: str, files: Iterable[str], environ: Mapping[str, str]) -> None:
    """ProjectOwnerError if the folder, an input in it or one of the files is another user's and not trusted."""
    try:
        check_inputs(folder, (*INPUTS, *files), folder, environ)
    except ForeignFileError as error:
        raise _owner_error(error) from None


def is_left_by_others(folder: str, environ: Mapping[str, str]) -> bool:
    """Whether another user has put an input into this folder, where everybody may. It decides nothing below it."""
    try:
        check_inputs(folder, INPUTS, folder, environ)
    except ForeignFileError:
        return everybody_writes(folder)
    return False


def _owner_error(error: ForeignFileError) -> ClientError:
    kind = NoLockFileError if error.passed_by else ProjectOwnerError
    return kind(str(error), code=error.code, hint=error.hint, path=error.path, uid=error.uid)


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
            if options.package or options.all_packages:
                return _at_package(*found, options)
            return (*found, options.at_member(find_member(start, *found)))
        tried.append(start)
    raise NoLockFileError(
        f"no lock file ({', '.join(LOCK_FILES)}) at or above {tried[0] if tried else 'this folder'}",
        hint="make one (`storectl lock`), name one with --lock FILE, or a project with --project DIR",
        start=tried[0] if tried else None,
    )


def _at_package(project: str, lock_file: str, options: Options) -> tuple[str, str, Options]:
    """The project, its lock file, and the options for the workspace member that they name, if any."""
    if options.package is None:
        return project, lock_file, options
    from storectl.members import folder_of_member  # noqa: PLC0415 - only --package has to wait for it

    return project, lock_file, options.at_member(folder_of_member(project, lock_file, options.package))


def _git_is_at_work(folder: str) -> bool:
    """Whether git is changing the checkout around the folder. Not seen in a worktree, whose lock is elsewhere."""
    while not os.path.exists(os.path.join(folder, ".git")) and folder != os.path.dirname(folder):
        folder = os.path.dirname(folder)
    return os.path.exists(os.path.join(folder, ".git", "index.lock"))


def _project_of(lock_files: tuple[str, ...], environ: Mapping[str, str]) -> tuple[str, str]:
    for path in lock_files:
        if not os.path.isfile(path):
            raise NoLockFileError(
                f"no lock file at {path}", hint="--lock takes the path of an existing file", start=path
            )
    project = os.path.dirname(lock_files[0])
    check_inputs(project, (*INPUTS, *lock_files[1:]), lock_files[0], environ)
    return project, lock_files[0]
