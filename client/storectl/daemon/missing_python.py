"""A Python that is missing: uv or pyenv installs it, if the user lets it.

uv's own settings say whether uv may: `python-downloads` and `python-preference` in uv.toml or pyproject.toml, their
variables and so on. uv itself is asked: it lists what it would download. pyenv compiles for minutes, so it has to be
asked for: STORECTL_INSTALL_PYTHON, or `install-python` in `[tool.storectl]` of pyproject.toml, is `pyenv`. Either may
also be `never`.
"""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping

VARIABLE = "STORECTL_INSTALL_PYTHON"


def install_python(request: str, folder: str, environ: Mapping[str, str]) -> bool:
    """Whether an interpreter for the request (3.14, or >=3.12) was installed. What the tool says goes to stderr.

    ``folder`` is the project's, or the current one: its settings count.
    """
    command = _command(request, folder, environ)
    if command is None:
        return False
    shown = " ".join([os.path.basename(command[0]), *command[1:]])
    sys.stderr.write(f"storectl: Python {request} is not here: {shown}\n")
    # As with a download of its own, uv puts no python3.14 into ~/.local/bin.
    variables = {"UV_PYTHON_INSTALL_BIN": "0", **environ}
    return subprocess.run(command, cwd=folder, env=variables, stdout=sys.stderr, check=False).returncode == 0


def _command(request: str, folder: str, environ: Mapping[str, str]) -> list[str] | None:
    """The command that installs it; None if nothing may or can."""
    path = environ.get("PATH", os.defpath)
    chosen = environ.get(VARIABLE) or _setting(folder)
    if chosen == "pyenv":
        pyenv = shutil.which("pyenv", path=path)
        return [pyenv, "install", "--skip-existing", request] if pyenv and request[0].isdigit() else None
    uv = shutil.which("uv", path=os.pathsep.join([path, os.path.dirname(sys.executable)]))
    if chosen == "never" or uv is None or not _would_download(uv, request, folder, environ):
        return None
    return [uv, "python", "install", request]


def _would_download(uv: str, request: str, folder: str, environ: Mapping[str, str]) -> bool:
    """Whether uv knows a download for the request, and its settings let it download by itself."""
    command = [uv, "python", "list", "--output-format", "json", request]
    done = subprocess.run(command, cwd=folder, env=dict(environ), capture_output=True, check=False)
    try:
        return any(each["path"] is None for each in json.loads(done.stdout))
    except (ValueError, KeyError, TypeError):
        return False  # it failed, or is too old to say


def _setting(folder: str) -> object:
    """`install-python` of the project in this folder; None without one."""
    try:
        with open(os.path.join(folder, "pyproject.toml"), encoding="utf-8-sig") as file:
            return tomllib.loads(file.read())["tool"]["storectl"]["install-python"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
