"""What can go wrong when an environment is made for a running interpreter, or put into it.

ActivationError       a code, a message, a hint, facts
└── ConflictError     E_CONFLICT: modules are loaded that would come from elsewhere in the environment
ActivationWarning     a conflict, with on_conflict="warn"

The code is the command line's (E_LOCK…, E_NO_LOCK, …), or E_INTERPRETER (not for this Python), E_COMMAND (no
storectl-python), E_IMPORT_MAP (damaged), E_GIT.
"""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing takes longer than all of this
if TYPE_CHECKING:
    from collections.abc import Sequence

    from storectl_shim.conflicts import Conflict


class ActivationError(Exception):
    """An error that is told in one line, with a second one that says what to do.

    ``code`` is stable, for scripts; ``facts`` holds the values behind the message.
    """

    def __init__(self, message: str, *, code: str, hint: str | None = None, **facts: object) -> None:
        self.code = code
        self.message = message
        self.hint = hint
        self.facts = facts
        super().__init__(f"{code}: {message}" + (f"\nhint: {hint}" if hint else ""))


class ConflictError(ActivationError):
    """The modules in ``conflicts`` are loaded already, from elsewhere. Nothing was changed."""

    def __init__(self, conflicts: Sequence[Conflict]) -> None:
        self.conflicts = tuple(conflicts)
        super().__init__(
            "; ".join(conflict.text for conflict in conflicts),
            code="E_CONFLICT",
            hint='restart the interpreter (in a notebook: the kernel) and activate first; or on_conflict="warn"',
            modules=[module for conflict in conflicts for module in conflict.modules],
        )


class ActivationWarning(UserWarning):
    """A loaded module is not the environment's. It stays until the interpreter is restarted."""
