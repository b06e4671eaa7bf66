"""What was asked for: the options of a warm, and the job they make together with a project."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from storectl_shim.project_record import options_key


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of ``storectl run`` that decide which environment is meant.

    ``groups`` are asked for in addition to the default groups of the project, or instead of them where
    ``default_groups`` is false. ``lock_file`` is an absolute path, None for the one that is found in the project.
    """

    python: str | None = None
    extras: frozenset[str] = frozenset()
    groups: frozenset[str] | None = None
    default_groups: bool = True
    lock_file: str | None = None

    @property
    def key(self) -> str:
        """The name of these options in a project record; ``default`` for none."""
        return options_key(
            python=self.python,
            extras=sorted(self.extras),
            groups=sorted(self.groups or ()),
            default_groups=self.default_groups,
            lock_file=self.lock_file,
        )

    def encode(self) -> dict[str, Any]:
        """As JSON values; ``decode`` is the inverse."""
        return {
            "python": self.python,
            "extras": sorted(self.extras),
            "groups": None if self.groups is None else sorted(self.groups),
            "default_groups": self.default_groups,
            "lock_file": self.lock_file,
        }

    @classmethod
    def decode(cls, value: dict[str, Any]) -> Self:
        """Options from JSON values; KeyError or TypeError where they are none."""
        groups = value["groups"]
        return cls(
            python=value["python"],
            extras=frozenset(value["extras"]),
            groups=None if groups is None else frozenset(groups),
            default_groups=bool(value["default_groups"]),
            lock_file=value["lock_file"],
        )


DEFAULT_OPTIONS = Options()


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One environment that somebody wants: a project, an absolute folder free of symlinks, and options."""

    project: Path
    options: Options = DEFAULT_OPTIONS
