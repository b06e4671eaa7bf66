"""What can go wrong where an environment is made for, or put into, a running interpreter.

ActivationError       a code, a message, a hint, facts
└── ConflictError     E_CONFLICT: modules are loaded that the environment would bring from elsewhere
ActivationWarning     a conflict that was to be no error

The code is the command line's (E_LOCK…, E_NO_LOCK, …), or E_INTERPRETER (not for this Python), E_COMMAND (no
storectl-python), E_IMPORT_MAP (damaged), E_GIT.
"""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing takes longer than all of this
if TYPE_CHECKING:
    from collections.abc import Sequence

    from storectl_shim.conflicts import Conflict


class ActivationError(Exception):
    """Something a person is told in one line, and what to do in a second.

    ``code`` is stable and machine-readable, ``facts`` holds the values behind the message.
    """

    def __init__(self, message: str, *, code: str, hint: str | None = None, **facts: object) -> None:
        self.code = code
        self.message = message
        self.hint = hint
        self.facts = facts
        super().__init__(f"{code}: {message}" + (f"\nhint: {hint}" if hint else ""))


class ConflictError(ActivationError):
    """Nothing was changed: ``conflicts`` are loaded from elsewhere already."""

    def __init__(self, conflicts: Sequence[Conflict]) -> None:
        self.conflicts = tuple(conflicts)
        super().__init__(
            "; ".join(conflict.text for conflict in conflicts),
            code="E_CONFLICT",
            hint='restart the interpreter (in a notebook: the kernel) and activate first; or on_conflict="warn"',
            modules=[module for conflict in conflicts for module in conflict.modules],
        )


class ActivationWarning(UserWarning):
    """A loaded module is not the environment's; it stays as it is until the interpreter is restarted."""
