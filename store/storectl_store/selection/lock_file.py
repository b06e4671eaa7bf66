"""Lock files as bytes: everything that a selection reads (``selection.reading`` takes it from disk once).

A `LockFile` holds the file, the ``pyproject.toml`` beside it, and for requirements files everything they include. So a
selection from it is a pure function. The kinds and their names:

    uv             uv.lock, and SCRIPT.lock of a script: NAME.py.lock, or any other name that is no other tool's
    pylock         pylock.toml, pylock.NAME.toml (PEP 751)
    poetry         poetry.lock
    pdm            pdm.lock
    pipfile        Pipfile.lock
    requirements   *requirements*.txt, and any .txt in a folder requirements
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Literal

LockKind = Literal["uv", "pylock", "poetry", "pdm", "pipfile", "requirements"]

_NAMES: tuple[tuple[re.Pattern[str], LockKind], ...] = (
    (re.compile(r"uv\.lock|.+\.py\.lock"), "uv"),  # the scripts first: one may be named like another tool's file
    (re.compile(r"pylock\.toml|pylock\.[^.]+\.toml"), "pylock"),
    (re.compile(r"poetry\.lock"), "poetry"),
    (re.compile(r"pdm\.lock|pdm\.[^.]+\.lock"), "pdm"),
    (re.compile(r"Pipfile\.lock"), "pipfile"),
    (re.compile(r".*requirements.*\.txt"), "requirements"),
    (re.compile(r"[^.].*\.lock"), "uv"),
)
_FOREIGN = frozenset(
    f"{name}.lock"
    for name in ("Cargo", "Gemfile", "Podfile", "bun", "composer", "deno", "flake", "mix", "package", "pixi", "yarn")
)
"""Lock files of tools that lock something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LockFile:
    """One lock file and all that decides what it means, apart from the target.

    ``path`` is absolute; ``project`` is its folder. ``digest`` is the sha256 hex over ``content``, and over the
    included files and variables if there are any.

    ``pyproject`` is the ``pyproject.toml`` beside it; None if there is none, or if the lock file is a script's.
    ``pipfile`` is the ``Pipfile`` beside a ``Pipfile.lock``.

    ``included`` maps absolute paths to contents. It holds the files that a requirements file refers to (``-r``, ``-c``,
    and the ``pyproject.toml`` of local projects), those that a ``uv.lock`` covers (of workspace members and path
    dependencies), and the settings files of the tool. ``settings`` lists the paths of the latter, the nearest first.

    ``variables`` are the values of the ``${NAME}`` that it uses, and of the variables in which its tool takes settings.
    ``absent`` are the paths of files that it refers to and that do not exist.
    """

    kind: LockKind
    path: Path
    content: bytes
    digest: str
    project: Path
    pyproject: bytes | None = None
    pipfile: bytes | None = None
    included: Mapping[str, bytes] = field(default_factory=lambda: MappingProxyType({}))
    settings: tuple[Path, ...] = ()
    variables: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    absent: frozenset[str] = frozenset()


def kind_of(path: Path) -> LockKind | None:
    """The kind of lock file that this name says it is; None for other files."""
    if path.name in _FOREIGN:
        return None
    if path.suffix == ".txt" and path.parent.name == "requirements":
        return "requirements"
    return next((kind for pattern, kind in _NAMES if pattern.fullmatch(path.name)), None)


def is_script_lock(path: Path) -> bool:
    """Whether this is the lock file of one script; no ``pyproject.toml`` concerns such a file."""
    return kind_of(path) == "uv" and path.name != "uv.lock"
