"""The Python that the folders around a lock file ask for: the nearest ``.python-version``, and the project's own table.

    work/pyproject.toml               requires-python, if the lock file says nothing of it and no nearer file is there
    work/.python-version              looked for from the lock file's folder, or the member's, upwards, as uv does;
    work/.python-versions             its first line counts if there is no .python-version beside it
    work/requirements/dev.txt         the lock file

The way up ends with the folder that holds ``.git``, with the home folder, or at the root. A file that another user
could have put there is passed over, because a version file may name a program.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from storectl_shim.trust import foreign_owner
from storectl_store.errors import LockFileError
from storectl_store.projects.input_state import InputState, read_states
from storectl_store.selection.tables.snapshot import read_snapshot

VERSION_FILES = (".python-version", ".python-versions")
"""The preferred one first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """``pinned`` is the content of the version file, ``requires_python`` is what the project's table says.

    ``inputs`` are all files that were looked for, each as it was found, and the interpreter once it is chosen.
    """

    pinned: str | None = None
    requires_python: str | None = None
    inputs: dict[Path, InputState | None] = field(default_factory=dict)


def look_around(start: Path, environ: Mapping[str, str], *, for_project: bool) -> Around:
    """What the folders around ``start`` say. The project's table is read only if ``for_project``."""
    looked: list[Path] = []
    pinned = _nearest(start, environ, VERSION_FILES, looked)
    pyproject = _nearest(start, environ, ("pyproject.toml",), looked) if for_project else None
    inputs = read_states(dict.fromkeys(looked, "file"))
    return Around(
        pinned=pinned.decode(errors="replace") if pinned is not None else None,
        requires_python=requires_python_in(pyproject) if pyproject is not None else None,
        inputs=inputs,
    )


def _nearest(start: Path, environ: Mapping[str, str], names: tuple[str, ...], looked: list[Path]) -> bytes | None:
    """The content of the nearest of these files. Every path that was tried is added to ``looked``."""
    for folder in _upwards(start, environ.get("HOME")):
        for name in names:
            looked.append(folder / name)
            if _is_trusted(folder / name, environ) and (content := _content(folder / name)) is not None:
                return content
    return None


def _content(file: Path) -> bytes | None:
    try:
        found = read_snapshot(file)
    except LockFileError:
        return None  # a folder of this name, or nothing that may be read
    return found.content if found else None


def _upwards(start: Path, home: str | None) -> Iterator[Path]:
    last = os.path.realpath(home) if home else None
    for folder in (start, *start.parents):
        yield folder
        if os.fspath(folder) == last or os.path.exists(folder / ".git"):
            return


def _is_trusted(file: Path, environ: Mapping[str, str]) -> bool:
    """Whether the file and its folder are this user's or root's, or are in a folder that this user trusts."""
    try:
        return all(foreign_owner(os.fspath(path), environ) is None for path in (file, file.parent))
    except OSError:
        return False


def requires_python_in(content: bytes) -> str | None:
    """``[project] requires-python``; None if the file does not have it, or has nothing that can be read."""
    import tomllib  # noqa: PLC0415 - few lock files ask, and watching needs none of it

    try:
        project = tomllib.loads(content.decode()).get("project", {})
    except (ValueError, RecursionError):
        return None
    found = project.get("requires-python") if isinstance(project, dict) else None
    return found if isinstance(found, str) else None
