"""Why a wheel cannot be built, as the worker says it."""


class BuildFailedError(Exception):
    """One sentence for a person, and a hint. ``code`` is that of the problem which the daemon makes of it."""

    def __init__(self, message: str, *, hint: str | None = None, code: str = "E_BUILD") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code
