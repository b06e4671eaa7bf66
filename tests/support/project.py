"""Projects whose lock file is written over a loopback index, as plain folders or git repositories."""

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from support.index import LoopbackIndex
from support.lock_files import (
    pdm_lock_text,
    pipfile_lock_text,
    poetry_lock_text,
    pylock_text,
    pyproject_text,
    requirements_text,
    uv_lock_text,
)
from support.wheels import WheelBytes


def write_project(folder: Path, index: LoopbackIndex, wheels: Sequence[WheelBytes], kind: str = "uv.lock") -> Path:
    """A project with a lock file of this kind that locks these wheels, which the index serves from now on."""
    folder.mkdir(parents=True, exist_ok=True)
    index.add(*wheels)
    (folder / "pyproject.toml").write_text(pyproject_text([wheel.name for wheel in wheels]))
    (folder / kind).write_text(lock_file_text(kind, index, wheels))
    return folder


def lock_file_text(kind: str, index: LoopbackIndex, wheels: Sequence[WheelBytes]) -> str:
    """A lock file of this name that locks these wheels."""
    if kind == "requirements.txt":
        return f"--index-url {index.url}\n{requirements_text(wheels)}"
    write: dict[str, Callable[[LoopbackIndex, Sequence[WheelBytes]], str]] = {
        "uv.lock": uv_lock_text,
        "pylock.toml": pylock_text,
        "poetry.lock": poetry_lock_text,
        "pdm.lock": pdm_lock_text,
        "Pipfile.lock": pipfile_lock_text,
    }
    return write[kind](index, wheels)


def git(folder: Path, *arguments: str) -> str:
    """A git command in a folder, with an identity of its own; its standard output."""
    identity = ("-c", "user.name=Test", "-c", "user.email=test@localhost", "-c", "init.defaultBranch=main")
    return subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout
