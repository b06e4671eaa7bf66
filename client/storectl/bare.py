"""Programs outside of any project run as `uv run` runs them there: under an interpreter with what is installed in it.

That is -p; else the virtual environment that is active, or a .venv here or above; else the Python that a
.python-version names; else the first Python on PATH.
"""

from __future__ import annotations

import os

from storectl.daemon.chosen_python import chosen_python, first_on_path, pinned_at, upward
from storectl.program import path_with

TYPE_CHECKING = False  # typing and collections.abc take longer to import than all of `run`
if TYPE_CHECKING:
    from collections.abc import Mapping


def bare_python(python: str | None, environ: Mapping[str, str]) -> str:
    """The absolute path of the interpreter; DaemonProblemError (E_TARGET) if there is none."""
    here = os.getcwd()
    if python is None:
        folders = [os.path.join(folder, ".venv") for folder in upward(here, environ.get("HOME"))]
        for folder in [environ.get("VIRTUAL_ENV") or "", *folders]:
            found = os.path.join(folder, "bin", "python")
            if folder and os.path.isfile(os.path.join(folder, "pyvenv.cfg")) and os.access(found, os.X_OK):
                return os.path.abspath(found)
    pinned = None if python else pinned_at(here, environ)
    if python is None and pinned is None and (first := first_on_path(environ)):
        return first
    return str(chosen_python(python, environ, pinned=pinned).executable)


def bare_environ(python: str, environ: Mapping[str, str]) -> dict[str, str]:
    """The variables of a program under this interpreter: its commands are first on PATH, as for `uv run`."""
    folder = os.path.dirname(python)
    virtual = os.path.dirname(folder) if os.path.isfile(os.path.join(folder, "..", "pyvenv.cfg")) else None
    changed = {**environ, "PATH": path_with(folder, environ.get("PATH", os.defpath))}
    return changed | ({"VIRTUAL_ENV": virtual} if virtual is not None else {})
