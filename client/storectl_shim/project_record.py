"""The record of a project: the environment of its lock file, and what must be unchanged for that to be still right.

    <store>/projects/<absolute project folder>/@storectl/
      fast.<key>/      for the launcher, one for each set of options that it may start programs with:
        environment      what must be as it was, and the environment of these options, as commands of a shell
                         (``storectl_store.projects.launcher_checks``); deleted first, written last
        stamp.<input>    empty, with exactly the modification time of each usual input that exists
        stamp.<number>   the same for each other file or folder whose time counts
      .tell            for the next run with the default options: a line with the environment, and a line that is to
                       be told of it once; whoever tells it renames the file to .told (``first_told``)
      fast.default/.environment
                       instead of ``environment`` as long as there is .tell: that run gives it its name, too
      ready.<key>      for the command line, one for each set of options:
                         storectl-record 2
                         environment <absolute path>
                         lock <absolute path of the lock file>
                         written <ns since the epoch>
                         notice <a sentence to show when a program is run>                 as many as there are
                         rolled-back <a sentence to show when a program is run>            if it is not the lock file's
                         input <sha256 hex> <mtime ns> <size in bytes> <absolute path>     each input that exists
                         names <sha256 hex> <mtime ns> <absolute path>                     each folder whose names count
                         place <absolute path>                                             each that must only exist
                         program <mtime ns> <size in bytes> <absolute path>                the environment's interpreter
                         absent <absolute path>                                            each that does not exist
                         variable <name> <digest, or ->                                    each that a build looked at
    <store>/variables.key                                                                  see ``variable_digest``

An input is unchanged if its time and size are, and it was at least two seconds old when the record was written;
otherwise if its sha256 is. (The two seconds: a file system may only count whole seconds, so that a second change may
not alter the time. Nor does a time prove anything that archives give to all files, see ``TELLING_NS``.) Of the
interpreter only time and size are compared. The writer is ``storectl_store.projects.project_record``.
"""

from __future__ import annotations

import os

from storectl_shim.requirements_files import content_of, has_hashes, remembered_lock
from storectl_shim.trust import ForeignFileError, check_inputs, everybody_writes

TYPE_CHECKING = False  # importing typing takes longer than reading a record
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

TOOL_MARKS = {
    "uv.lock": (b"[tool.uv", b"uv_build"),
    "poetry.lock": (b"[tool.poetry", b"poetry.core", b"poetry.masonry"),
    "pdm.lock": (b"[tool.pdm", b"pdm.backend", b"pdm.pep517"),
    "Pipfile.lock": (),
}
"""The lock files that one tool alone makes, and what a pyproject.toml says of that tool; a Pipfile for Pipenv."""

LOCK_FILES = ("uv.lock", "pylock.toml", "poetry.lock", "pdm.lock", "Pipfile.lock", "requirements.txt")
"""The lock files, the preferred one first. A requirements.txt is one if it has hashes, or includes some."""

INPUTS = (*LOCK_FILES, "pyproject.toml", "Pipfile", ".python-version")
"""The files of a project folder that decide what its environment is."""

RECORD_FORMAT = "storectl-record 2"
NOTICE, ROLLED_BACK = "notice ", "rolled-back "
FAST, FAST_ENVIRONMENT, HELD_BACK, TELL, TOLD = "fast.", "environment", ".environment", ".tell", ".told"
UNSET = "-"
"""The digest of a variable that was not set."""

NEVER_TELL = ("never", "0", "false", "no", "off", "n", "f")
"""What STORECTL_TELL may say if nothing is to be told of what was made ahead."""

VARIABLES_KEY_BYTES = 32

SETTLED_NS = 2_000_000_000
"""The time of an input proves nothing unless the input is older than the record by this much."""

TELLING_NS = 315_705_600_000_000_000
"""The time of an input proves nothing if it is before this, 3 January 1980: what packs files so that equal files give
equal archives gives all of them the epoch (tar, Nix, Bazel), or the first moment of a zip archive, in local time."""


