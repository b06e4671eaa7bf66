"""The Pythons of this user, by the names of their programs: none of them is started."""

from __future__ import annotations

import os
import re

TYPE_CHECKING = False  # typing and collections.abc take longer to import than all of this
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def known_pythons(environ: Mapping[str, str]) -> list[str]:
    """The versions of CPython from 3.9 on that are on PATH or that pyenv has, such as ``3.12``, in order."""
    folders = [folder for folder in environ.get("PATH", os.defpath).split(os.pathsep) if folder]
    pyenv = os.path.join(environ.get("PYENV_ROOT") or os.path.join(environ.get("HOME", "/"), ".pyenv"), "versions")
    folders += [os.path.join(pyenv, version, "bin") for version in _names(pyenv)]
    minors = {minor for folder in folders for minor in _minors(folder)}
    return [f"3.{minor}" for minor in sorted(minors) if minor >= 9]


def _minors(folder: str) -> Iterator[int]:
    for name in _names(folder):
        match = re.fullmatch(r"python3\.(\d+)", name)
        if match and os.access(os.path.join(folder, name), os.X_OK):
            yield int(match[1])


def _names(folder: str) -> list[str]:
    """The names in this folder; none if it is not there or cannot be read: that is no fault for a search."""
    try:
        return os.listdir(folder)
    except OSError:
        return []
