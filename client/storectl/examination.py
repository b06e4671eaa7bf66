"""What `storectl doctor` looks at, each a function from the environment's variables to findings."""

import os
import re
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from storectl.daemon_start import running_daemon
from storectl.errors import ClientError, DaemonNotRunningError
from storectl.options import Options
from storectl.project import locate_project
from storectl_shim.locations import store_folder
from storectl_shim.project_record import read_ready

WATCHES_NEEDED = 8192
"""inotify watches that leave room for an editor beside a few hundred watched folders."""

CLOCK_SKEW_S = 2.0
"""The time the record of a project counts on."""

STORE_FORMAT = "storectl store 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One check and how it came out; ``hint`` says what to do where it is not ``ok``."""

    check: str
    ok: bool
    detail: str
    hint: str = ""


def examine(environ: Mapping[str, str], folder: str) -> list[Finding]:
    """Every check, in an order in which an earlier one may explain a later."""
    store = Path(store_folder(environ))
    return [
        *_store(store),
        *_daemon(environ),
        *_interpreters(environ),
        *_watches(Path("/proc/sys/fs/inotify/max_user_watches")),
        _project(environ, folder),
    ]


def _store(store: Path) -> Iterator[Finding]:
    if not store.exists():
        yield Finding(check="store", ok=True, detail=f"{store} is not there yet; the daemon makes it")
        return
    version = store / "VERSION"
    found = version.read_text(errors="replace").strip() if version.is_file() else "no VERSION file"
    hint = "it was made by another version of storectl, or is no store: set STORECTL_STORE to another folder"
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


def _daemon(environ: Mapping[str, str]) -> Iterator[Finding]:
    try:
        with running_daemon(environ) as daemon:
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


def _interpreters(environ: Mapping[str, str]) -> Iterator[Finding]:
    folders = [Path(folder) for folder in environ.get("PATH", os.defpath).split(os.pathsep) if folder]
    pyenv = Path(environ.get("PYENV_ROOT") or Path(environ.get("HOME", "/")) / ".pyenv") / "versions"
    if pyenv.is_dir():
        folders += [version / "bin" for version in sorted(pyenv.iterdir())]
    found = sorted({version for folder in folders for version in _versions(folder)})
    names = ", ".join(f"{major}.{minor}" for major, minor in found if (major, minor) >= (3, 9))
    yield Finding(
        check="interpreters",
        ok=bool(names),
        detail=names or "no CPython 3.9 or later on PATH",
        hint="install one, or put its folder on PATH",
    )


def _versions(folder: Path) -> Iterator[tuple[int, int]]:
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for name in names:
        match = re.fullmatch(r"python(3)\.(\d+)", name)
        if match and os.access(folder / name, os.X_OK):
            yield int(match[1]), int(match[2])


def _watches(limit_file: Path) -> Iterator[Finding]:
    if not limit_file.is_file():  # macOS and containers without /proc
        return
    limit = int(limit_file.read_text())
    yield Finding(
        check="watches",
        ok=limit >= WATCHES_NEEDED,
        detail=f"up to {limit} inotify watches",
        hint=f"sysctl fs.inotify.max_user_watches={WATCHES_NEEDED}; until then changes are seen by the timer only",
    )


def _project(environ: Mapping[str, str], folder: str) -> Finding:
    try:
        project, lock_file = locate_project([folder], Options(), environ)
    except ClientError:
        return Finding(check="project", ok=True, detail=f"{folder} is in no project")
    ready = read_ready(store_folder(environ), project, Options().key)
    how = f"ready in {ready}" if ready else "not ready; storectl warm makes its environment"
    return Finding(check="project", ok=True, detail=f"{lock_file}: {how}")
