"""What a program imports, as far as its text and that of the modules beside it tell: what the daemon compiles first."""

import os
from collections.abc import Sequence
from itertools import chain

from storectl_shim.reach import imported_names, reached

MOST_MODULES = 100
"""Of the program itself that are read."""
MOST_NAMES = 500
_LONGEST_NAME = 255


def imports_of(program: Sequence[str]) -> list[str]:
    """The dotted names that the program imports, in order, itself (``__main__``) first; none if nothing can be told.

    ``program`` is a script, or begins with ``-c`` and code or ``-m`` and the name of a module, as for ``python``.
    """
    if not program:
        return []
    first, *rest = program
    code = _value(first, "c", rest)
    module = _value(first, "m", rest)
    if code is not None:
        names = imported_names(code.encode(errors="replace"), "")
        return _usable([*names, *_beside(os.curdir, names)])
    if module == "":
        return []
    if module is not None:
        names = [module, f"{module}.__main__"]
        return _usable([*names, *_beside(os.curdir, names)])
    folder, script = os.path.split(os.path.realpath(first))
    if os.path.isdir(first):
        folder, script = first, "__main__.py"
    if not os.path.isfile(os.path.join(folder, script)):
        return []
    return _usable(list(chain.from_iterable(reached(folder, [script], most=MOST_MODULES).values())))


def _value(first: str, letter: str, rest: Sequence[str]) -> str | None:
    """The value of ``-c`` or ``-m``, which may stand right behind the letter; None if the argument is another one."""
    if not first.startswith(f"-{letter}"):
        return None
    return first[2:] or (rest[0] if rest else "")


def _beside(folder: str, names: Sequence[str]) -> list[str]:
    """What the modules in the folder that have these names import."""
    paths = [f"{name.replace('.', '/')}{end}" for name in names for end in ("/__init__.py", ".py")]
    local = [path for path in paths if os.path.isfile(os.path.join(folder, path))]
    return list(chain.from_iterable(reached(folder, local, most=MOST_MODULES).values()))


def _usable(names: Sequence[str]) -> list[str]:
    words = (name for name in dict.fromkeys(["__main__", *names]) if len(name) <= _LONGEST_NAME)
    return [name for name in words if all(part.isidentifier() for part in name.split("."))][:MOST_NAMES]
