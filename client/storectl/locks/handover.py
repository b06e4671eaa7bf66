"""Running the tool that locks a project, so that it neither makes nor changes a virtual environment.

uv makes none with ``--no-sync``. Poetry, PDM and Pipenv look for one whatever they do: they would make ``.venv``, or
one among their own, and Pipenv uninstalls from it. So they get an empty one, which counts as active, and is removed
afterwards.
"""

import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from storectl.daemon.chosen_python import chosen_python, first_on_path, pinned_at
from storectl.errors import ClientError
from storectl.frozen import check_not_frozen
from storectl.locks.lock import as_typed, locking_of
from storectl.options import is_true
from storectl.program import path_with
from storectl_shim.locations import store_folder
from storectl_shim.own_variables import PLAIN_PYTHONS
from storectl_shim.project_record import last_environment

OFFLINE = {"UV_OFFLINE": "1", "PIP_NO_INDEX": "1"}
"""The variables that keep uv and pip from the network."""

_MAKES_ITS_OWN = frozenset({"poetry", "pdm", "pipenv"})
_LEFT_OUT = frozenset({"CONDA_DEFAULT_ENV", "CONDA_PREFIX", "PDM_IGNORE_ACTIVE_VENV", "PIPENV_IGNORE_VIRTUALENVS"})
"""Variables that have these tools take another environment than the active one."""


class LockerError(ClientError):
    """The tool of the project could not lock it; ``facts['folder']``."""

    default_code = "E_LOCKER"


def hand_over(
    command: Sequence[str], folder: Path, why: str, environ: Mapping[str, str], *, aside: bool = False
) -> int:
    """Run the tool's command line in the folder, and say so; its exit code, or 128 and the number of its signal.

    With ``aside`` it reads nothing and prints to stderr: standard input and output are a program's.
    """
    check_not_frozen(f"have {os.path.basename(command[0])} lock {folder}", environ)
    sys.stdout.flush()
    if not is_true(environ.get("STORECTL_QUIET")):
        sys.stderr.write(f"storectl: {as_typed(command)} ({why})\n")
        sys.stderr.flush()
    with _variables(command[0], folder, environ) as variables:
        code = subprocess.run(
            command,
            cwd=folder,
            env={**variables, **PLAIN_PYTHONS},
            stdin=subprocess.DEVNULL if aside else None,
            stdout=sys.stderr if aside else None,
            check=False,
        ).returncode
    return 128 - code if code < 0 else code


def lock_project(folder: str, environ: Mapping[str, str], *, offline: bool) -> None:
    """Lock a project that has no lock file with its own tool; LockerError if that fails."""
    locking = locking_of(Path(folder), tool=None, arguments=(), environ=environ)
    variables = {**(OFFLINE if offline else {}), **environ}
    why = f"{folder} has no lock file, {locking.why}"
    code = hand_over(locking.command, locking.folder, why, variables, aside=True)
    if code:
        raise LockerError(f"{locking.shown} ended with exit code {code}", hint="what it says is above", folder=folder)


@contextmanager
def _variables(program: str, folder: Path, environ: Mapping[str, str]) -> Iterator[Mapping[str, str]]:
    if os.path.basename(program) not in _MAKES_ITS_OWN:
        yield environ
        return
    kept = {name: value for name, value in environ.items() if name not in _LEFT_OUT}
    with tempfile.TemporaryDirectory(prefix="storectl-") as spare:
        _make_empty(spare, _python(folder, environ), program)
        own = {"VIRTUAL_ENV": spare, "PATH": path_with(f"{spare}/bin", environ.get("PATH", os.defpath))}
        if "PDM_PYTHON" not in environ:
            own["PDM_IGNORE_SAVED_PYTHON"] = "1"  # it may lead to a .venv that is ours
        yield {"PIPENV_VERBOSITY": "-1", **kept, **own}


def _make_empty(environment: str, python: str, program: str) -> None:
    command = [python, "-I", "-m", "venv", "--without-pip", environment]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().rpartition("\n")[2]
        raise LockerError(
            f"{python} cannot make the empty environment in which {os.path.basename(program)} is run: {said}",
            hint="it needs the standard library's venv (Debian: python3-venv)",
        )


def _python(folder: Path, environ: Mapping[str, str]) -> str:
    """The interpreter that the project's environment has, or would have."""
    pinned, required = pinned_at(str(folder), environ), _required(folder)
    if pinned is None and required is None:
        known = last_environment(store_folder(environ), os.path.realpath(folder), "default")
        own = os.path.realpath(os.path.join(known, "bin", "python")) if known else first_on_path(environ)
        return own or sys.executable
    return chosen_python(None if pinned else required, environ, pinned=pinned).executable or sys.executable


def _required(folder: Path) -> str | None:
    """What ``pyproject.toml`` says of Pythons; None if it says nothing in the standard's words."""
    try:
        project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8-sig"))["project"]
        return str(project["requires-python"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
