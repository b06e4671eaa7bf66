"""Files that a package writes into site-packages while it runs; the environment has them from the beginning.

An environment is shared and read-only, so that such a write fails. coverage 7.10.3 to 7.12 is the known case. For
``patch = subprocess`` it writes ``subcover_<pid>.pth``, which starts it in each Python that inherits
COVERAGE_PROCESS_CONFIG. If it cannot, it says nothing, and measures no child. From 7.13 on its wheel brings that file
(``a1_coverage.pth``). (7.10.0 to 7.10.2 end with an AssertionError if they cannot write theirs.)
"""

from collections.abc import Iterable, Iterator

from packaging.version import Version

from storectl_store.environments.outlines.outline import Outline
from storectl_store.environments.planning.tree import SmallFile

_OLDEST, _FIXED = Version("7.10.3"), Version("7.13")

COVERAGE_START = "_storectl_coverage.pth"
"""It sorts after ``_storectl.pth``, so that coverage is imported by the map."""

_STARTS_COVERAGE = b"""\
import os; exec("try:\\n import coverage\\nexcept:\\n pass\\nelse:\\n coverage.process_startup()") \
if os.getenv("COVERAGE_PROCESS_CONFIG") else None
"""


def runtime_files(entries: Iterable[Outline], folder: str) -> Iterator[SmallFile]:
    """Those files for these entries, below ``folder``, which is site-packages."""
    for entry in entries:
        if entry.name == "coverage" and _OLDEST <= Version(entry.version) < _FIXED:
            yield SmallFile(path=f"{folder}/{COVERAGE_START}", content=_STARTS_COVERAGE)
