"""What a command line means and what that depends on, written down as a shortcut for the launcher.

The format is in ``storectl_shim.shortcuts``. A shortcut is written after a run that the launcher has handed over. It is
right by itself: what the meaning depends on is looked at before the meaning is found out and again afterwards, and
both looks must see the same. What has changed in the last two seconds before that is in no shortcut: a second change
in the same tick of the file system could not be told from the first.
"""

from __future__ import annotations

import os
import time

from storectl.daemon.chosen_python import LAUNCHER, PIN, PYTHONS, pinned_in, upward
from storectl.errors import ClientError
from storectl.locks.named import ASKED, read_named
from storectl.locks.script_block import lock_files_beside
from storectl.shortcuts import PLAIN
from storectl_shim.locations import NoHomeError, store_folder
from storectl_shim.project_record import (
    FAST,
    FAST_ENVIRONMENT,
    LOCK_FILES,
    SETTLED_NS,
    TELLING_NS,
    absolute_lock_file,
    record_folder,
)
from storectl_shim.shortcuts import LIMIT, TOOLS, quoted, shortcut_content, shortcut_path, shortcut_place, stamp_path

TYPE_CHECKING = False  # typing and collections.abc take longer to import than all of `run`
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


class Meaning:
    """The folder of the project, and the key. No dataclass, for the reason in ``storectl.options``.

    ``below`` is the key of the environment that requirements come on top of, None without requirements.
    """

    __slots__ = ("below", "key", "project")

    def __init__(self, project: str, key: str, below: str | None = None) -> None:
        self.project = project
        self.key = key
        self.below = below


class Grounds:
    """What the meaning of a command line depends on. No dataclass, for the reason in ``storectl.options``.

    ``start`` is where the shortcut is. ``project`` is the project that the launcher finds, None if it does not search.
    ``calls`` are what must be as it was, ``times`` the modification times in them in ns. ``is_odd`` if something is so
    that no call can tell it.
    """

    __slots__ = ("calls", "is_odd", "project", "start", "times")

    def __init__(self, start: str, *, project: str | None = None) -> None:
        self.start = start
        self.project = project
        self.calls: list[str] = []
        self.times: list[int] = []
        self.is_odd = False

    def are_as(self, others: Grounds | None) -> bool:
        """Whether these grounds are the same as others."""
        if others is None or self.is_odd or others.is_odd:
            return False
        return (self.start, self.project, self.calls) == (others.start, others.project, others.calls)

    def as_before(self, path: str) -> None:
        """The file must be as old as it is now."""
        try:
            mtime_ns = os.stat(path).st_mtime_ns
        except OSError:
            self.is_odd = True
        else:
            self.is_odd |= mtime_ns <= TELLING_NS
            self.times.append(mtime_ns)
            self.calls.append(f"_storectl_as_before {quoted(path)} +{mtime_ns}")

    def there(self, path: str) -> None:
        """Something must be there."""
        self.calls.append(f"_storectl_there {quoted(path)}")

    def absent(self, paths: Iterable[str]) -> None:
        """Nothing may be there."""
        if words := " ".join(map(quoted, paths)):
            self.calls.append(f"_storectl_absent {words}")

    def value(self, name: str, environ: Mapping[str, str]) -> None:
        """The variable must have the value that it has now."""
        self.calls.append(f"_storectl_value {name} {quoted(environ.get(name, ''))}")

    def leads_to(self, path: str, real: str) -> None:
        """Both paths must be those of one file."""
        self.calls.append(f"_storectl_leads_to {quoted(path)} {quoted(real)}")


def grounds_of_script(script: str, python: str | None, environ: Mapping[str, str]) -> Grounds:
    """Those of a script with a block: the script, its lock file or which Python it is locked for."""
    real = os.path.realpath(script)
    grounds = Grounds(real)
    grounds.as_before(real)
    for path in lock_files_beside(real):
        if os.path.isfile(path):
            grounds.there(path)
            return grounds
        grounds.is_odd |= os.path.lexists(path)
        grounds.absent([path])
    _state(grounds, environ)
    if python is None:
        _pin(grounds, os.path.dirname(real), environ)
    return grounds


