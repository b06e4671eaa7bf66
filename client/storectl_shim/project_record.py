"""The record of a project: which environment its lock file has, and how to see that nothing has changed since.

    <store>/projects/<absolute project folder>/@storectl/
      environment      for the launcher: one line, the environment of the default options
      stamp.<input>    for the launcher: empty, with exactly the modification time of each input that exists
      ready.<key>      for the command line, one for each set of options:
                         storectl-record 1
                         environment <absolute path>
                         lock <absolute path of the lock file>
                         written <ns since the epoch>
                         notice <a sentence for whoever runs a program>                    as many as there are
                         input <sha256 hex> <mtime ns> <size in bytes> <absolute path>     each input that exists
                         absent <absolute path>                                            each that does not

An input is as it was when its time and size are, and it was at least two seconds old when the record was written (a file
system may only see whole seconds, so that a second change in one tick has the same time); else when its sha256 is.
The writer is ``storectl_store.environments.project_record``.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # importing typing takes longer than reading a record
if TYPE_CHECKING:
    from collections.abc import Iterable

TOOL_MARKS = {
    "uv.lock": (b"[tool.uv", b"uv_build"),
    "poetry.lock": (b"[tool.poetry", b"poetry.core", b"poetry.masonry"),
    "pdm.lock": (b"[tool.pdm", b"pdm.backend", b"pdm.pep517"),
    "Pipfile.lock": (),
}
"""The lock files that one tool alone makes, and what a pyproject.toml says of that tool. Pipenv has a Pipfile instead."""

LOCK_FILES = ("uv.lock", "pylock.toml", "poetry.lock", "pdm.lock", "Pipfile.lock", "requirements.txt")
"""The lock files, the preferred one first. A requirements.txt is one where it holds hashes."""

INPUTS = (*LOCK_FILES, "pyproject.toml", "Pipfile", ".python-version")
"""The files of a project folder that decide what its environment is."""

RECORD_FORMAT = "storectl-record 1"
NOTICE = "notice "

SETTLED_NS = 2_000_000_000
"""How much older than the record an input has to be for its time to prove anything."""


def find_project(start: str, home: str | None) -> tuple[str, str] | None:
    """The nearest project at or above the folder ``start``: its folder without symbolic links, and its lock file.

    The way up ends with the folder that holds ``.git``, with ``home``, or at the root. A lock file in a folder that is
    neither this user's nor root's is none. One that cannot be read, or is no file at all, is one: a broken project is not
    to be taken for a part of the next one up.
    """
    folder = os.path.realpath(start)
    last = os.path.realpath(home) if home else None
    while True:
        lock_file = _lock_file_in(folder)
        if lock_file is not None:
            return folder, lock_file
        parent = os.path.dirname(folder)
        if folder in (last, parent) or os.path.exists(os.path.join(folder, ".git")):
            return None
        folder = parent


def lock_files_in(folder: str) -> list[str]:
    """The names of the lock files in a folder, the one that counts first, those that are passed over last.

    Where two tools have left their lock files, the one of which the project speaks counts: ``uv run`` leaves a uv.lock in any
    project. One without a package is passed over for every other.
    """
    there = [name for name in LOCK_FILES if _is_lock_file(folder, name)]
    made_by_tools = [name for name in there if name in TOOL_MARKS]
    if len(there) < 2 or not made_by_tools:
        return there
    pyproject = _content(os.path.join(folder, "pyproject.toml"))
    known = {name: _knows(folder, name, pyproject) for name in made_by_tools}
    best = max(known.values())
    passed = [name for name in there if known.get(name, best) < best or known.get(name) == 0]
    return [name for name in there if name not in passed] + passed


def doubt_about(folder: str, lock_file: str) -> str | None:
    """What a person should know where the lock files of two tools are in one folder; None where there is no doubt."""
    others = [name for name in lock_files_in(folder) if name in TOOL_MARKS and name != lock_file]
    if not others or lock_file not in LOCK_FILES:
        return None
    return (
        f"{folder} has {' and '.join(others)} beside {lock_file}, which is taken: "
        "delete what is not kept up to date, or name one with --lock"
    )


def find_member(start: str, project: str, lock_file: str) -> str | None:
    """The nearest folder at or above ``start``, below the project, that is a project of its own without a lock file.

    It may be a member of the workspace that the ``uv.lock`` is of; what other lock files are of has no members.
    """
    folder = os.path.realpath(start)
    if os.path.basename(lock_file) != "uv.lock":
        return None
    while len(folder) > len(project):
        if os.path.exists(os.path.join(folder, "pyproject.toml")):
            return folder
        folder = os.path.dirname(folder)
    return None


def absolute_interpreter(python: str) -> str:
    """A version as it is; a path (it has a slash) as an absolute one."""
    return os.path.abspath(python) if "/" in python else python


def absolute_lock_file(path: str) -> str:
    """The path with every symbolic link of its folders followed, but not the file's own: its name says what it is."""
    folder, name = os.path.split(os.path.abspath(path))
    return os.path.join(os.path.realpath(folder), name)


def record_folder(store: str, project: str) -> str:
    """Where the record of the project in this absolute folder without symbolic links is."""
    return os.path.join(store, "projects", project.lstrip("/"), "@storectl")


