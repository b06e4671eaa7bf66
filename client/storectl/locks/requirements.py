"""Make a remembered lock: uv or pip locks requirements, requirements files or a script, in a folder of its own.

    <folder>/requirements.in   the requirements that were asked for
    <folder>/.python-version   the path of the interpreter that it is for, if it is not for a project
    <folder>/constraints.txt   the versions that it has to fit, if there are any
    <folder>/pylock.toml       what uv or pip made of it

A folder counts only if it has its lock file, which is moved in last. So no command finds half of one.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from storectl.daemon.chosen_python import ChosenPython
from storectl.errors import ClientError
from storectl.locks.handover import OFFLINE
from storectl.locks.lock import find_program
from storectl.locks.remembered import LOCK_FILES
from storectl.locks.requirement_words import check_requirements, is_path
from storectl.options import is_true
from storectl_shim.own_variables import PLAIN_PYTHONS
from storectl_shim.requirements_files import projects_in

ASKED, CONSTRAINTS, LOCK_FILE = "requirements.in", "constraints.txt", LOCK_FILES[0]

_LEFT_OUT = frozenset(
    {"VIRTUAL_ENV", "UV_PROJECT", "UV_WORKING_DIR", "UV_WORKING_DIRECTORY", "UV_FROZEN", "UV_LOCKED", "UV_PYTHON"}
)
"""Variables that would have uv lock another project, or nothing at all, or for another Python than the chosen one."""

_PROJECT_PATH = re.compile(r'(?m)^\[packages\.directory\]\npath = "(?!/)')
_HEAD = re.compile(r"(?m)^lock-version = .*\n(?:created-by = .*\n)?(?:requires-python = .*\n)?")


class RequirementsError(ClientError):
    """The requirements cannot be locked: ``facts['requirements']``."""

    default_code = "E_REQUIREMENTS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be locked, for ``python``: the locker is told its path, as it might not find it by itself.

    It is the ``requirements``, and what is in ``files``: requirements files. Or it is a ``script`` with a block, whose
    requirements are those of the block; a tool other than uv sees only these. ``constraints`` are versions that it has
    to fit (``name==1.0``), ``kept`` are versions that stay if they fit. The locker runs in ``folder``: paths in the
    files are relative to it, and its settings count. ``notes`` are files to keep beside the lock file. ``announced``:
    the user is told that it is locked now. ``only_uv``: it says something that pip would pass over.
    """

    python: ChosenPython
    requirements: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    script: str | None = None
    constraints: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    folder: str | None = None
    notes: Mapping[str, str] = field(default_factory=dict)
    announced: bool = False
    only_uv: bool = False

    @property
    def title(self) -> str:
        """What is locked, in a few words."""
        files = ", ".join(os.path.basename(path) for path in self.files)
        return self.script or files or ", ".join(self.requirements) or "nothing"


def lock_requirements(path: str, wanted: Wanted, environ: Mapping[str, str], *, offline: bool = False) -> str:
    """Lock what is wanted into the folder at ``path``, over what is there; return the path of the lock file.

    RequirementsError if that fails, UsageError for a malformed requirement; the folder then stays as it was.
    """
    check_requirements(wanted.requirements)
    folder = Path(path)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".new-") as name:
        stage = Path(name)
        _write_asked(stage, wanted)
        locker = _run_locker(stage, wanted, environ, offline=offline)
        _tie_to_python(stage / LOCK_FILE, wanted.python)
        _put(stage, folder)
    if wanted.announced and not is_true(environ.get("STORECTL_QUIET")):
        sys.stderr.write(
            f"storectl: {wanted.title} is locked for Python {wanted.python.feature_version} by {locker}, "
            "once: --refresh locks it anew\n"
        )
    return str(folder / LOCK_FILE)


