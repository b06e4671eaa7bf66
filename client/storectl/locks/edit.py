"""Editing a project with the tool that locks it, and making the environment of the new lock file.

If the tool fails or is interrupted, or the environment cannot be made, the files of the project are put back as they
were before.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from storectl.daemon.warming import warm
from storectl.errors import DaemonProblemError, NoLockFileError
from storectl.locks.edit_words import Asked, Edit, edit_of, edit_of_requirements
from storectl.locks.handover import hand_over
from storectl.locks.lock import locking_of, script_locking
from storectl.locks.locked_versions import Versions, changes, locked_versions
from storectl.locks.remembered import locking_for
from storectl.locks.requirements import RequirementsError
from storectl.locks.unlocked import locate_or_lock
from storectl.options import Options
from storectl.project import locate_member
from storectl.run_options import options_of_environment
from storectl_shim.project_record import INPUTS, LOCK_FILES, lock_files_in

_SOURCES = ("pyproject.toml", "Pipfile", "requirements.in")
_PROJECT_FILES = (*LOCK_FILES, *_SOURCES)
Contents = Mapping[Path, bytes | None]
"""Files as they were; None if there was none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edited:
    """The tool's exit code, and in one line what is locked otherwise than before; empty if nothing is."""

    code: int
    changes: str = ""


def edit(asked: Asked, environ: Mapping[str, str]) -> Edited:
    """Edit the project at or above ``asked.start``, or the script.

    DaemonProblemError if its environment then cannot be made.
    """
    lock_file = _lock_file(asked, environ)
    before = locked_versions(lock_file)
    folder = _edited_folder(asked.start)
    plan = _plan(asked, folder, before, environ)
    kept = _contents(asked, folder, lock_file)
    try:
        code = _run(plan, environ)
    except BaseException:
        _put_back(kept)
        raise
    if code:
        _put_back(kept)
        return Edited(code=code)
    if not asked.is_unsynced:
        try:
            _warm(asked, environ)
        except (DaemonProblemError, RequirementsError) as error:
            _put_back(kept)
            message = f"{error.message.rstrip('.')}; the files of the project are as they were before"
            raise type(error)(message, code=error.code, hint=error.hint) from None
    return Edited(code=0, changes=changes(before, locked_versions(_lock_file(asked, environ))))


def _plan(asked: Asked, folder: Path, before: Versions, environ: Mapping[str, str]) -> Edit:
    if asked.script is not None:
        return edit_of(asked, script_locking(Path(asked.script), (), environ), before)
    plain = folder / "requirements.txt"
    if plain.is_file() and not any((folder / name).exists() for name in _SOURCES) and not lock_files_in(str(folder)):
        return edit_of_requirements(asked, plain)
    return edit_of(asked, locking_of(folder, tool=None, arguments=(), environ=environ), before)


def _edited_folder(start: str) -> Path:
    """The nearest folder at or above ``start`` that has a file of a project, no further up than the repository's."""
    here = Path(os.path.realpath(start))
    for folder in (here, *here.parents):
        if any((folder / name).exists() for name in _PROJECT_FILES):
            return folder
        if (folder / ".git").exists():
            break
    return here


def _lock_file(asked: Asked, environ: Mapping[str, str]) -> Path | None:
    """The lock file that is edited; None if there is none yet."""
    if asked.script is not None:
        return Path(f"{os.path.realpath(asked.script)}.lock")
    try:
        return Path(locate_member([asked.start], Options(), environ)[1])
    except NoLockFileError:
        return None


def _contents(asked: Asked, folder: Path, lock_file: Path | None) -> Contents:
    """The files that the tool may change, as they are."""
    folders = {folder, lock_file.parent} if lock_file else {folder}
    files = {each / name for each in folders for name in (*INPUTS, "requirements.in")}
    if asked.script is not None:
        files = {Path(asked.script), *([lock_file] if lock_file else [])}
    return {file: file.read_bytes() if file.is_file() else None for file in files}


def _put_back(kept: Contents) -> None:
    for file, content in kept.items():
        if content is None:
            file.unlink(missing_ok=True)
        elif not file.is_file() or file.read_bytes() != content:
            file.write_bytes(content)


def _run(plan: Edit, environ: Mapping[str, str]) -> int:
    """Run the steps; the exit code of the first that fails, or 0."""
    for path, text in plan.files.items():
        path.write_text(text, encoding="utf-8")
    steps = (hand_over(command, plan.folder, plan.why, environ) for command in plan.commands)
    return next(filter(None, steps), 0)


def _warm(asked: Asked, environ: Mapping[str, str]) -> None:
    """Make the environment of the project, and the one with the group or extra in which something was edited."""
    ambient = options_of_environment(environ)
    offline = ambient.offline or "--offline" in asked.arguments
    for options in _options(asked, offline=offline):
        try:
            how = locking_for(options, refresh=asked.verb == "upgrade")
            project, _, located = locate_or_lock(lambda: [asked.start], options, environ, how)
        except NoLockFileError:
            continue  # a script without a lock file of its own, or a tool that was told to make none
        warm(project, located, environ)


def _options(asked: Asked, *, offline: bool) -> Iterable[Options]:
    if asked.script is not None:
        lock_file = f"{os.path.realpath(asked.script)}.lock"
        yield Options(lock_file=lock_file, offline=offline)
        return
    yield Options(offline=offline)
    if asked.verb == "add" and asked.group:
        yield Options(groups=(asked.group,), offline=offline)
    if asked.verb == "add" and asked.optional:
        yield Options(extras=(asked.optional,), offline=offline)
