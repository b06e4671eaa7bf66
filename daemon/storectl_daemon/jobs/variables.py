"""The variables that count for a project: those of the command that asked last, in memory only.

The daemon's own variables do not count: another shell, or a service manager, may have started it. Commands' variables
are never written to a disk or a log, because they may hold passwords.
"""

import os
import sys
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

_MOST_PROJECTS = 512
_DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"


class KnownVariables:
    """The variables that commands sent, by project.

    ``home`` is the home folder of the daemon's user. It is used for a project that no command asked for.
    """

    def __init__(self, home: str | None) -> None:
        self._home = home
        self._sent: OrderedDict[Path, Mapping[str, str]] = OrderedDict()

    def note(self, project: Path, environ: Mapping[str, str]) -> Mapping[str, str]:
        """Remember what a command sent for the project. Returns the same variables, to be kept with its job."""
        # Interned: a few shells ask for hundreds of projects, and their values are mostly equal.
        sent = MappingProxyType({sys.intern(name): sys.intern(value) for name, value in environ.items()})
        self._sent[project] = sent
        self._sent.move_to_end(project)
        if len(self._sent) > _MOST_PROJECTS:
            self._sent.popitem(last=False)
        return sent

    def of(self, project: Path, *, python: str | None = None) -> Mapping[str, str]:
        """The variables of the last command; without one, HOME and a PATH.

        ``python`` is the interpreter of the project's environment. Without a command it comes first on that PATH.
        """
        if project in self._sent:
            return self._sent[project]
        path = f"{os.path.dirname(python)}:{_DEFAULT_PATH}" if python else _DEFAULT_PATH
        return MappingProxyType({"PATH": path} | ({"HOME": self._home} if self._home else {}))

    def sent(self, project: Path) -> Mapping[str, str] | None:
        """The variables that the last command sent for the project; None if no command sent any."""
        return self._sent.get(project)

    def forget(self, project: Path) -> None:
        """Drop what was sent for the project."""
        self._sent.pop(project, None)
