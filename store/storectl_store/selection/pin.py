"""Pins: what a selection consists of."""

from dataclasses import dataclass
from typing import Literal

from packaging.utils import NormalizedName

from storectl_store.digest import Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelFile:
    """One wheel as a lock file or an index offers it.

    ``url`` is absolute (https, http or file); ``size`` in bytes where known.
    """

    filename: str
    digest: Digest
    url: str
    size: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """One locked wheel, chosen for a target. ``index`` is the index it is said to come from, where known."""

    name: NormalizedName
    version: str
    wheel: WheelFile
    index: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexPin:
    """A locked version of which only digests are known: an index has to say which files they are.

    ``indexes`` are those the lock file itself names, in its order (empty: those of the user's configuration);
    ``find_links`` likewise. ``exclusive`` is true where the lock file's indexes replace the user's.
    """

    name: NormalizedName
    version: str
    digests: frozenset[Digest]
    indexes: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    exclusive: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalProject:
    """Code that stays where it is: the root project, a workspace member, a path dependency.

    ``path`` is the absolute folder that holds its ``pyproject.toml``. ``packaged`` is false for a virtual project,
    whose code no environment sees.
    """

    name: NormalizedName
    path: str
    kind: Literal["root", "member", "path"]
    packaged: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """All that a lock file selects for a target, each group sorted by project name."""

    pins: tuple[Pin, ...] = ()
    index_pins: tuple[IndexPin, ...] = ()
    local_projects: tuple[LocalProject, ...] = ()
    warnings: tuple[str, ...] = ()
