"""The options of a warm, and the job that they make together with a project."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

from storectl_daemon.models import OptionsModel
from storectl_shim.project_record import options_key
from storectl_store.selection.asked import target_of
from storectl_store.selection.target import Interpreter, Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of ``storectl run`` that decide which environment is meant.

    ``groups`` are asked for in addition to the default groups of the project, or instead of them if ``default_groups``
    is false, every group with ``all_groups``, and ``dev`` if there is one. ``only_groups`` leaves out the project
    itself, what it depends on, and the default groups. ``no_extras`` and ``no_groups`` are left out whatever asks for
    them. ``lock_file`` is an absolute path, or None for the one that is found in the project. ``overlay`` is the
    absolute path of a lock file whose packages are added; a package that both lock files select is taken from the
    project's own. ``member`` is the absolute folder of the workspace member that is meant instead of the root,
    ``all_packages`` means all of them.
    """

    python: str | None = None
    extras: frozenset[str] = frozenset()
    all_extras: bool = False
    no_extras: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    all_groups: bool = False
    no_groups: frozenset[str] = frozenset()
    dev: bool = False
    default_groups: bool = True
    only_groups: bool = False
    lock_file: str | None = None
    further_lock_files: tuple[str, ...] = ()
    overlay: str | None = None
    member: str | None = None
    all_packages: bool = False

    @property
    def key(self) -> str:
        """The name of these options in a project record; ``default`` for none."""
        return options_key(**self.encode())

    def target(self, interpreter: Interpreter) -> Target:
        """The target: these options on this interpreter."""
        return target_of(self.encode(), interpreter)

    def encode(self) -> dict[str, Any]:
        """As JSON values; ``decode`` is the inverse."""
        return {
            "python": self.python,
            "extras": sorted(self.extras),
            "all_extras": self.all_extras,
            "groups": sorted(self.groups),
            "default_groups": self.default_groups,
            "only_groups": self.only_groups,
            "lock_file": self.lock_file,
            "overlay": self.overlay,
            "member": self.member,
            **self._rarer(),
        }

    @classmethod
    def decode(cls, value: dict[str, Any]) -> Self:
        """Options from JSON values. Raises KeyError or TypeError if these are no options."""
        return cls(
            python=value["python"],
            extras=frozenset(value["extras"]),
            all_extras=bool(value["all_extras"]),
            groups=frozenset(value["groups"]),
            default_groups=bool(value["default_groups"]),
            only_groups=bool(value["only_groups"]),
            lock_file=value["lock_file"],
            overlay=value.get("overlay"),
            member=value.get("member"),
            no_extras=frozenset(value.get("no_extras", ())),
            all_groups=bool(value.get("all_groups")),
            no_groups=frozenset(value.get("no_groups", ())),
            dev=bool(value.get("dev")),
            all_packages=bool(value.get("all_packages")),
            further_lock_files=tuple(value.get("further_lock_files", ())),
        )

    def _rarer(self) -> dict[str, Any]:
        """Options that earlier versions did not write: only those that are set, so that they can read the others."""
        values = {
            "no_extras": sorted(self.no_extras),
            "all_groups": self.all_groups,
            "no_groups": sorted(self.no_groups),
            "dev": self.dev,
            "all_packages": self.all_packages,
            "further_lock_files": list(self.further_lock_files),
        }
        return {name: value for name, value in values.items() if value}


DEFAULT_OPTIONS = Options()


def moved_options(options: Options, before: Path, now: Path) -> Options:
    """The options of a project that was in the folder ``before`` and is in ``now``: paths inside of it move along."""

    def moved(path: str | None) -> str | None:
        inside = path is not None and f"{path}/".startswith(f"{before}/")
        return f"{now}{path[len(str(before)) :]}" if path is not None and inside else path

    further = tuple(moved(path) or path for path in options.further_lock_files)
    return replace(
        options, member=moved(options.member), lock_file=moved(options.lock_file), further_lock_files=further
    )


def options_of(request: OptionsModel) -> Options:
    """The options in a request."""
    return Options(
        python=request.python,
        extras=frozenset(request.extras),
        all_extras=request.all_extras,
        no_extras=frozenset(request.no_extras),
        groups=frozenset(request.groups),
        all_groups=request.all_groups,
        no_groups=frozenset(request.no_groups),
        dev=request.dev,
        default_groups=request.default_groups,
        only_groups=request.only_groups,
        lock_file=request.lock_file,
        further_lock_files=request.further_lock_files,
        overlay=request.overlay,
        member=request.member,
        all_packages=request.all_packages,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One environment that is wanted: a project, as an absolute folder free of symlinks, and options.

    With ``offline`` the job does not use the network; a missing file is an error instead. ``environ`` are the variables
    of the command that wants the environment. They may hold passwords: they are never shown or written. Jobs that
    differ only in them are equal.
    """

    project: Path
    options: Options = DEFAULT_OPTIONS
    offline: bool = False
    environ: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), compare=False, repr=False)
