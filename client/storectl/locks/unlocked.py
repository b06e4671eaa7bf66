"""What has no lock file yet is locked by its first run: a project by its own tool, requirements files by uv or pip.

A project gets its lock file where its tool puts it, as with `uv run`. What is made of requirements files without
hashes is remembered in the state folder. Both count only if there is no lock file at or above the folder. The nearest
of them counts, and in one folder the requirements.txt, unless pyproject.toml or a Pipfile names the project's tool.
"""

from __future__ import annotations

import os

from storectl.daemon.chosen_python import chosen_python, first_on_path, pinned_at, upward
from storectl.errors import NoLockFileError
from storectl.locks.remembered import Locking, lock_once, remembered_folder, versions_in
from storectl.project import check_owners, is_left_by_others, locate_member
from storectl_shim.locations import store_folder
from storectl_shim.project_record import TOOL_MARKS, last_environment
from storectl_shim.requirements_files import (
    NAME,
    content_of,
    contents_of,
    has_hashes,
    key_of_contents,
    remembered_requirements,
)

TYPE_CHECKING = False  # typing and collections.abc take longer to import than all of `run`
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from storectl.locks.requirements import Wanted
    from storectl.options import Options

_PLAIN = (".txt", ".in")
"""How the names of requirements files end."""


def locate_or_lock(
    starts: Callable[[], Iterable[str]], options: Options, environ: Mapping[str, str], how: Locking
) -> tuple[str, str, Options]:
    """As ``locate_member``, but what has no lock file is locked first; NoLockFileError if nothing can be locked."""
    if options.lock_file is not None:
        return locate_member((), _with_locked_files(options, environ, how), environ)
    try:
        project, lock_file, found = locate_member(starts(), options, environ)
    except NoLockFileError:
        folder = _nearest(starts(), environ)
        if folder is None:
            raise
        return locate_member(starts(), _lock(folder, options, environ, how), environ)
    is_remembered = os.path.dirname(lock_file) != project
    if is_remembered and (how.refresh or options.python):
        return locate_member(starts(), _lock(project, options, environ, how), environ)
    return project, lock_file, found


def _with_locked_files(options: Options, environ: Mapping[str, str], how: Locking) -> Options:
    """The options with a remembered lock in place of --lock, if that names requirements files without hashes."""
    files = [path for path in (options.lock_file, *options.further_lock_files) if path is not None]
    if all(path.endswith(_PLAIN) and os.path.isfile(path) for path in files) and not any(map(has_hashes, files)):
        return options.with_lock_file(_locked_files(files, options.python, environ, how))
    return options


def _nearest(starts: Iterable[str], environ: Mapping[str, str]) -> str | None:
    """The nearest folder at or above one of these that has something to lock."""
    folders = (folder for start in starts for folder in _upward(os.path.realpath(start), environ.get("HOME")))
    found = (folder for folder in folders if _is_project(folder) or _has_requirements(folder))
    return next((folder for folder in found if not is_left_by_others(folder, environ)), None)


def _upward(folder: str, home: str | None) -> Iterator[str]:
    """The folder and those above it, as far as a lock file is looked for."""
    for each in upward(folder, home):
        yield each
        if os.path.exists(os.path.join(each, ".git")):
            return


def _has_requirements(folder: str) -> bool:
    return os.path.isfile(os.path.join(folder, NAME))


def _is_project(folder: str) -> bool:
    return b"[project]" in content_of(os.path.join(folder, "pyproject.toml")) or _names_its_tool(folder)


def _names_its_tool(folder: str) -> bool:
    pyproject = content_of(os.path.join(folder, "pyproject.toml"))
    named = any(mark in pyproject for marks in TOOL_MARKS.values() for mark in marks)
    return named or os.path.isfile(os.path.join(folder, "Pipfile"))


def _lock(folder: str, options: Options, environ: Mapping[str, str], how: Locking) -> Options:
    """Lock what is in the folder, and return the options that lead to the lock file."""
    file = os.path.join(folder, NAME)
    check_owners(folder, contents_of(file), environ)
    if _names_its_tool(folder) or not _has_requirements(folder):
        from storectl.locks.handover import lock_project  # noqa: PLC0415 - for the first run only

        Locking(locked=how.locked or bool(options.lock_check)).check_allowed(folder)
        lock_project(folder, environ, offline=how.offline)
        return options
    if options.python is not None:
        return options.with_lock_file(_locked_files([file], options.python, environ, how))
    earlier = None if how.refresh else last_environment(store_folder(environ), folder, options.key)
    kept = tuple(versions_in(earlier)) if earlier is not None else ()
    remembered = remembered_requirements(file, environ)
    lock_once(remembered, lambda: _wanted([file], None, environ, kept), environ, how, what=file)
    return options


def _locked_files(files: Sequence[str], python: str | None, environ: Mapping[str, str], how: Locking) -> str:
    """The remembered lock of these requirements files together."""
    python_named = python or pinned_at(os.path.dirname(files[0]), environ) or first_on_path(environ)
    folder = remembered_folder("requirements", [*files, *map(key_of_contents, files), python_named], environ)

    def wanted() -> Wanted:
        from dataclasses import replace  # noqa: PLC0415 - for the first run only

        asked = _wanted(files, python, environ)
        return replace(asked, notes=asked.python.pin)

    return lock_once(folder, wanted, environ, how, what=" ".join(files))


def _wanted(files: Sequence[str], python: str | None, environ: Mapping[str, str], kept: tuple[str, ...] = ()) -> Wanted:
    from storectl.locks.requirements import Wanted, requires_python_in  # noqa: PLC0415 - for the first run only

    folder = os.path.dirname(files[0])
    pinned = pinned_at(folder, environ) or requires_python_in(folder)
    chosen = chosen_python(python, environ, pinned=pinned)
    return Wanted(files=tuple(files), python=chosen, kept=kept, folder=folder, announced=True)
