"""Pins: what a selection consists of.

    Pin           a wheel, with its digest and address
    IndexPin      a version of which only digests, or only names of files are known: an index says the rest
    SourcePin     a source archive, or a commit of a repository: something to build a wheel from
    LocalProject  a folder whose code stays in place

A ``direct_url`` is what the environment says of a pin's origin (``direct_url.json``, PEP 610); None for a pin that
comes from an index. It never holds a password.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Self

from packaging.direct_url import DirectUrl
from packaging.utils import NormalizedName

from storectl_store.digest import Digest

FileFormat = Literal["wheel", "sdist"]
LineSettings = tuple[str, ...]
"""The settings that a line of a requirements file gives to the build backend, each as ``key=value``."""

ANY_FORMAT: frozenset[FileFormat] = frozenset({"wheel", "sdist"})


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelFile:
    """One wheel as a lock file or an index offers it.

    ``url`` is absolute (https, http or file); ``size`` is in bytes if known. ``digest`` is its sha256 if the lock file
    or the index states it, otherwise another strong digest.

    ``one_of``: only that the file has one of these digests is known, because an index offers it without any, and
    several files of its version are locked. ``digest`` is then one of them.
    """

    filename: str
    digest: Digest
    url: str
    size: int | None = None
    one_of: frozenset[Digest] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """One locked wheel, chosen for a target. ``index`` is the index it is said to come from, if known."""

    name: NormalizedName
    version: str
    wheel: WheelFile
    index: str | None = None
    direct_url: DirectUrl | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexPin:
    """A locked version of which only digests are known: an index has to say which files they are.

    ``digests`` are those of the locked files. Without them, ``filenames`` are what is locked: when the version was
    locked its source gave no digest (a folder of wheels, for instance), so the file or the source has to say it now.

    ``filenames`` are the names of the locked files, if the lock file has them. A file with a locked digest is taken
    even under another name, because mirrors rename files.

    ``indexes`` and ``find_links`` are those that the lock file itself names, in its order; empty for those of the
    user's configuration. ``exclusive``: they replace the user's.

    ``formats`` are the kinds of file that may be used. ``settings`` names the settings that left out the others, in
    words for a message. ``config_settings`` are for its build.
    """

    name: NormalizedName
    version: str
    digests: frozenset[Digest]
    filenames: frozenset[str] = frozenset()
    indexes: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    exclusive: bool = False
    formats: frozenset[FileFormat] = ANY_FORMAT
    settings: str | None = None
    config_settings: LineSettings = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceArchive:
    """A source distribution, or another archive of sources.

    ``url`` is absolute; ``size`` is in bytes if known. ``digest`` is its sha256 or another strong digest; ``one_of``
    means what it means in ``WheelFile``.
    """

    filename: str
    digest: Digest
    url: str
    size: int | None = None
    one_of: frozenset[Digest] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class GitCommit:
    """A commit of a git repository. ``url`` is what ``git clone`` takes, ``commit`` the full object name in hex.

    ``requested_revision`` is the branch, tag or abbreviated commit that was asked for when it was locked.
    """

    url: str
    commit: str
    requested_revision: str | None = None
    lfs: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcePin:
    """A locked project to be built. ``version`` is None if only the build can tell it.

    ``subdirectory`` is the folder, relative to the source, that holds its ``pyproject.toml`` or ``setup.py``.
    """

    name: NormalizedName
    version: str | None
    source: SourceArchive | GitCommit
    subdirectory: str | None = None
    index: str | None = None
    direct_url: DirectUrl | None = None
    config_settings: LineSettings = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalProject:
    """Code that stays in its folder: the root project, a workspace member, a path dependency.

    ``path`` is the absolute folder that holds its ``pyproject.toml``. ``packaged`` is false for a virtual project,
    whose code no environment sees. ``editable`` is what the lock file says. The code is imported from its folder in
    either case; only ``direct_url.json`` tells the two apart.

    ``optional``: if the project cannot be built, the environment is made without it. Poetry takes every project for a
    package, also one that only has dependencies.
    """

    name: NormalizedName
    path: str
    kind: Literal["root", "member", "path"]
    packaged: bool
    editable: bool = True
    optional: bool = False
    config_settings: LineSettings = ()


Selected = Pin | IndexPin | SourcePin | LocalProject


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """All that a lock file selects for a target, each group sorted by project name.

    ``stale`` says in one line, with what to do, that the project has changed since the lock file was made. It is None
    if the project has not changed, or if that cannot be told.
    """

    pins: tuple[Pin, ...] = ()
    index_pins: tuple[IndexPin, ...] = ()
    source_pins: tuple[SourcePin, ...] = ()
    local_projects: tuple[LocalProject, ...] = ()
    warnings: tuple[str, ...] = ()
    stale: str | None = None

    @classmethod
    def of(cls, items: Iterable[Selected], *, warnings: tuple[str, ...] = (), stale: str | None = None) -> Self:
        """The selection of these items, in whatever order they come."""
        ordered = sorted(items, key=lambda item: item.name)
        return cls(
            pins=tuple(item for item in ordered if isinstance(item, Pin)),
            index_pins=tuple(item for item in ordered if isinstance(item, IndexPin)),
            source_pins=tuple(item for item in ordered if isinstance(item, SourcePin)),
            local_projects=tuple(item for item in ordered if isinstance(item, LocalProject)),
            warnings=warnings,
            stale=stale,
        )
