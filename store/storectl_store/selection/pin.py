"""Pins: what a selection consists of.

    Pin           a wheel, with its digest and address
    IndexPin      a version of which only digests, or only names of files are known: an index says the rest
    SourcePin     a source archive, or a commit of a repository: something to build a wheel from
    LocalProject  a folder whose code stays where it is

A ``direct_url`` is what the environment is to say of a pin's origin (``direct_url.json``, PEP 610): None for what comes
from an index. It never holds a password.
"""

from dataclasses import dataclass
from typing import Literal

from packaging.direct_url import DirectUrl
from packaging.utils import NormalizedName

from storectl_store.digest import Digest

FileFormat = Literal["wheel", "sdist"]
LineSettings = tuple[str, ...]
"""What a line of a requirements file says to its build backend: ``key=value``, each."""

ANY_FORMAT: frozenset[FileFormat] = frozenset({"wheel", "sdist"})


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelFile:
    """One wheel as a lock file or an index offers it.

    ``url`` is absolute (https, http or file); ``size`` in bytes where known. ``digest`` is its sha256 if anybody stated
    it, else another strong digest. ``one_of`` is for a file of which only that is known that it has one of these digests:
    an index offers it without any, and several files of its version are locked. ``digest`` is then one of them.
    """

    filename: str
    digest: Digest
    url: str
    size: int | None = None
    one_of: frozenset[Digest] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """One locked wheel, chosen for a target. ``index`` is the index it is said to come from, where known."""

    name: NormalizedName
    version: str
    wheel: WheelFile
    index: str | None = None
    direct_url: DirectUrl | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexPin:
    """A locked version of which only digests are known: an index has to say which files they are.

    ``filenames`` are those of the locked files, where the lock file has them: what has a locked digest is the file even
    under another name (mirrors rename). Without ``digests`` they are what is locked: the source was one that gives none when it
    was locked, a folder of wheels above all, and the file or the source has to say its digest now. ``indexes`` are those the lock file itself names, in its order (empty: those of
    the user's configuration); ``find_links`` likewise. ``exclusive`` is true where the lock file's indexes replace the
    user's. ``formats`` are the kinds of file that may be used; ``settings`` are the settings that left out the others, in
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
    """A source distribution, or another archive of sources. Its fields are those of ``WheelFile``."""

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
    """A locked project to be built. ``version`` is None where only the build says it.

    ``subdirectory`` is where below the source its ``pyproject.toml`` or ``setup.py`` is.
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
    """Code that stays where it is: the root project, a workspace member, a path dependency.

    ``path`` is the absolute folder that holds its ``pyproject.toml``. ``packaged`` is false for a virtual project,
    whose code no environment sees. ``editable`` is what the lock file says; the code is imported from its folder in
    either case, and only ``direct_url.json`` tells them apart. Where it is ``optional`` the environment is made without it
    if it cannot be built: Poetry takes every project for a package, also one that only has dependencies.
    """

    name: NormalizedName
    path: str
    kind: Literal["root", "member", "path"]
    packaged: bool
    editable: bool = True
    optional: bool = False
    config_settings: LineSettings = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """All that a lock file selects for a target, each group sorted by project name.

    ``stale`` says in one line, with what to do, that the project has changed since the lock file was made; None where
    it has not, or where that cannot be told.
    """

    pins: tuple[Pin, ...] = ()
    index_pins: tuple[IndexPin, ...] = ()
    source_pins: tuple[SourcePin, ...] = ()
    local_projects: tuple[LocalProject, ...] = ()
    warnings: tuple[str, ...] = ()
    stale: str | None = None