def options_key(
    *,
    python: str | None = None,
    extras: Iterable[str] = (),
    all_extras: bool = False,
    groups: Iterable[str] = (),
    default_groups: bool = True,
    only_groups: bool = False,
    lock_file: str | None = None,
    overlay: str | None = None,
    member: str | None = None,
) -> str:
    """The name of a set of options: ``default``, or 16 hex digits. The parameters are those of ``POST /v1/warm``."""
    parts = [f"python={python}"] if python is not None else []
    parts += sorted(f"extra={extra}" for extra in set(extras))
    parts += ["all-extras"] if all_extras else []
    parts += sorted(f"group={group}" for group in set(groups))
    parts += [] if default_groups else ["no-default-groups"]
    parts += ["only-groups"] if only_groups else []
    parts += [f"lock={lock_file}"] if lock_file is not None else []
    parts += [f"overlay={overlay}"] if overlay is not None else []
    parts += [f"member={member}"] if member is not None else []
    return _sha256("\0".join(parts).encode("utf-8", "surrogateescape"))[:16] if parts else "default"


def read_ready(store: str, project: str, key: str) -> str | None:
    """The environment of these options, where every input is as it was and the environment is there; else None."""
    lines = _ready_lines(store, project, key)
    environment = _environment_of(lines)
    if environment is None:
        return None
    try:
        written = int(next(line for line in lines if line.startswith("written ")).partition(" ")[2])
        inputs = [line for line in lines[4:] if not line.startswith(NOTICE)]
        unchanged = all(_is_unchanged(line, written) for line in inputs)
    except (ValueError, StopIteration, OSError):
        return None
    return environment if unchanged and inputs else None


def read_notices(store: str, project: str, key: str) -> list[str]:
    """What is to be told at every run in the environment of these options: its lock file is older than the project."""
    lines = _ready_lines(store, project, key)
    return [line[len(NOTICE) :] for line in lines if line.startswith(NOTICE)]


def last_environment(store: str, project: str, key: str) -> str | None:
    """The environment these options had last, whatever the inputs are now; None where it is gone."""
    return _environment_of(_ready_lines(store, project, key))


def _lock_file_in(folder: str) -> str | None:
    found = lock_files_in(folder)
    return os.path.join(folder, found[0]) if found else None


def _is_lock_file(folder: str, name: str) -> bool:
    path = os.path.join(folder, name)
    return os.path.exists(path) and _is_trusted(folder) and (name != "requirements.txt" or _may_have_hashes(path))


def _knows(folder: str, name: str, pyproject: bytes) -> int:
    """How well a tool's lock file knows the project: 0 if it has no package, 2 if the project speaks of its tool, else 1."""
    path = os.path.join(folder, name)
    if name == "Pipfile.lock":
        return 2 if os.path.exists(os.path.join(folder, "Pipfile")) else 1
    if os.path.isfile(path) and b"[[package]]" not in _content(path) and b"[[distribution]]" not in _content(path):
        return 0
    return 2 if any(mark in pyproject for mark in TOOL_MARKS[name]) else 1


def _content(path: str) -> bytes:
    """The bytes of a file, none where it cannot be read."""
    try:
        if not os.path.isfile(path):
            return b""  # A FIFO would hold up whoever opens it.
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def _is_trusted(path: str) -> bool:
    """Whether what is here can only be from this user or root."""
    try:
        return os.stat(path).st_uid in (os.geteuid(), 0)
    except OSError:
        return False


def _may_have_hashes(path: str) -> bool:
    """Whether a requirements file has hashes, or cannot be read: then it is an error, and not another project's turn."""
    try:
        if not os.path.isfile(path):
            return True
        with open(path, "rb") as file:
            return b"--hash" in file.read()
    except OSError:
        return True


def _ready_lines(store: str, project: str, key: str) -> list[str]:
    """The lines of a record that this version can read; empty where there is none."""
    folder = record_folder(store, project)
    if not _is_trusted(folder):
        return []
    try:
        with open(os.path.join(folder, f"ready.{key}"), "rb") as file:
            lines = os.fsdecode(file.read()).split("\n")
    except OSError:
        return []
    return lines[:-1] if lines[0] == RECORD_FORMAT and lines[-1] == "" else []


def _environment_of(lines: list[str]) -> str | None:
    for line in lines:
        word, _, environment = line.partition(" ")
        if word == "environment" and environment.startswith("/"):
            return environment if os.access(os.path.join(environment, "bin", "python"), os.X_OK) else None
    return None


def _is_unchanged(line: str, written: int) -> bool:
    """Whether the input of one ``input`` or ``absent`` line is as the line says; ValueError for any other line."""
    word, _, rest = line.partition(" ")
    if word == "absent":
        return not os.path.exists(rest)
    if word != "input":
        raise ValueError(line)
    digest, mtime_ns, size, path = rest.split(" ", 3)
    status = os.stat(path)
    if status.st_size != int(size):
        return False
    if status.st_mtime_ns == int(mtime_ns) and status.st_mtime_ns < written - SETTLED_NS:
        return True
    if not os.path.isfile(path):
        return False  # A FIFO would hold up whoever opens it.
    with open(path, "rb") as file:
        return _sha256(file.read()) == digest


def _sha256(data: bytes) -> str:
    import hashlib  # 3 ms that the launcher's path and most records never pay

    return hashlib.sha256(data).hexdigest()
