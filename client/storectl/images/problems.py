"""Errors of the store as those of the command line: images are read and written without the daemon."""

from __future__ import annotations

from contextlib import contextmanager

from storectl.errors import ImageProblemError
from storectl_store.errors import ProblemError

TYPE_CHECKING = False  # typing and collections.abc take longer to import than all of this
if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def image_problems() -> Iterator[None]:
    """Raise an error of the store in the block as ImageProblemError, with its code and hint."""
    try:
        yield
    except ProblemError as error:
        raise ImageProblemError(error.message, code=error.code, hint=error.hint, **error.facts) from error
