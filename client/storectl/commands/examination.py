"""What `storectl doctor` checks: one function for each check, from the environment's variables to findings."""

import os
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from storectl.commands.collect_check import collect_words
from storectl.commands.quarantine import set_aside
from storectl.daemon.start import running_daemon
from storectl.errors import ClientError, DaemonError, DaemonNotRunningError, ProjectOwnerError
from storectl.options import Options
from storectl.project import locate_project
from storectl.pythons import known_pythons
from storectl_shim.locations import store_folder
from storectl_shim.project_record import read_notices, read_ready, read_rollback

WATCHES_NEEDED = 8192
"""So many inotify watches are enough for an editor and a few hundred watched folders."""

CLOCK_SKEW_S = 2.0
"""The record of a project is right as long as clocks differ by less than this."""

STORE_FORMAT = "storectl store 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The result of one check; ``hint`` says what to do if it is not ``ok``."""

    check: str
    ok: bool
    detail: str
    hint: str = ""


def examine(environ: Mapping[str, str], folder: str) -> list[Finding]:
    """The findings of every check. A check comes before those that its result may explain."""
    checks: Mapping[str, Callable[[], Iterator[Finding]]] = {
        "store": lambda: _store(Path(store_folder(environ))),
        "quarantine": lambda: _quarantine(Path(store_folder(environ))),
        "trash": lambda: _trash(Path(store_folder(environ))),
        "daemon": lambda: _daemon(environ),
        "collect": lambda: _collect(environ),
        "interpreters": lambda: _interpreters(environ),
        "watches": lambda: _watches(Path("/proc/sys/fs/inotify/max_user_watches")),
        "project": lambda: _project(environ, folder),
    }
    return [finding for name, check in checks.items() for finding in _findings(name, check)]


def _findings(name: str, check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """What a check finds. If the system lets it look at nothing, that is a finding, and the other checks run."""
    try:
        yield from check()
    except OSError as error:
        path = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, (str, bytes)) else ""
        detail = f"{path}{error.strerror or error}"
        yield Finding(check=name, ok=False, detail=detail, hint="see whose it is and what its mode allows")


def _store(store: Path) -> Iterator[Finding]:
    try:
        found = _format_of(store)
    except FileNotFoundError:
        yield Finding(check="store", ok=True, detail=f"{store} is not there yet; the daemon makes it")
        return
    hint = (
        "it was made by another version of storectl, or is no store: set STORECTL_STORE to another folder;"
        " if it is yours and was damaged, `storectl store verify --repair` mends it"
    )
    yield Finding(check="store format", ok=found == STORE_FORMAT, detail=f"{store}: {found}", hint=hint)
    try:
        with tempfile.NamedTemporaryFile(dir=store, prefix=".doctor-") as file:
            skew = os.fstat(file.fileno()).st_mtime - time.time()
    except OSError as error:
        detail = f"cannot write: {error.strerror}"
        yield Finding(check="store", ok=False, detail=detail, hint="the store must be a writable folder of your own")
        return
    yield Finding(check="store", ok=True, detail="writable")
    yield Finding(
        check="clock",
        ok=abs(skew) < CLOCK_SKEW_S,
        detail=f"the store's file system and this machine are {abs(skew):.1f} s apart",
        hint="let both keep time (NTP): changes of a lock file are seen by its time",
    )


def _format_of(store: Path) -> str:
    """What the store's own VERSION file says of its format; FileNotFoundError if there is none."""
    os.stat(store)
    try:
        return (store / "VERSION").read_text(errors="replace").strip()
    except FileNotFoundError:
        return "no VERSION file"


def _quarantine(store: Path) -> Iterator[Finding]:
    for told in set_aside(store):
        yield Finding(check="quarantine", ok=True, detail=told)


def _trash(store: Path) -> Iterator[Finding]:
    with suppress(FileNotFoundError):
        left = len(os.listdir(store / "trash"))
        if left:
            detail = f"{left} thing{'s' * (left > 1)} still to be deleted; the daemon does that behind its other work"
            yield Finding(check="trash", ok=True, detail=detail)


def _daemon(environ: Mapping[str, str]) -> Iterator[Finding]:
    try:
        daemon = running_daemon(environ)
        health = daemon.health()
    except DaemonNotRunningError:
        yield Finding(check="daemon", ok=True, detail="not running; a command that needs it starts it")
        return
    except ClientError as error:
        yield Finding(check="daemon", ok=False, detail=error.message, hint=error.hint or "")
        return
    yield Finding(check="daemon", ok=True, detail=f"storectl {health.version}, process {health.pid}")
    yield from (_private(path) for path in (os.path.dirname(health.socket), health.socket))


def _private(path: str) -> Finding:
    mode = stat.S_IMODE(os.stat(path).st_mode)
    detail = f"{path} has mode {mode:04o}"
    return Finding(check="socket", ok=not mode & 0o077, detail=detail, hint=f"chmod go= {path}")


def _collect(environ: Mapping[str, str]) -> Iterator[Finding]:
    """What could be freed, if a daemon runs that knows."""
    try:
        for words in collect_words(running_daemon(environ)):
            yield Finding(check="collect", ok=True, detail=words)
    except DaemonError:
        return  # another check tells what is wrong with it
    except ClientError as error:
        yield Finding(check="collect", ok=False, detail=error.message, hint=error.hint or "")


def _interpreters(environ: Mapping[str, str]) -> Iterator[Finding]:
    found = ", ".join(known_pythons(environ))
    yield Finding(
        check="interpreters",
        ok=bool(found),
        detail=found or "no CPython 3.9 or later on PATH",
        hint="install one, or put its folder on PATH",
    )


def _watches(limit_file: Path) -> Iterator[Finding]:
    if not limit_file.is_file():  # as on macOS, and in containers without /proc
        return
    limit = int(limit_file.read_text())
    yield Finding(
        check="watches",
        ok=limit >= WATCHES_NEEDED,
        detail=f"up to {limit} inotify watches",
        hint=f"sysctl fs.inotify.max_user_watches={WATCHES_NEEDED}; until then changes are seen by the timer only",
    )


def _project(environ: Mapping[str, str], folder: str) -> Iterator[Finding]:
    try:
        project, lock_file = locate_project([folder], Options(), environ)
    except ProjectOwnerError as error:
        yield Finding(check="project", ok=False, detail=error.message, hint=error.hint or "")
        return
    except ClientError:
        yield Finding(check="project", ok=True, detail=f"{folder} is in no project")
        return
    store, key = store_folder(environ), Options().key
    ready = read_ready(store, project, key)
    how = f"ready in {ready}" if ready else "not ready; storectl warm makes its environment"
    yield Finding(check="project", ok=True, detail=f"{lock_file}: {how}")
    for notice in read_notices(store, project, key) if ready else []:
        yield Finding(check="project", ok=False, detail=notice)
    if ready and (rollback := read_rollback(store, project, key)):
        yield Finding(check="project", ok=False, detail=rollback)
