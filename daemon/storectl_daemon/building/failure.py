"""The reason why a wheel cannot be built, as the worker states it."""


class BuildFailedError(Exception):
    """One sentence for a person, and a hint. ``code`` is the code of the problem that the daemon makes of it."""

    def __init__(self, message: str, *, hint: str | None = None, code: str = "E_BUILD") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code
