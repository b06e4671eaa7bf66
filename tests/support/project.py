"""Projects whose lock file is written over a loopback index, as plain folders or git repositories."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from support.index import LoopbackIndex
from support.lock_files import pylock_text, pyproject_text, requirements_text, uv_lock_text
from support.wheels import WheelBytes


def write_project(folder: Path, index: LoopbackIndex, wheels: Sequence[WheelBytes], kind: str = "uv.lock") -> Path:
    """A project with a lock file of this kind that locks these wheels, which the index serves from now on."""
    folder.mkdir(parents=True, exist_ok=True)
    index.add(*wheels)
    (folder / "pyproject.toml").write_text(pyproject_text([wheel.name for wheel in wheels]))
    if kind == "requirements.txt":
        text = f"--index-url {index.url}\n{requirements_text(wheels)}"
    elif kind == "pylock.toml":
        text = pylock_text(index, wheels)
    else:
        text = uv_lock_text(index, wheels)
    (folder / kind).write_text(text)
    return folder


def git(folder: Path, *arguments: str) -> str:
    """A git command in a folder, with an identity of its own; its standard output."""
    identity = ("-c", "user.name=Test", "-c", "user.email=test@localhost", "-c", "init.defaultBranch=main")
    return subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout
