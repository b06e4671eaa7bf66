"""Frozen: programs run in what was made before. Nothing is written, locked, started or asked for that.

It is so with ``STORECTL_FROZEN=1``; and without that variable if the own store is there but cannot be written here, or
could not be made here, and no socket of a daemon is there. A compute node is such a place. What the launcher does not
start is looked up by ``storectl_store.frozen``: the one part of the store's package that a command loads itself.

``STORECTL_FROZEN=0`` says that it is not so.
"""

from __future__ import annotations

import os
import sys

from storectl.errors import DaemonProblemError, FrozenError, LockOldError, NoLockFileError, printable
from storectl.options import FROZEN, LOCKED, is_true
from storectl_shim.locations import NoHomeError, socket_path, store_folder
from storectl_shim.project_record import find_project, read_ready
from storectl_shim.store_daemon import read_store_daemon

TYPE_CHECKING = False  # typing and collections.abc take longer to import than all of `run`
if TYPE_CHECKING:
    from collections.abc import Mapping

    from storectl.options import Options

VARIABLE = "STORECTL_FROZEN"

_HINT = "do it where the store can be written, such as a login node"
_OWN = "set STORECTL_STORE to a folder that you can write"
_WARM = "warm it where the store can be written, such as a login node (storectl warm), with the same options"


class FrozenEnvironment:
    """An environment that was found. No dataclass, for the reason in ``storectl.options``.

    ``executable`` is the interpreter's path, ``version`` its version; ``wheels`` is how many there are.
    """

    __slots__ = ("executable", "lock_file", "path", "version", "wheels")

    def __init__(self, *, path: str, lock_file: str, executable: str, version: str, wheels: int) -> None:
        self.path = path
        self.lock_file = lock_file
        self.executable = executable
        self.version = version
        self.wheels = wheels


def is_frozen(environ: Mapping[str, str]) -> bool:
    """Whether nothing may be written, started or asked."""
    return why_frozen(environ) is not None


def why_frozen(environ: Mapping[str, str]) -> str | None:
    """Why it is so, in words; None if it is not."""
    said = environ.get(VARIABLE)
    if said:
        return f"{VARIABLE} is set" if is_true(said) else None
    try:
        store = store_folder(environ)
    except NoHomeError:
        return None
    if _can_be_written(store) or _has_socket(store, environ):
        return None
    return f"the store {store} cannot be written here"


def check_not_frozen(doing: str, environ: Mapping[str, str]) -> None:
    """FrozenError if it is frozen. ``doing`` reads as in "cannot <doing>"."""
    why = why_frozen(environ)
    if why is not None:
        more = f"and {VARIABLE} is not set" if environ.get(VARIABLE) else f"or {_OWN}"
        raise FrozenError(f"cannot {doing}: {why}, and nothing is made here", hint=f"{_HINT}, {more}")


def frozen_environment(project: str, options: Options, environ: Mapping[str, str]) -> FrozenEnvironment:
    """The environment of these options, found by files alone.

    Says on stderr if the lock file is old. LockOldError if it is, and must not be; FrozenError if no store has the
    environment; DaemonProblemError with the code that the daemon would give if the lock file selects nothing that could
    be used.
    """
    from pathlib import Path  # noqa: PLC0415 - all of this is only for what has no record

    from storectl_store.errors import NotWarmedError, ProblemError  # noqa: PLC0415 - as above
    from storectl_store.frozen.lookup import Question, find_environment, open_stores  # noqa: PLC0415 - as above

    lock_file = options.lock_file or _lock_file(project, environ)
    question = Question(project=Path(project), lock_file=Path(lock_file), options=options.asked, environ=environ)
    try:
        opened = open_stores(Path(store_folder(environ)), environ)
        for problem in opened.problems:
            sys.stderr.write(f"storectl: warning: {problem.code}: {printable(problem.message)}\n")
        found = find_environment(opened.stores, question)
    except NotWarmedError as error:
        why = f" ({why_frozen(environ)})"
        hint = _WARM if environ.get(VARIABLE) else f"{_WARM}, or {_OWN}"
        raise FrozenError(error.message + why, hint=hint, **error.facts) from None
    except ProblemError as error:
        raise DaemonProblemError(error.message, code=error.code, hint=error.hint, **error.facts) from None
    _tell_stale(found.stale, project, options, environ)
    record = found.record
    return FrozenEnvironment(
        path=str(found.path),
        lock_file=lock_file,
        executable=record.executable,
        version=record.version,
        wheels=len(record.digests),
    )


def _tell_stale(stale: str | None, project: str, options: Options, environ: Mapping[str, str]) -> None:
    """As ``locks.freshness`` does if there is a record that is right, which says it then."""
    if stale is None or options.lock_check == FROZEN:
        return
    if read_ready(store_folder(environ), project, options.key, environ) is not None:
        return
    if options.lock_check == LOCKED:
        raise LockOldError(stale, hint="lock it anew, or --frozen takes it as it is", project=project)
    if not is_true(environ.get("STORECTL_QUIET")):
        sys.stderr.write(f"storectl: warning: {printable(stale)}\n")


def _lock_file(project: str, environ: Mapping[str, str]) -> str:
    found = find_project(project, environ.get("HOME"), environ)
    if found is None or found[0] != project:
        raise NoLockFileError(f"there is no lock file in {project}", hint="make one (`storectl lock`)", start=project)
    return found[1]


def _can_be_written(store: str) -> bool:
    """Whether this user can write the store, or make it. A store of another user is no matter of being frozen."""
    there = store
    while not os.path.lexists(there) and os.path.dirname(there) != there:
        there = os.path.dirname(there)
    try:
        owner = os.stat(there).st_uid
    except OSError:
        return False
    return (there == store and owner != os.geteuid()) or os.access(there, os.W_OK | os.X_OK)


def _has_socket(store: str, environ: Mapping[str, str]) -> bool:
    daemon = read_store_daemon(store)
    if daemon is not None and daemon.may_answer and os.path.exists(daemon.socket):
        return True
    return os.path.exists(socket_path(environ))