def find_project(start: str, home: str | None, environ: Mapping[str, str] | None = None) -> tuple[str, str] | None:
    """The nearest project at or above the folder ``start``: its folder without symbolic links, and its lock file.

    The search ends at the folder that holds ``.git``, at ``home``, or at the root. A lock file that cannot be read,
    or is no file, counts too: a broken project must not be taken for a part of the project above it.

    ForeignFileError if the project is another user's and not trusted; ``environ`` (this process's if None) says in
    which files trust is written down. If such a lock file is in a folder that everybody may write, the search goes
    on, and the error is raised only if it finds no other project.

    If there is none, the nearest requirements.txt whose lock is remembered makes the project.
    """
    folder = os.path.realpath(start)
    last = os.path.realpath(home) if home else None
    passed_by: ForeignFileError | None = None
    remembered: tuple[str, str] | None = None
    environ = os.environ if environ is None else environ
    while True:
        lock_file = _lock_file_in(folder)
        if lock_file is not None:
            stranger = _stranger(folder, lock_file, environ)
            if stranger is None:
                return folder, lock_file
            if not stranger.passed_by:
                raise stranger
            passed_by = passed_by or stranger
        elif remembered is None and (made := remembered_lock(folder, environ)) is not None:
            remembered = (folder, made) if _stranger(folder, made, environ) is None else None
        parent = os.path.dirname(folder)
        if folder in (last, parent) or os.path.exists(os.path.join(folder, ".git")):
            break
        folder = parent
    if remembered is None and passed_by is not None:
        raise passed_by
    return remembered


def lock_files_in(folder: str) -> list[str]:
    """The names of the lock files in a folder: the one that counts first, those that do not count last.

    If two tools have left lock files, that of the tool which the project speaks of counts: ``uv run`` leaves a
    uv.lock in any project. A lock file without a package comes after every other.
    """
    there = [name for name in LOCK_FILES if _is_lock_file(folder, name)]
    made_by_tools = [name for name in there if name in TOOL_MARKS]
    if len(there) < 2 or not made_by_tools:
        return there
    pyproject = content_of(os.path.join(folder, "pyproject.toml"))
    known = {name: _knows(folder, name, pyproject) for name in made_by_tools}
    best = max(known.values())
    passed = [name for name in there if known.get(name, best) < best or known.get(name) == 0]
    return [name for name in there if name not in passed] + passed


def doubt_about(folder: str, lock_file: str) -> str | None:
    """What the user should know if two tools have lock files in one folder; None if it is clear which counts."""
    others = [name for name in lock_files_in(folder) if name in TOOL_MARKS and name != lock_file]
    if not others or lock_file not in LOCK_FILES:
        return None
    return (
        f"{folder} has {' and '.join(others)} beside {lock_file}, which is taken: "
        "delete what is not kept up to date, or name one with --lock"
    )


