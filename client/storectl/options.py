"""Options: what can be asked of a project's environment.

No dataclass: this module is on the way to every program that the launcher does not start itself, and to import
``dataclasses`` (with ``inspect``) takes longer than all the rest of that way.
"""

from __future__ import annotations

from storectl_shim.project_record import absolute_interpreter, absolute_lock_file, options_key

TYPE_CHECKING = False  # typing and collections.abc take longer to import than all of `run`
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any


class Options:
    """Which environment of a project is meant: interpreter, extras, groups, another lock file. Not to be changed.

    ``python`` is a version (``3.12``) or the absolute path of an interpreter, None for the project's own. ``extras``
    and ``groups`` are sorted. ``groups`` come on top of the default groups if ``default_groups`` is true; with
    ``only_groups`` there is nothing else. ``lock_file`` is absolute, None for the project's own; ``overlay`` is the
    absolute path of a lock file for packages on top; ``member`` is the absolute folder of a workspace member that is
    meant instead of the root. ``offline`` says how to get the environment, not which: it is not part of the key.
    """

    __slots__ = (
        "all_extras",
        "default_groups",
        "extras",
        "groups",
        "lock_file",
        "member",
        "offline",
        "only_groups",
        "overlay",
        "python",
    )

    def __init__(
        self,
        *,
        python: str | None = None,
        extras: tuple[str, ...] = (),
        all_extras: bool = False,
        groups: tuple[str, ...] = (),
        default_groups: bool = True,
        only_groups: bool = False,
        lock_file: str | None = None,
        overlay: str | None = None,
        member: str | None = None,
        offline: bool = False,
    ) -> None:
        self.python = absolute_interpreter(python) if python is not None else None
        self.extras = tuple(sorted(set(extras)))
        self.all_extras = all_extras
        self.groups = tuple(sorted(set(groups)))
        self.default_groups = default_groups
        self.only_groups = only_groups
        self.offline = offline
        self.lock_file = absolute_lock_file(lock_file) if lock_file is not None else None
        self.overlay = overlay
        self.member = member

    def with_lock_file(self, path: str) -> Options:
        """These options with another lock file."""
        return self._with(lock_file=path, member=None)

    def with_python(self, python: str | None) -> Options:
        """These options with this interpreter, if they name none."""
        return self._with(python=self.python or python)

    def alone(self) -> Options:
        """These options without a project: the Python is the one that stands beside the lock file."""
        return Options(offline=self.offline)

    def with_overlay(self, path: str) -> Options:
        """These options with the packages of another lock file on top."""
        return self._with(overlay=path)

    def at_member(self, folder: str | None) -> Options:
        """These options for the workspace member in this folder; None for the root of the workspace."""
        return self._with(member=folder)

    def _with(self, **changed: str | None) -> Options:
        return Options(**(self._values() | changed))

    @property
    def key(self) -> str:
        """The name of these options in a project's record."""
        values = self._values()
        del values["offline"]
        return options_key(**values)

    def _values(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


def options_of_environment(environ: Mapping[str, str]) -> Options:
    """The options that variables ask for: STORECTL_PYTHON, STORECTL_EXTRAS, STORECTL_GROUPS and STORECTL_OFFLINE.

    The lists are split at commas and spaces; STORECTL_OFFLINE is true unless it is empty or ``0``. If one of them is
    not set, UV_PYTHON, UV_OFFLINE or UV_NO_DEFAULT_GROUPS counts.
    """
    offline = environ.get("STORECTL_OFFLINE", "") or ("1" if is_true(environ.get("UV_OFFLINE")) else "")
    return Options(
        python=environ.get("STORECTL_PYTHON") or environ.get("UV_PYTHON") or None,
        extras=_words(environ.get("STORECTL_EXTRAS", "")),
        groups=_words(environ.get("STORECTL_GROUPS", "")),
        default_groups=not is_true(environ.get("UV_NO_DEFAULT_GROUPS")),
        offline=offline not in ("", "0"),
    )


def combined_groups(groups: Sequence[str], only_groups: Sequence[str], ambient: Options) -> tuple[str, ...]:
    """The groups of --group and --only-group; those of the variables if neither is given."""
    return (*groups, *only_groups) or ambient.groups


def is_true(text: str | None) -> bool:
    """Whether the value of a variable means yes; the words are uv's."""
    return (text or "").lower() in ("1", "true", "yes", "on", "y", "t")


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.replace(",", " ").split())