def requires_python_in(folder: str) -> str | None:
    """``requires-python`` of the pyproject.toml in the folder; None without one that can be read."""
    try:
        project = tomllib.loads(Path(folder, "pyproject.toml").read_text(encoding="utf-8-sig")).get("project", {})
        return str(project["requires-python"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _write_asked(stage: Path, wanted: Wanted) -> None:
    """Write what is asked for, and as lock file one of the versions that are kept: uv prefers what is in its output."""
    _write_lines(
        stage / ASKED, (Path(os.path.abspath(text)).as_uri() if is_path(text) else text for text in wanted.requirements)
    )
    if wanted.constraints:
        _write_lines(stage / CONSTRAINTS, wanted.constraints)
    for name, text in wanted.notes.items():
        (stage / name).write_text(text, encoding="utf-8")
    pairs = (text.split("==", 1) for text in wanted.kept)
    packages = [f'[[packages]]\nname = "{name}"\nversion = "{version}"' for name, version in pairs]
    _write_lines(stage / LOCK_FILE, ['lock-version = "1.0"\ncreated-by = "storectl"', *(packages or ["packages = []"])])


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _run_locker(stage: Path, wanted: Wanted, environ: Mapping[str, str], *, offline: bool) -> str:
    """Run uv or pip, and return its name. Its output goes to stderr, so that the user sees it."""
    if not (wanted.requirements or wanted.files):
        return "storectl"  # there is nothing to find out: the lock file without a package is right
    own = {name: value for name, value in environ.items() if name not in _LEFT_OUT}
    variables = {**(OFFLINE if offline else {}), **own, **PLAIN_PYTHONS}
    if uv := find_program("uv", environ):
        name, code = "uv", _run_uv(uv, stage, wanted, variables)
    elif pip := find_program("pip", environ):
        name, code = "pip", _run_pip(pip, stage, wanted, variables)
    else:
        raise RequirementsError(
            "neither uv nor pip is there to lock requirements", hint="install uv", requirements=wanted.requirements
        )
    if code:
        raise RequirementsError(
            f"{name} cannot lock {wanted.title}", hint="what it says is above", requirements=wanted.requirements
        )
    return name


def _run_uv(uv: str, stage: Path, wanted: Wanted, variables: Mapping[str, str]) -> int:
    what = ["export", "--script", wanted.script, "--format", "pylock.toml"] if wanted.script else ["pip", "compile"]
    command = [uv, *what, "--quiet", "--no-header", *_python(wanted), "-o", str(stage / LOCK_FILE)]
    if not wanted.script:
        constraints = ["-c", str(stage / CONSTRAINTS)] if wanted.constraints else []
        command += [*constraints, *_files(stage, wanted)]
    folder = wanted.folder or stage
    return subprocess.run(command, cwd=folder, env=variables, stdout=sys.stderr, check=False).returncode


def _run_pip(pip: str, stage: Path, wanted: Wanted, variables: Mapping[str, str]) -> int:
    """As ``_run_uv``. pip writes the folders of projects relative to where it runs, and fails for all others."""
    folder = wanted.folder or "/"
    _check_for_pip(wanted, folder)
    if constraints := (*wanted.constraints, *wanted.kept):
        _write_lines(stage / CONSTRAINTS, constraints)
    limits = ["-c", str(stage / CONSTRAINTS)] if constraints else []
    files = (word for file in _files(stage, wanted) for word in ("-r", file))
    command = [pip, *_python(wanted), "lock", "-qq", *limits, "-o", "-", *files]
    done = subprocess.run(command, cwd=folder, env=variables, stdout=subprocess.PIPE, text=True, check=False)
    base = json.dumps(os.path.join(folder, ""))[1:-1]
    text = _PROJECT_PATH.sub(lambda found: found[0] + base, done.stdout)
    (stage / LOCK_FILE).write_text(text, encoding="utf-8")
    return done.returncode


def _check_for_pip(wanted: Wanted, folder: str) -> None:
    """RequirementsError for what only uv can lock."""
    inside = os.path.join(os.path.realpath(folder), "")
    in_files = (os.path.dirname(path) for file in wanted.files for path in projects_in(file))
    named = (*in_files, *filter(os.path.isdir, wanted.requirements))
    outside = [path for path in named if not os.path.join(os.path.realpath(path), "").startswith(inside)]
    if outside or wanted.only_uv:
        what = (
            f"a project outside of {folder}, such as {outside[0]},"
            if outside
            else f"{wanted.title}, by [tool.uv] in it,"
        )
        raise RequirementsError(
            f"only uv can lock {what} and it is not there", hint="install uv", requirements=wanted.requirements
        )


def _python(wanted: Wanted) -> list[str]:
    return ["--python", wanted.python.executable] if wanted.python.executable else []


def _files(stage: Path, wanted: Wanted) -> list[str]:
    return [*wanted.files, *([str(stage / ASKED)] if wanted.requirements else [])]


def _tie_to_python(lock_file: Path, python: ChosenPython) -> None:
    """Have the lock file say that it is for this version alone: markers of others were not looked at."""
    text = lock_file.read_text(encoding="utf-8")
    head = f'lock-version = "1.0"\ncreated-by = "storectl"\nrequires-python = "=={python.feature_version}.*"\n'
    lock_file.write_text(_HEAD.sub(lambda _: head, text, count=1), encoding="utf-8")


def _put(stage: Path, folder: Path) -> None:
    """Move the files one by one over what is there. The lock file is last: other commands look for that one."""
    folder.mkdir(exist_ok=True)
    for path in sorted(stage.iterdir(), key=lambda path: path.name == LOCK_FILE):
        path.replace(folder / path.name)
    for name in ("uv.lock", "pyproject.toml"):
        (folder / name).unlink(missing_ok=True)  # of an earlier version of storectl; such a uv.lock would be preferred
