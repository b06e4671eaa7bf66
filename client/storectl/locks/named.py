"""Named environments: they belong to no project's folder, and are run from anywhere with `storectl run -e NAME`.

    <state>/named/<name>/asked                what was asked for, see below; without it there is no such environment
    <state>/named/<name>/pylock.toml, …       the lock file of the requirements, as ``requirements`` makes it
    <state>/named/default -> <name>           the one that counts outside of projects, for `run` and for the launcher

    asked    storectl-named 1
             requirement <a requirement>      as many as there are
             lock <absolute path>             or the lock file that the environment follows
             python <version or path>         what -p asked for

The folder is a project like any other: its record says that nothing has changed.
"""

from __future__ import annotations

import os

from storectl.errors import UnknownNameError, UsageError
from storectl.locks.remembered import LETTERS_AND_DIGITS, NAME_LETTERS, has_its_python
from storectl.project import locate_member
from storectl_shim.locations import state_folder

TYPE_CHECKING = False  # typing and collections.abc take longer to import than all of `run`
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from storectl.options import Options

ASKED = "asked"
FORMAT = "storectl-named 1"
DEFAULT = "default"
_LONGEST = 64


class Named:
    """One environment, as it was asked for. No dataclass, for the reason in ``options``.

    Either ``requirements`` are locked in its folder, or it follows ``lock_file``. ``python`` is what -p asked for.
    """

    __slots__ = ("folder", "lock_file", "python", "requirements")

    def __init__(
        self,
        folder: str,
        *,
        requirements: Sequence[str] = (),
        lock_file: str | None = None,
        python: str | None = None,
    ) -> None:
        self.folder = folder
        self.requirements = tuple(requirements)
        self.lock_file = lock_file
        self.python = python

    @property
    def name(self) -> str:
        """Its name."""
        return os.path.basename(self.folder)

    def with_requirements(self, more: Sequence[str]) -> Named:
        """It with more requirements; one of a project takes the place of an earlier one of that project."""
        from storectl.locks.requirement_words import project_name  # noqa: PLC0415 - a run has no use for it

        projects = {project_name(text) for text in more}
        kept = [text for text in self.requirements if project_name(text) not in projects]
        return Named(self.folder, requirements=(*kept, *more), python=self.python)

    def text(self) -> str:
        """The content of the file ``asked``."""
        lines = [f"requirement {text}" for text in self.requirements]
        lines += [f"lock {self.lock_file}"] if self.lock_file is not None else []
        lines += [f"python {self.python}"] if self.python is not None else []
        return "\n".join([FORMAT, *lines, ""])

    def project(self, options: Options) -> tuple[str, Options]:
        """The folder of the project that it is made from, and the options for it."""
        if self.lock_file is None:
            return self.folder, options
        return os.path.dirname(self.lock_file), options.with_lock_file(self.lock_file).with_python(self.python)


def read_named(name: str, environ: Mapping[str, str]) -> Named:
    """The environment of this name; UnknownNameError if there is none. ``default`` is the one that it leads to."""
    named = _read(os.path.realpath(named_path(name, environ)))
    if named is not None:
        return named
    import difflib  # noqa: PLC0415 - only an error pays for it

    names = [known.name for known in known_named(environ)]
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5) or names[:8]
    there = f"there is {', '.join(near)}; " if near else ""
    raise UnknownNameError(
        f"no environment is named {name}", hint=f"{there}`storectl env create {name} REQUIREMENT…` makes it", name=name
    )


def known_named(environ: Mapping[str, str]) -> list[Named]:
    """Every named environment, by name."""
    root = named_folder(environ)
    names = sorted(os.listdir(root)) if os.path.isdir(root) else []
    found = [_read(os.path.join(root, name)) for name in names if name != DEFAULT]
    return [named for named in found if named is not None]


def default_named(environ: Mapping[str, str]) -> Named | None:
    """The environment that counts outside of projects; None if the user has chosen none."""
    link = os.path.join(named_folder(environ), DEFAULT)
    return _read(os.path.realpath(link)) if os.path.islink(link) else None


def named_project(name: str, options: Options, environ: Mapping[str, str]) -> tuple[str, Options]:
    """The folder of the project that makes the environment of this name, and the options for it."""
    return _project(read_named(name, environ), options, environ)


def default_project(options: Options, environ: Mapping[str, str]) -> tuple[str, Options] | None:
    """The same for the default environment; None if there is none."""
    named = default_named(environ)
    return None if named is None else _project(named, options, environ)


def named_folder(environ: Mapping[str, str]) -> str:
    """The folder with the folder of each; there are no symbolic links in its path."""
    return os.path.join(os.path.realpath(state_folder(environ)), "named")


def named_path(name: str, environ: Mapping[str, str]) -> str:
    """Where the environment of this name is, or would be; UsageError if none can have the name."""
    if not 0 < len(name) <= _LONGEST or name[0] not in LETTERS_AND_DIGITS or not NAME_LETTERS.issuperset(name):
        raise UsageError(
            f"{name!r} is no name for an environment",
            hint="up to 64 letters, digits, dots, dashes and underscores, a letter or digit first",
        )
    return os.path.join(named_folder(environ), name)


def _project(named: Named, options: Options, environ: Mapping[str, str]) -> tuple[str, Options]:
    folder, options = named.project(options)
    if named.lock_file is not None:
        if os.path.exists(named.lock_file):  # without it, the environment is what it was
            folder, _, options = locate_member([], options, environ)
    elif not has_its_python(named.folder):
        from storectl.locks.named_locks import relock_named  # noqa: PLC0415 - only if its interpreter is gone

        relock_named(named, environ, offline=options.offline)
    return folder, options


def _read(folder: str) -> Named | None:
    try:
        with open(os.path.join(folder, ASKED), encoding="utf-8", errors="surrogateescape") as file:
            first, *lines = file.read().split("\n")
    except OSError:
        return None
    said = [line.partition(" ")[::2] for line in lines]
    if first != FORMAT:
        return None
    return Named(
        folder,
        requirements=[text for word, text in said if word == "requirement"],
        lock_file=dict(said).get("lock"),
        python=dict(said).get("python"),
    )
