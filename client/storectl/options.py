"""Options: what can be asked of a project's environment.

No dataclass: this module is on the way to every program that the launcher does not start itself, and to import
``dataclasses`` (with ``inspect``) takes longer than all the rest of that way.
"""

from __future__ import annotations

from storectl_shim.project_record import absolute_interpreter, absolute_lock_file, options_key

TYPE_CHECKING = False  # typing and collections.abc take longer to import than all of `run`
if TYPE_CHECKING:
    from typing import Any

LOCKED, FROZEN = "locked", "frozen"
"""What ``Options.lock_check`` may say: the lock file must fit the project, or whether it does is not asked."""

_NO_PART_OF_THE_KEY = ("offline", "lock_check", "package", "program")


class Options:
    """Which environment of a project is meant: interpreter, extras, groups, another lock file. Not to be changed.

    ``python`` is a version (``3.12``) or the absolute path of an interpreter, None for the project's own. The names
    of extras and groups are sorted. ``groups`` come on top of the default groups if ``default_groups`` is true;
    with ``only_groups`` there is nothing else; ``dev`` asks for the group of that name if there is one; ``no_extras``
    and ``no_groups`` are left out in any case.
    ``lock_file`` is absolute, None for the project's own; ``further_lock_files`` are requirements files that count
    with it. ``overlay`` is the absolute path of a lock file for packages on top. ``member`` is the absolute folder
    of a workspace member that is meant instead of the root, ``package`` its name as long as the folder is not
    known; with ``all_packages`` every member is meant. ``offline`` and ``lock_check`` say how to get the
    environment, not which: they are not part of the key. ``lock_check`` is LOCKED, FROZEN or nothing: what if the lock
    file is older than the project. ``program`` is what will run, as far as that is known; it is no part of the key
    either.
    """

    __slots__ = (
        "all_extras", "all_groups", "all_packages", "default_groups", "dev", "extras", "further_lock_files", "groups",
        "lock_check", "lock_file", "member", "no_extras", "no_groups", "offline", "only_groups", "overlay", "package",
        "program", "python",
    )  # fmt: skip

    def __init__(
        self,
        *,
        python: str | None = None,
        extras: tuple[str, ...] = (),
        all_extras: bool = False,
        no_extras: tuple[str, ...] = (),
        groups: tuple[str, ...] = (),
        all_groups: bool = False,
        no_groups: tuple[str, ...] = (),
        dev: bool = False,
        default_groups: bool = True,
        only_groups: bool = False,
        lock_file: str | None = None,
        further_lock_files: tuple[str, ...] = (),
        overlay: str | None = None,
        member: str | None = None,
        package: str | None = None,
        all_packages: bool = False,
        offline: bool = False,
        lock_check: str = "",
        program: tuple[str, ...] = (),
    ) -> None:
        self.python = absolute_interpreter(python) if python is not None else None
        self.extras = tuple(sorted(set(extras)))
        self.all_extras = all_extras
        self.no_extras = tuple(sorted(set(no_extras)))
        self.groups = tuple(sorted(set(groups)))
        self.all_groups = all_groups
        self.no_groups = tuple(sorted(set(no_groups)))
        self.dev = dev
        self.default_groups = default_groups
        self.only_groups = only_groups
        self.offline = offline
        self.lock_check = lock_check
        self.lock_file = absolute_lock_file(lock_file) if lock_file is not None else None
        self.further_lock_files = tuple(map(absolute_lock_file, further_lock_files))
        self.overlay = overlay
        self.member = member
        self.package = package
        self.all_packages = all_packages
        self.program = program

    @property
    def is_plain(self) -> bool:
        """Whether nothing is asked for that only a project has: neither extras nor groups."""
        names = self.extras or self.groups or self.only_groups or self.package
        return not (names or self.all_extras or self.all_groups or self.all_packages)

    def with_lock_file(self, path: str) -> Options:
        """These options with another lock file."""
        return self._with(lock_file=path, further_lock_files=(), member=None)

    def with_python(self, python: str | None) -> Options:
        """These options with this interpreter, if they name none."""
        return self._with(python=self.python or python)

    def alone(self) -> Options:
        """These options without a project: the Python is the one that stands beside the lock file."""
        return Options(offline=self.offline, program=self.program)

    def for_program(self, program: tuple[str, ...]) -> Options:
        """These options for an environment in which this program will run."""
        return self._with(program=program)

    def with_overlay(self, path: str) -> Options:
        """These options with the packages of another lock file on top."""
        return self._with(overlay=path)

    def at_member(self, folder: str | None) -> Options:
        """These options for the workspace member in this folder; None for the root of the workspace."""
        return self._with(member=folder, package=None)

    def _with(self, **changed: Any) -> Options:
        return Options(**(self._values() | changed))

    @property
    def key(self) -> str:
        """The name of these options in a project's record."""
        return options_key(**self.asked)

    @property
    def asked(self) -> dict[str, Any]:
        """What decides which environment is meant, by the names of ``options_key``."""
        return {name: value for name, value in self._values().items() if name not in _NO_PART_OF_THE_KEY}

    def _values(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


def is_true(text: str | None) -> bool:
    """Whether the value of a variable means yes; the words are uv's."""
    return (text or "").lower() in ("1", "true", "yes", "on", "y", "t")
