"""What is made once in a run, for all its processes; other people's tools, installed for the tests that compare with them."""

import fcntl
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from uv import find_uv_bin

from support.locked_day import as_of_that_day


def install_tool(root: Path, *requirements: str) -> Path:
    """The ``bin`` folder of an environment with these requirements, the newest of the locked day; made once below ``root``."""
    folder = root / "tools" / "+".join(re.sub(r"[^\w.-]", "_", requirement) for requirement in requirements)
    with to_be_made(folder) as missing:
        if missing:
            _uv("venv", "--quiet", "--clear", "--python", sys.executable, str(folder))
            _uv("pip", "install", "--quiet", "--python", str(folder / "bin" / "python"), *requirements)
    return folder / "bin"


@contextmanager
def to_be_made(folder: Path) -> Iterator[bool]:
    """Whether the block has to make the folder. Other test processes wait for its end, and then have it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = folder.with_name(f"{folder.name}.made")
        yield not made.exists()
        made.touch()


def new_venv(folder: Path, python: str) -> Path:
    """A virtual environment without pip, in place of the one that was in the folder."""
    subprocess.run([python, "-m", "venv", "--clear", "--without-pip", folder], check=True)
    return folder


def _uv(*arguments: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"} | as_of_that_day()
    done = subprocess.run([find_uv_bin(), *arguments], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
