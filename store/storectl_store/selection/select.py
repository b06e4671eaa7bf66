"""Lock file x target -> selection. A pure function: equal inputs give equal selections, and nothing else is read."""

from collections.abc import Callable, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING

from storectl_store.selection.lock_file import LockFile, LockKind
from storectl_store.selection.pin import Selection
from storectl_store.selection.target import Target

if TYPE_CHECKING:
    from storectl_store.selection.uv.known_packages import KnownPackages

Selector = Callable[[LockFile, Target], Selection]

SELECTORS: Mapping[LockKind, str] = MappingProxyType(
    {
        "uv": "uv.selection.select_from_uv_lock",
        "pylock": "pylock.selection.select_from_pylock",
        "poetry": "poetry.selection.select_from_poetry_lock",
        "pdm": "pdm.selection.select_from_pdm_lock",
        "pipfile": "pipfile.selection.select_from_pipfile_lock",
        "requirements": "requirements.file.select_from_requirements",
    }
)
"""One function for each kind. A further format is one more module, one more name in `lock_file` and one more line here.

A module is loaded when there is a file of its kind, so mostly one of them is: to load all takes as long as to unpack a
small project.
"""


def select(lock_file: LockFile, target: Target, known: "KnownPackages | None" = None) -> Selection:
    """What the lock file selects for the target. Raises a SelectionError if it selects nothing usable.

    ``known`` are packages of earlier lock files, and becomes those of this one too. It saves time and changes nothing.
    """
    if known is not None and lock_file.kind == "uv":
        from storectl_store.selection.uv.selection import select_from_uv_lock  # noqa: PLC0415 - one room is loaded

        return select_from_uv_lock(lock_file, target, known)
    return selector_of(lock_file.kind)(lock_file, target)


def selector_of(kind: LockKind) -> Selector:
    """The function that selects from lock files of this kind."""
    module, _, name = SELECTORS[kind].rpartition(".")
    selector: Selector = getattr(import_module(f"{__package__}.{module}"), name)
    return selector