def find_member(start: str, project: str, lock_file: str) -> str | None:
    """The nearest folder at or above ``start``, below the project, that has a ``pyproject.toml`` but no lock file.

    It may be a member of the workspace of the ``uv.lock``. None for other lock files: they have no workspaces.
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
    """The text unchanged if it is a version; if it is a path (it has a slash), that path made absolute."""
    return os.path.abspath(python) if "/" in python else python


def absolute_lock_file(path: str) -> str:
    """The path with its folder's symbolic links followed, but not the file's own: the name says what kind it is."""
    folder, name = os.path.split(os.path.abspath(path))
    return os.path.join(os.path.realpath(folder), name)


def record_folder(store: str, project: str) -> str:
    """The folder of the record of the project in this folder, an absolute path without symbolic links."""
    return os.path.join(store, "projects", project.lstrip("/"), "@storectl")


def options_key(
    *,
    python: str | None = None,
    extras: Iterable[str] = (),
    all_extras: bool = False,
    no_extras: Iterable[str] = (),
    groups: Iterable[str] = (),
    all_groups: bool = False,
    no_groups: Iterable[str] = (),
    dev: bool = False,
    default_groups: bool = True,
    only_groups: bool = False,
    lock_file: str | None = None,
    overlay: str | None = None,
    member: str | None = None,
    all_packages: bool = False,
    further_lock_files: Iterable[str] = (),
) -> str:
    """The name of a set of options: ``default``, or 16 hex digits. The parameters are those of ``POST /v1/warm``."""
    parts = [f"python={python}"] if python is not None else []
    parts += sorted(f"extra={extra}" for extra in set(extras))
    parts += ["all-extras"] if all_extras else []
    parts += sorted(f"no-extra={extra}" for extra in set(no_extras))
    parts += sorted(f"group={group}" for group in set(groups))
    parts += ["all-groups"] if all_groups else []
    parts += sorted(f"no-group={group}" for group in set(no_groups))
    parts += ["dev"] if dev else []
    parts += [] if default_groups else ["no-default-groups"]
    parts += ["only-groups"] if only_groups else []
    parts += [f"lock={lock_file}"] if lock_file is not None else []
    parts += [f"lock={path}" for path in further_lock_files]
    parts += [f"overlay={overlay}"] if overlay is not None else []
    parts += [f"member={member}"] if member is not None else []
    parts += ["all-packages"] if all_packages else []
    return _sha256("\0".join(parts).encode("utf-8", "surrogateescape"))[:16] if parts else "default"


def read_ready(store: str, project: str, key: str, environ: Mapping[str, str] | None = None) -> str | None:
    """The environment of these options, if every input is as it was and the environment is there; else None.

    ``environ`` are the variables of the command, by default those of this process.
    """
    lines = _ready_lines(store, project, key)
    environment = _environment_of(lines)
    if environment is None:
        return None
    try:
        written = int(next(line for line in lines if line.startswith("written ")).partition(" ")[2])
        inputs = [line for line in lines[4:] if not line.startswith((NOTICE, ROLLED_BACK, "variable "))]
        variables = dict(line.split(" ")[1:] for line in lines if line.startswith("variable "))
        unchanged = all(_is_unchanged(line, written) for line in inputs)
    except (ValueError, StopIteration, OSError):
        return None
    same = unchanged and (not variables or same_variables(store, variables, os.environ if environ is None else environ))
    return environment if same and inputs else None


def same_variables(store: str, variables: Mapping[str, str], environ: Mapping[str, str]) -> bool:
    """Whether the variables, given by name with digests as in a record, have those values in ``environ``."""
    if any((name in environ) != (digest != UNSET) for name, digest in variables.items()):
        return False
    if all(digest == UNSET for digest in variables.values()):
        return True
    key = variables_key(store)
    return key is not None and all(
        variable_digest(key, name, environ.get(name)) == digest for name, digest in variables.items()
    )


def variable_digest(key: bytes, name: str, value: str | None) -> str:
    """The digest of a variable that is written down. Without the store's key it tells nothing of the value."""
    if value is None:
        return UNSET
    return _sha256(key + f"{name}={value}".encode("utf-8", "surrogateescape"))


def variables_key(store: str) -> bytes | None:
    """The key for the store's digests of variables, 32 random bytes; None if the store has none that is whole."""
    try:
        with open(os.path.join(store, "variables.key"), "rb") as file:
            key = file.read()
    except OSError:
        return None
    return key if len(key) == VARIABLES_KEY_BYTES else None


def read_notices(store: str, project: str, key: str) -> list[str]:
    """The warnings to show at each run with these options, such as of a lock file that is older than the project."""
    lines = _ready_lines(store, project, key)
    return [line[len(NOTICE) :] for line in lines if line.startswith(NOTICE)]


def read_rollback(store: str, project: str, key: str) -> str | None:
    """What to show at each run if these options have an earlier environment than the lock file's; None if not."""
    lines = _ready_lines(store, project, key)
    return next((line[len(ROLLED_BACK) :] for line in lines if line.startswith(ROLLED_BACK)), None)


def first_told(store: str, project: str) -> str | None:
    """What is to be told once, if this is the first run that could tell it. From then on the launcher is quick again.

    Whoever renames the file is the first. None if there is nothing to tell, or if another was faster.
    """
    folder = record_folder(store, project)
    fast = os.path.join(folder, f"{FAST}default")
    try:
        os.rename(os.path.join(fast, HELD_BACK), os.path.join(fast, FAST_ENVIRONMENT))
    except OSError:
        pass  # nothing is held back: the launcher has no part in this record, or another was faster
    try:
        os.rename(os.path.join(folder, TELL), os.path.join(folder, TOLD))
        with open(os.path.join(folder, TOLD), "rb") as file:
            return os.fsdecode(file.read()).partition("\n")[2].strip() or None
    except OSError:
        return None


