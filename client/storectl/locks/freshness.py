"""What a command does if the lock file was made before the project changed.

With ``--locked`` that is an error, with ``--frozen`` it does not look; both as for uv. Otherwise it says so and goes on
with the old lock file. But if ``pyproject.toml`` has ``[tool.storectl] relock = true``, the project's own tool makes a
new lock file first: only for the lock file that is found in the project, if it is this user's own, and never offline.
"""

from __future__ import annotations

import os
import sys

from storectl.errors import ClientError, DaemonProblemError, LockOldError, printable
from storectl.frozen import is_frozen
from storectl.options import FROZEN, LOCKED, is_true
from storectl_shim.locations import store_folder
from storectl_shim.project_record import lock_files_in, read_notices, read_ready, read_rollback

TYPE_CHECKING = False  # typing and collections.abc take longer to import than all of `run`
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import TypeVar

    from storectl.options import Options

    Made = TypeVar("Made")


def with_fresh_lock_file(make: Callable[[], Made], project: str, options: Options, environ: Mapping[str, str]) -> Made:
    """What ``make`` returns: the environment of these options, made again if the project was locked anew.

    Says on stderr if the lock file is old. LockOldError if it is, and must not be. If the project was rolled back it
    says so, and does not ask how old the lock file is: it does not count.
    """
    try:
        made = make()
    except DaemonProblemError:
        if not _is_older(project) or not _relocked(project, options, environ):
            raise
        made = make()
    store = store_folder(environ)
    if is_frozen(environ) and read_ready(store, project, options.key, environ) is None:
        return made  # it was looked up, and the record says nothing of it
    rollback = read_rollback(store, project, options.key)
    if rollback is not None:
        _tell([rollback], environ)
        return made
    notices = read_notices(store_folder(environ), project, options.key)
    if not notices or options.lock_check == FROZEN:
        return made
    if options.lock_check == LOCKED:
        hint = "storectl lock makes a new one; --frozen takes it as it is"
        raise LockOldError(notices[0], hint=hint, project=project)
    if _relocked(project, options, environ):
        made = make()
        notices = read_notices(store_folder(environ), project, options.key)
    _tell(notices, environ)
    return made


def _tell(notices: Iterable[str], environ: Mapping[str, str]) -> None:
    for notice in () if is_true(environ.get("STORECTL_QUIET")) else notices:
        _warn(notice)


def _is_older(project: str) -> bool:
    """Whether the lock file was written before ``pyproject.toml``."""
    names = lock_files_in(project)
    try:
        lock_file, pyproject = (os.stat(os.path.join(project, name)) for name in (names[0], "pyproject.toml"))
    except (OSError, IndexError):
        return False
    return lock_file.st_mtime_ns < pyproject.st_mtime_ns


def _relocked(project: str, options: Options, environ: Mapping[str, str]) -> bool:
    """Whether there is a new lock file: the project's tool makes one, if the user wants that and it is safe."""
    names = lock_files_in(project)
    if options.offline or options.lock_check or options.lock_file is not None or not names or not _wants_it(project):
        return False
    if is_frozen(environ):
        return False
    path = os.path.join(project, names[0])
    if os.stat(path).st_uid != os.geteuid():
        return False  # a command of another user must not leave files in the project
    from pathlib import Path  # noqa: PLC0415 - for an old lock file only

    from storectl.locks.handover import hand_over  # noqa: PLC0415 - as above
    from storectl.locks.lock import keeping_versions, locking_of  # noqa: PLC0415 - as above

    before = Path(path).read_bytes()
    try:
        locking = locking_of(Path(project), tool=None, arguments=(), environ=environ)
        command = keeping_versions(locking)
        code = hand_over(command, locking.folder, "[tool.storectl] relock = true", environ, aside=True)
    except ClientError as error:
        _warn(f"{error.message}: {error.hint}")
        return False
    if code:
        _warn(f"{locking.shown} failed: the old lock file is used")
    return Path(path).read_bytes() != before


def _wants_it(project: str) -> bool:
    """Whether ``pyproject.toml`` says ``[tool.storectl] relock = true``."""
    import tomllib  # noqa: PLC0415 - for an old lock file only

    try:
        with open(os.path.join(project, "pyproject.toml"), encoding="utf-8-sig") as file:
            return tomllib.loads(file.read())["tool"]["storectl"]["relock"] is True
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _warn(message: str) -> None:
    sys.stderr.write(f"storectl: warning: {printable(message)}\n")
