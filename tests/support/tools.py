"""Other people's tools, installed for the tests that compare with them: poetry, pdm, pipenv."""

import fcntl
import os
import re
import subprocess
import sys
from pathlib import Path

from uv import find_uv_bin

from support.locked_day import as_of_that_day


def install_tool(root: Path, *requirements: str) -> Path:
    """The ``bin`` folder of an environment with these requirements, the newest of the locked day; made once below ``root``.

    Test processes that run side by side share what is below one root: the first one makes it, the others wait.
    """
    folder = root / "tools" / "+".join(re.sub(r"[^\w.-]", "_", requirement) for requirement in requirements)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.with_suffix(".lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = folder / "installed"
        if not done.exists():
            _uv("venv", "--quiet", "--clear", "--python", sys.executable, str(folder))
            _uv("pip", "install", "--quiet", "--python", str(folder / "bin" / "python"), *requirements)
            done.touch()
    return folder / "bin"


def shared_root(basetemp: Path) -> Path:
    """What every process of one test run has in common; each one's own folder is below it under xdist."""
    return basetemp.parent if "PYTEST_XDIST_WORKER" in os.environ else basetemp


def _uv(*arguments: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"} | as_of_that_day()
    done = subprocess.run([find_uv_bin(), *arguments], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
