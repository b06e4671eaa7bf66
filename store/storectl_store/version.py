"""The version of storectl that is running."""

from functools import cache
from importlib.metadata import PackageNotFoundError, version


@cache
def installed_version() -> str:
    """The version that is installed; ``unknown`` if it runs from a bare source tree."""
    try:
        return version("storectl")
    except PackageNotFoundError:
        return "unknown"
