"""The variables that count for storectl's own processes: they say where its folders are. All others are a command's."""

import os
from collections.abc import Mapping

_OWN = ("XDG_", "STORECTL_")
SHARED_LIBRARIES = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH")
"""An interpreter that was built with a shared library may not start without them."""

_NEEDED = frozenset({"HOME", *SHARED_LIBRARIES})

PASSED = "STORECTL_PASSED"
"""What the launcher looks at if it is called as a Python: this process and how far it has looked on PATH, or `skip`."""

PLAIN_PYTHONS = {PASSED: "skip"}
"""With this, `python` of `storectl shim` is the next one on PATH, in projects too. For what makes the environment of a
project (lockers, builds): it would wait for itself."""


def own_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that a daemon gets: HOME, XDG_*, STORECTL_*, and the folders of shared libraries.

    A relative STORECTL_STORE is made absolute: a daemon runs in another folder.
    """
    own = {name: value for name, value in environ.items() if name.startswith(_OWN) or name in _NEEDED}
    if own.get("STORECTL_STORE"):
        own["STORECTL_STORE"] = os.path.abspath(own["STORECTL_STORE"])
    return own