def grounds_of_named(name: str, environ: Mapping[str, str]) -> Grounds:
    """Those of a named environment: what was asked for; UnknownNameError if there is none of this name."""
    named = read_named(name, environ)
    grounds = Grounds(named.folder)
    grounds.as_before(os.path.join(named.folder, ASKED))
    if named.lock_file is not None:
        grounds.leads_to(named.lock_file, absolute_lock_file(named.lock_file))
    return grounds


def grounds_of_project(starts: Iterable[str], *, by_name: bool, environ: Mapping[str, str]) -> Grounds | None:
    """Those of what the launcher finds from these starts; None if it finds nothing.

    If a member of a workspace is named (``by_name``), the lock file says where that is.
    """
    for start in starts:
        found = _as_the_launcher_finds(os.path.realpath(start), environ)
        if found is not None:
            project, member = found
            in_workspace = os.path.exists(os.path.join(project, "uv.lock"))
            grounds = Grounds(member if member is not None and in_workspace else project, project=project)
            if by_name:
                grounds.as_before(os.path.join(project, "uv.lock"))
            return grounds
    return None


def grounds_of_tool(name: str, environ: Mapping[str, str]) -> Grounds:
    """Those of a tool: where the locks of tools are."""
    grounds = Grounds(f"{TOOLS}/{name}")
    _state(grounds, environ)
    return grounds


def write_shortcut(
    spelling: str,
    look: Callable[[], Grounds | None],
    resolve: Callable[[], Meaning],
    environ: Mapping[str, str],
) -> None:
    """Write what the spelling means, if that can be told to the launcher; nothing if it knows already.

    ``look`` finds the grounds, ``resolve`` what is meant. What goes wrong is no error: the next run is handed over,
    too.
    """
    try:
        now_ns = time.time_ns()
        grounds = look()
        if grounds is None or (spelling == PLAIN and grounds.start == grounds.project):
            return
        store = store_folder(environ)
        whole = _whole(grounds, resolve(), store, environ)
        content = _content(whole)
        path = shortcut_path(store, grounds.start, spelling)
        if content is None or _is_written(path, content, whole.times):
            return
        settled = all(mtime_ns < now_ns - SETTLED_NS for mtime_ns in whole.times)
        if settled and grounds.are_as(look()):
            _write(path, content, whole.times)
    except (ClientError, NoHomeError, OSError, ValueError):
        return


def forget_script(script: str, environ: Mapping[str, str]) -> None:
    """Delete the shortcuts of a script that has no block any more: it belongs to the project around it again."""
    try:
        place = shortcut_place(store_folder(environ), os.path.realpath(script))
        if os.path.isdir(place):
            for name in os.listdir(place):
                os.unlink(os.path.join(place, name))
            os.rmdir(place)
            os.rmdir(os.path.dirname(place))
    except (NoHomeError, OSError):
        return


def _whole(grounds: Grounds, meaning: Meaning, store: str, environ: Mapping[str, str]) -> Grounds:
    """The grounds with those of what is meant, and the project and the key as the last call."""
    project = meaning.project
    whole = Grounds(grounds.start)
    whole.is_odd = grounds.is_odd or grounds.project not in (None, project)
    whole.calls += grounds.calls
    whole.times += grounds.times
    pin = (pinned_in(project) or "").strip() if grounds.project is None else ""
    if os.path.isabs(pin):  # without this interpreter, what is remembered is locked anew
        whole.there(pin)
    if meaning.below is not None:
        _overlay(whole, os.path.join(record_folder(store, project), f"{FAST}{meaning.below}"), environ)
    whole.calls.append(f"_storectl_to {quoted(project)} {meaning.key}")
    return whole


def _content(whole: Grounds) -> bytes | None:
    """The content of the shortcut with these calls; None if it cannot have one."""
    if whole.is_odd or not all(call.isprintable() for call in whole.calls):
        return None
    content = shortcut_content(whole.calls)
    return content if len(content) <= LIMIT else None


