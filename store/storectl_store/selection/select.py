"""Lock file x target -> selection. A pure function: equal inputs give equal selections, and nothing else is read."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from storectl_store.selection.lock_file import LockFile, LockKind
from storectl_store.selection.pdm_selection import select_from_pdm_lock
from storectl_store.selection.pin import Selection
from storectl_store.selection.pipfile_selection import select_from_pipfile_lock
from storectl_store.selection.poetry_selection import select_from_poetry_lock
from storectl_store.selection.pylock import select_from_pylock
from storectl_store.selection.requirements_file import select_from_requirements
from storectl_store.selection.target import Target
from storectl_store.selection.uv_selection import select_from_uv_lock

Selector = Callable[[LockFile, Target], Selection]

SELECTORS: Mapping[LockKind, Selector] = MappingProxyType(
    {
        "uv": select_from_uv_lock,
        "pylock": select_from_pylock,
        "poetry": select_from_poetry_lock,
        "pdm": select_from_pdm_lock,
        "pipfile": select_from_pipfile_lock,
        "requirements": select_from_requirements,
    }
)
"""One function a kind: a further format is one more module, one more name in `lock_file` and one more line here."""


def select(lock_file: LockFile, target: Target) -> Selection:
    """What the lock file selects for the target; a SelectionError of some kind where it selects nothing usable."""
    return SELECTORS[lock_file.kind](lock_file, target)
