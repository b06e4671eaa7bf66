"""Remembered locks: lock files for what no project has locked, made once by uv or pip and kept in the state folder.

    <state>/overlays/<key>/        --with and `storectl.activate("…")`, on top of a project or without one
    <state>/tools/<key>/           `storectl tool run`
    <state>/scripts/<key>/         a script with a block (PEP 723) and no lock file beside it
    <state>/requirements/…/        requirements files without hashes, see ``storectl_shim.requirements_files``
    <state>/named/<name>/          named environments, see ``storectl.locks.named``

The key is made of everything that was asked for. So what was locked once is found again by a run that needs neither uv
nor pip nor the network. ``storectl.locks.requirements`` says what is in such a folder, and makes it.
"""

from __future__ import annotations

import os

from storectl.daemon.chosen_python import pinned_in
from storectl.errors import NotLockedError
from storectl.frozen import check_not_frozen
from storectl_shim.locations import state_folder

TYPE_CHECKING = False  # typing and collections.abc take longer to import than all of `run`
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from storectl.locks.requirements import Wanted
    from storectl.options import Options

LOCK_FILES = ("pylock.toml", "uv.lock")
"""What a lock file in a remembered folder may be called; earlier versions of storectl made a uv.lock."""

LETTERS_AND_DIGITS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
"""Those of ASCII. To import ``re`` or ``string`` for them takes longer than most of a run."""

NAME_LETTERS = LETTERS_AND_DIGITS | frozenset("._-")
"""What the names of projects and of environments consist of."""

KINDS = ("overlays", "tools", "scripts", "requirements", "named")
"""The folders of remembered locks in the state folder."""


class Locking:
    """How to lock: ``refresh`` locks anew, ``locked`` forbids to lock, ``offline`` keeps uv and pip off the network.

    ``keep`` is the path of an environment whose versions stay if they fit. No dataclass, for the reason in
    ``storectl.options``.
    """

    __slots__ = ("keep", "locked", "offline", "refresh")

    def __init__(
        self, *, refresh: bool = False, locked: bool = False, offline: bool = False, keep: str | None = None
    ) -> None:
        self.keep = keep
        self.refresh = refresh
        self.locked = locked
        self.offline = offline

    @property
    def kept(self) -> tuple[str, ...]:
        """The versions that stay if they fit, as ``name==version``."""
        return tuple(versions_in(self.keep)) if self.keep is not None else ()

    def check_allowed(self, what: str) -> None:
        """NotLockedError if it is forbidden to lock."""
        if self.locked:
            raise NotLockedError(
                f"{what} is not locked yet, and --locked or --frozen forbids to lock it",
                hint="run it once without that option",
            )


def locking_for(options: Options, *, refresh: bool = False, keep: str | None = None) -> Locking:
    """How to lock with these options."""
    return Locking(refresh=refresh, locked=bool(options.lock_check), offline=options.offline, keep=keep)


def lock_once(
    folder: str, wanted: Callable[[], Wanted], environ: Mapping[str, str], how: Locking, *, what: str = "it"
) -> str:
    """The absolute path of the lock file in a remembered folder; ``wanted`` is locked now if there is none.

    ``what`` names it for the user if that is forbidden.

    RequirementsError if that fails, NotLockedError if it is forbidden; the folder then stays as it was.
    """
    found = lock_file_in(folder)
    if found is not None and not how.refresh and has_its_python(folder):
        return found
    how.check_allowed(what)
    check_not_frozen(f"lock {what}", environ)
    from storectl.locks.requirements import lock_requirements  # noqa: PLC0415 - for the first run only

    return lock_requirements(folder, wanted(), environ, offline=how.offline)


def remembered_folder(kind: str, parts: Iterable[str], environ: Mapping[str, str]) -> str:
    """The folder for what these parts say; its path has no symbolic links."""
    import hashlib  # noqa: PLC0415 - 3 ms that only runs with a remembered lock pay

    key = hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return os.path.join(os.path.realpath(state_folder(environ)), kind, key)


def lock_file_in(folder: str) -> str | None:
    """The path of the lock file in a remembered folder; None if it has none."""
    paths = (os.path.join(folder, name) for name in LOCK_FILES)
    return next((path for path in paths if os.path.isfile(path)), None)


def has_its_python(folder: str) -> bool:
    """Whether the interpreter that the folder was locked for, by the pin in it, is there; true without a pin."""
    pin = pinned_in(folder)
    return pin is None or os.access(pin.strip(), os.X_OK)


def versions_in(environment: str) -> Iterator[str]:
    """``name==version`` of every distribution in the environment, by the names of its ``.dist-info`` folders."""
    library = os.path.join(environment, "lib")
    for python in sorted(os.listdir(library)):
        for name in sorted(os.listdir(os.path.join(library, python, "site-packages"))):
            stem, dot, kind = name.rpartition(".")
            if dot and kind == "dist-info":
                project, _, version = stem.partition("-")
                yield f"{project}=={version}"
