"""The Python for what belongs to no project: the daemon chooses it, as it also finds those of pyenv and uv."""

from __future__ import annotations

import os

from storectl.errors import DaemonProblemError
from storectl.options import is_true
from storectl_shim.project_record import absolute_interpreter

TYPE_CHECKING = False  # typing and collections.abc take longer to import than all of `run`
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import TypeVar

    Answer = TypeVar("Answer")

PIN = ".python-version"

PYTHONS = ("python3", "python")
"""The names of Pythons on PATH that count, the preferred one first."""

LAUNCHER = "storectl"
"""The name of the launcher, to which names of Pythons may lead (`storectl shim`): it would start storectl again."""


class ChosenPython:
    """One interpreter. ``version`` is at least its feature version.

    ``executable`` is its path, or None if any interpreter of that version will do.
    """

    __slots__ = ("executable", "version")

    def __init__(self, *, version: str, executable: str | None = None) -> None:
        self.version = version
        self.executable = executable

    @property
    def feature_version(self) -> str:
        """``3.12`` of ``3.12.1``."""
        return ".".join(self.version.split(".")[:2])

    @property
    def pin(self) -> dict[str, str]:
        """The file, by its name, that ties a folder to this interpreter; empty if any of the version will do."""
        return {PIN: f"{self.executable}\n"} if self.executable else {}


def chosen_python(
    python: str | None, environ: Mapping[str, str], *, pinned: str | None = None, offline: bool = False
) -> ChosenPython:
    """The interpreter for ``python`` (such as 3.12, or a path), else for ``pinned``, else the first on PATH.

    ``pinned`` is the content of a ``.python-version``. DaemonProblemError (E_TARGET) if there is no such interpreter,
    and uv or pyenv does not install it.
    """
    from storectl.daemon.start import ensure_daemon  # noqa: PLC0415 - for the first run only

    daemon = ensure_daemon(environ)
    asked = absolute_interpreter(python) if python else None
    if offline or is_true(environ.get("UV_OFFLINE")):
        return daemon.interpreter(asked, pinned)
    return with_python(lambda: daemon.interpreter(asked, pinned), os.getcwd(), environ)


def with_python(ask: Callable[[], Answer], folder: str, environ: Mapping[str, str]) -> Answer:
    """What ``ask`` returns. If no interpreter is there for it, one is installed if that may be, and it is asked again.

    ``folder`` is the project's, or the current one: its settings count.
    """
    try:
        return ask()
    except DaemonProblemError as error:
        missing = error.facts.get("missing_python")
        if not isinstance(missing, str):
            raise
        from storectl.daemon.missing_python import install_python  # noqa: PLC0415 - an error pays for it

        if not install_python(missing, folder, environ):
            raise
    return ask()


def pinned_in(folder: str) -> str | None:
    """The content of the ``.python-version`` in a folder of storectl's own; None without one."""
    try:
        with open(os.path.join(folder, PIN), encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return None


def pinned_at(folder: str, environ: Mapping[str, str]) -> str | None:
    """The content of the nearest ``.python-version`` at or above this folder, no further up than HOME; as for `uv run`.

    A file of another user does not count: any user can put one into a folder that all may write to.
    """
    for each in upward(os.path.realpath(folder), environ.get("HOME")):
        path = os.path.join(each, PIN)
        try:
            if os.stat(path).st_uid not in (os.geteuid(), 0):
                return None
            with open(path, encoding="utf-8") as file:
                return file.read(4096)
        except (OSError, ValueError):
            continue
    return None


def first_on_path(environ: Mapping[str, str]) -> str:
    """The path, without links, of the first Python on PATH, by which a change of it is seen; empty if there is none."""
    for folder in environ.get("PATH", os.defpath).split(os.pathsep):
        for name in PYTHONS:
            path = os.path.join(folder, name)
            real = os.path.realpath(path)
            if os.path.isfile(path) and os.access(path, os.X_OK) and os.path.basename(real) != LAUNCHER:
                return real
    return ""


def upward(folder: str, home: str | None) -> Iterator[str]:
    """The folder and all above it, no further up than ``home``."""
    last = os.path.realpath(home) if home else None
    while True:
        yield folder
        parent = os.path.dirname(folder)
        if folder in (last, parent):
            return
        folder = parent