def _is_written(path: str, content: bytes, times: Iterable[int]) -> bool:
    """Whether the shortcut has this content, and all of its stamps."""
    try:
        with open(path, "rb") as file:
            same = file.read() == content
        return same and all(os.stat(stamp_path(path, each)).st_mtime_ns == each for each in times)
    except OSError:
        return False


def _write(path: str, content: bytes, times: Iterable[int]) -> None:
    """Write the stamps, then the shortcut; delete the stamps that only an earlier one had."""
    place, spelling = os.path.split(path)
    os.makedirs(place, exist_ok=True)
    stamps = {stamp_path(path, each): each for each in times}
    for stamp, mtime_ns in stamps.items():
        _replace(stamp, b"", mtime_ns)
    _replace(path, content)
    for name in os.listdir(place):
        other = os.path.join(place, name)
        if name.startswith(f"{spelling}.+") and other not in stamps:
            os.unlink(other)


def _replace(path: str, content: bytes, mtime_ns: int | None = None) -> None:
    """Give the file this content, and this modification time, in one step."""
    unfinished = os.path.join(os.path.dirname(path), f".{os.getpid()}.{time.monotonic_ns()}")
    with open(unfinished, "xb") as file:
        file.write(content)
    if mtime_ns is not None:
        os.utime(unfinished, ns=(mtime_ns, mtime_ns))
    os.rename(unfinished, path)


def _overlay(grounds: Grounds, below: str, environ: Mapping[str, str]) -> None:
    """What requirements depend on besides: the environment that they come on top of, and the settings of uv.

    ``below`` is the launcher's part of the record of that environment. It is written anew with each environment, and
    is not there while one is rolled back, on top of which nothing may come.
    """
    from storectl.locks.overlay import SETTINGS  # noqa: PLC0415 - only --with has to wait for it

    grounds.as_before(os.path.join(below, FAST_ENVIRONMENT))
    _state(grounds, environ)
    for name in SETTINGS:
        grounds.value(name, environ)


def _state(grounds: Grounds, environ: Mapping[str, str]) -> None:
    """Where the state folder is, and where searches end."""
    for name in ("HOME", "XDG_STATE_HOME"):
        grounds.value(name, environ)


def _pin(grounds: Grounds, folder: str, environ: Mapping[str, str]) -> None:
    """The ``.python-version`` that counts in the folder, as in ``pinned_at``; without one, the first Python on PATH."""
    absent: list[str] = []
    for path in (os.path.join(each, PIN) for each in upward(folder, environ.get("HOME"))):
        if os.path.lexists(path):
            grounds.is_odd |= os.stat(path).st_uid not in (os.geteuid(), 0) or not os.access(path, os.R_OK)
            grounds.as_before(path)
            break
        absent.append(path)
    else:
        _first_on_path(grounds, environ)
    grounds.absent(absent)


def _first_on_path(grounds: Grounds, environ: Mapping[str, str]) -> None:
    """The first Python on PATH, as in ``first_on_path``."""
    grounds.value("PATH", environ)
    absent: list[str] = []
    for folder in environ.get("PATH", "").split(os.pathsep):
        grounds.is_odd |= not os.path.isabs(folder)
        for path in (os.path.join(folder, name) for name in PYTHONS):
            if not os.path.exists(path):
                absent.append(path)
                continue
            real = os.path.realpath(path)
            grounds.is_odd |= not os.path.isfile(real) or not os.access(real, os.X_OK)
            grounds.leads_to(path, real)
            if os.path.basename(real) != LAUNCHER:
                grounds.absent(absent)
                return
    grounds.is_odd = True


def _as_the_launcher_finds(folder: str, environ: Mapping[str, str]) -> tuple[str, str | None] | None:
    """The project and the nearest folder below it with a pyproject.toml, as ``_storectl_find`` of the launcher does."""
    member = None
    home = os.path.realpath(environ.get("HOME", "/"))
    while True:
        if any(os.path.exists(os.path.join(folder, name)) for name in LOCK_FILES):
            return folder, member
        if member is None and os.path.exists(os.path.join(folder, "pyproject.toml")):
            member = folder
        if folder in ("/", home) or os.path.exists(os.path.join(folder, ".git")):
            return None
        folder = os.path.dirname(folder)
