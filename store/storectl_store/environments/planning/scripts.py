"""Scripts in ``bin/``: the script for each entry point, and the first line that finds the view's interpreter.

The text is that of uv, which does what pip's does (the name without ``-script.pyw`` or ``.exe``) without importing
``re``. Some first lines the kernel cannot use: those longer than 127 bytes with their newline (``BINPRM_BUF_SIZE`` of
Linux before 5.1), or with a space in the path. They become the polyglot of distlib: ``sh`` sees an ``exec``, Python
sees a string.
"""

import os
import re

from storectl_store.environments.planning.tree import SmallFile
from storectl_store.errors import EnvironmentBuildError
from storectl_store.wheel.checked import EntryPoint

PYTHON_SHEBANG = b"#!python"
"""The first bytes of a wheel's script whose first line is to name the interpreter; ``#!pythonw`` begins so too."""

RELOCATABLE_SHEBANG = b"""#!/bin/sh
'''exec' "$(dirname -- "$(realpath -- "$0")")"/'python' "$0" "$@"
' '''
"""
"""The first lines of a script that finds the Python beside itself; they are those of ``uv venv --relocatable``."""

_LONGEST_SHEBANG = 127
_UNQUOTABLE = re.compile(r"[\"'$`\\\n\r]")
_WRAPPER_SUFFIXES = (".exe", "-script.py", ".pya")

_TEXT = """\
# -*- coding: utf-8 -*-
import sys
from {module} import {name}
if __name__ == "__main__":
    if sys.argv[0].endswith("-script.pyw"):
        sys.argv[0] = sys.argv[0][:-11]
    elif sys.argv[0].endswith(".exe"):
        sys.argv[0] = sys.argv[0][:-4]
    sys.exit({call}())
"""


def shebang(python: str) -> bytes:
    """The first line or lines of a script beside the interpreter at this absolute path, which they name if they can."""
    line = b"#!" + os.fsencode(python) + b"\n"
    if len(line) <= _LONGEST_SHEBANG and not re.search(r"\s", python):
        return line
    if _UNQUOTABLE.search(python):
        return RELOCATABLE_SHEBANG
    return b"#!/bin/sh\n'''exec' \"" + os.fsencode(python) + b'" "$0" "$@"\n\' \'\'\'\n'


def entry_point_script(entry_point: EntryPoint, python: str) -> SmallFile:
    """The executable file of a console or gui script.

    Raises EnvironmentBuildError if its name cannot be a file name.
    """
    name = entry_point.name
    if "/" in name or "\0" in name or name in {"", ".", ".."}:
        raise EnvironmentBuildError(f"{name!r} cannot be the name of a script", entry_point=name)
    text = _TEXT.format(
        module=entry_point.module, name=entry_point.attribute.partition(".")[0], call=entry_point.attribute
    )
    return SmallFile(path=f"bin/{name}", content=shebang(python) + text.encode(), executable=True)


def is_wrapper(script: str, entry_points: frozenset[str]) -> bool:
    """Whether a script of a wheel is what an old setuptools generated for one of these entry points.

    Then our own script for the entry point replaces it, as in pip (``operations/install/wheel.py``,
    ``is_entrypoint_wrapper``).
    """
    for suffix in _WRAPPER_SUFFIXES:
        if script.lower().endswith(suffix):
            return script[: -len(suffix)] in entry_points
    return script in entry_points


def with_own_shebang(script: bytes, python: str) -> bytes:
    """A script that begins with ``#!python``, its whole first line replaced as in pip: arguments are dropped."""
    _, _, rest = script.partition(b"\n")
    return shebang(python) + rest