def last_environment(store: str, project: str, key: str) -> str | None:
    """The environment that these options had last, whatever the inputs are now; None if it is gone."""
    return _environment_of(_ready_lines(store, project, key))


def _lock_file_in(folder: str) -> str | None:
    found = lock_files_in(folder)
    return os.path.join(folder, found[0]) if found else None


def _is_lock_file(folder: str, name: str) -> bool:
    path = os.path.join(folder, name)
    return os.path.exists(path) and (name != "requirements.txt" or _may_have_hashes(path))


def _knows(folder: str, name: str, pyproject: bytes) -> int:
    """How well the lock file fits the project: 0 without a package, 2 if the project speaks of its tool, else 1."""
    path = os.path.join(folder, name)
    if name == "Pipfile.lock":
        return 2 if os.path.exists(os.path.join(folder, "Pipfile")) else 1
    if os.path.isfile(path) and b"[[package]]" not in content_of(path) and b"[[distribution]]" not in content_of(path):
        return 0
    return 2 if any(mark in pyproject for mark in TOOL_MARKS[name]) else 1


def _stranger(folder: str, lock_file: str, environ: Mapping[str, str]) -> ForeignFileError | None:
    """The error for a file of the project that is another user's; None if all are this user's, root's or trusted."""
    try:
        check_inputs(folder, INPUTS, lock_file, environ)
    except ForeignFileError as error:
        error.passed_by = error.path == lock_file and everybody_writes(folder)
        return error
    return None


def _is_own(path: str) -> bool:
    """Whether a record belongs to this user, or to root, who makes records for all."""
    try:
        return os.stat(path).st_uid in (os.geteuid(), 0)
    except OSError:
        return False


def _may_have_hashes(path: str) -> bool:
    """Whether a requirements file has hashes, or cannot be read: then there must be an error, and no other project."""
    return not os.path.isfile(path) or not os.access(path, os.R_OK) or has_hashes(path)


def _ready_lines(store: str, project: str, key: str) -> list[str]:
    """The lines of a record that this version can read; empty if there is none."""
    folder = record_folder(store, project)
    if not _is_own(folder):
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
    """Whether the input of one line is unchanged; ValueError for a line that names no input."""
    word, _, rest = line.partition(" ")
    if word in ("absent", "place"):
        return os.path.exists(rest) == (word == "place")
    if word == "program":
        program_ns, program_size, path = rest.split(" ", 2)
        status = os.stat(path)
        return (status.st_mtime_ns, status.st_size) == (int(program_ns), int(program_size))
    if word not in ("input", "names"):
        raise ValueError(line)
    digest, mtime_ns, rest = rest.split(" ", 2)
    size, _, path = rest.partition(" ") if word == "input" else ("", "", rest)
    status = os.stat(path)
    if size and status.st_size != int(size):
        return False
    if status.st_mtime_ns == int(mtime_ns) and TELLING_NS < status.st_mtime_ns < written - SETTLED_NS:
        return True
    return digest == (_file_digest(path) if size else names_digest(path))


def _file_digest(path: str) -> str | None:
    """sha256 (hex) of a regular file; None for anything else, such as a FIFO, which would block."""
    if not os.path.isfile(path):
        return None
    with open(path, "rb") as file:
        return _sha256(file.read())


def names_digest(folder: str) -> str:
    """sha256 (hex) over the sorted names in a folder, without those of bytecode, which programs add when they run."""
    names = sorted(name for name in os.listdir(os.fsencode(folder)) if name != b"__pycache__")
    return _sha256(b"\0".join(names))


def _sha256(data: bytes) -> str:
    import hashlib  # it takes 3 ms, and neither the launcher's path nor most records need it

    return hashlib.sha256(data).hexdigest()
