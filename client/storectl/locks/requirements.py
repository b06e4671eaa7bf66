"""Lock files for requirements that no project has written down: uv or pip makes them, in a folder of their own.

    <folder>/pyproject.toml    what was asked for
    <folder>/.python-version   the path of the interpreter that it is for, if it is not for a project
    <folder>/constraints.txt   the versions that it has to fit, if there are any
    <folder>/uv.lock           what uv made of it; or pylock.toml, made by pip

A folder counts only if it has its lock file, which is moved in last. So no command finds half of one.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from storectl.daemon.chosen_python import ChosenPython
from storectl.errors import ClientError
from storectl.locks.lock import find_program
from storectl.locks.overlay import LOCK_FILES
from storectl.locks.requirement_words import check_requirements, is_address, is_path

_LEFT_OUT = frozenset(
    {"VIRTUAL_ENV", "UV_PROJECT", "UV_WORKING_DIR", "UV_WORKING_DIRECTORY", "UV_FROZEN", "UV_LOCKED", "UV_PYTHON"}
)
"""Variables that would have uv lock another project, or nothing at all, or for another Python than the chosen one."""


class RequirementsError(ClientError):
    """The requirements cannot be locked: ``facts['requirements']``."""

    default_code = "E_REQUIREMENTS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be locked. ``constraints`` are versions that it has to fit (``name==1.0``).

    It is locked for ``python``. The locker is told its path, as it might not find it by itself. ``notes`` are files
    to keep beside the lock file. ``variables`` are for the locker, if they are not set already. With ``keep`` versions
    stay as they are in the lock file that is there, if they fit.
    """

    requirements: tuple[str, ...]
    python: ChosenPython
    constraints: tuple[str, ...] = ()
    notes: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    keep: bool = False


def lock_requirements(path: str, wanted: Wanted, environ: Mapping[str, str]) -> str:
    """Lock what is wanted into the folder at ``path``, over what is there; return the path of the lock file.

    RequirementsError if that fails, UsageError for a malformed requirement; the folder then stays as it was.
    """
    check_requirements(wanted.requirements)
    folder = Path(path)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".new-") as stage:
        _write_project(Path(stage), wanted)
        if wanted.keep and (folder / "uv.lock").is_file():
            shutil.copy(folder / "uv.lock", stage)  # uv prefers its versions; pip has no way to
        _run_locker(Path(stage), wanted, environ)
        return _put(Path(stage), folder)


def _write_project(folder: Path, wanted: Wanted) -> None:
    constraints = json.dumps(list(wanted.constraints))
    named = [text for text in wanted.requirements if not _is_unnamed(text)]
    (folder / "pyproject.toml").write_text(
        f'[project]\nname = "requirements"\nversion = "0"\nrequires-python = "=={wanted.python.feature_version}.*"\n'
        f"dependencies = {json.dumps(named)}\n"
        f"[tool.uv]\npackage = false\nconstraint-dependencies = {constraints}\n",
        encoding="utf-8",
    )
    if wanted.constraints:
        (folder / "constraints.txt").write_text("\n".join([*wanted.constraints, ""]), encoding="utf-8")
    for name, text in wanted.notes.items():
        (folder / name).write_text(text, encoding="utf-8")


def _run_locker(folder: Path, wanted: Wanted, environ: Mapping[str, str]) -> None:
    """Run uv or pip in the folder. Their output goes to stderr, so that the user sees it."""
    command = _locker(wanted, environ)
    own = {name: value for name, value in environ.items() if name not in _LEFT_OUT}
    done = subprocess.run(command, cwd=folder, env={**wanted.variables, **own}, stdout=sys.stderr, check=False)
    if done.returncode:
        raise RequirementsError(
            f"{os.path.basename(command[0])} cannot lock {', '.join(wanted.requirements)}",
            hint="what it says is above",
            requirements=wanted.requirements,
        )


def _locker(wanted: Wanted, environ: Mapping[str, str]) -> list[str]:
    """The command line of uv if it is there, else of pip; RequirementsError if neither is, or pip cannot do it."""
    python = ["--python", wanted.python.executable] if wanted.python.executable else []
    if uv := find_program("uv", environ):
        # `uv add` finds out which project a path or an address is, and locks as well.
        unnamed = [text for text in wanted.requirements if _is_unnamed(text)]
        what = ["add", "--no-sync", "--quiet"] if unnamed else ["lock", "--quiet"]
        return [uv, *what, *python, *unnamed]
    if folders := [text for text in wanted.requirements if os.path.isdir(text)]:
        raise RequirementsError(
            f"only uv can lock a folder such as {folders[0]}, and it is not there",
            hint="install uv",
            requirements=wanted.requirements,
        )
    if pip := find_program("pip", environ):
        constraints = ["-c", "constraints.txt"] if wanted.constraints else []
        return [pip, *python, "lock", "--quiet", *constraints, "-o", "pylock.toml", "--", *wanted.requirements]
    raise RequirementsError(
        "neither uv nor pip is there to lock requirements", hint="install uv", requirements=wanted.requirements
    )


def _is_unnamed(text: str) -> bool:
    return is_path(text) or is_address(text)


def _put(stage: Path, folder: Path) -> str:
    """Move the files one by one over what is there. The lock file is last: other commands look for that one."""
    folder.mkdir(exist_ok=True)
    files = sorted((path for path in stage.iterdir() if path.is_file()), key=lambda path: path.name in LOCK_FILES)
    moved = [path.replace(folder / path.name) for path in files]
    return str(moved[-1])
