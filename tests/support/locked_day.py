"""The day whose newest versions count for what tests fetch from a registry by themselves: tools, and packages to lock.

``requirements/day.txt`` holds it, in RFC 3339, beside the lock file of what the tests run with. So a test that locks anew, or
installs another tool, has the same versions on any day. ``scripts/test --newest`` sets STORECTL_TESTS_NEWEST instead.
"""

import os
from pathlib import Path

_FILE = Path(__file__).parents[2] / "requirements/day.txt"


def as_of_that_day() -> dict[str, str]:
    """The variable that tells uv; none with STORECTL_TESTS_NEWEST. An index must tell when its files were uploaded."""
    return {} if "STORECTL_TESTS_NEWEST" in os.environ else {"UV_EXCLUDE_NEWER": _FILE.read_text().strip()}
