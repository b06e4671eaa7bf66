"""What runs first in every Python process of a build: it notes which variables are looked up.

A line of a ``.pth`` file in the build environment runs it by ``exec``, with ``NOTES`` set to the path of a file. It
appends each name to that file once a process, a line each. It needs nothing but the standard library of Python 3.9.

A name counts even if there is no such variable. A process that goes through all variables, such as to hand them to a
child, looks none of them up. A child that is Python notes its own look-ups.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # ``typing`` must not be imported here unless the build imports it itself
if TYPE_CHECKING:
    from typing import Any


def observe(notes: str) -> None:
    """Note every look-up from now on."""
    environ: Any = type(os.environ)
    plain_getitem, plain_keys = environ.__getitem__, environ.keys
    seen: set[str] = set()
    passing: list[Any] = []

    def values(self: os._Environ[Any]) -> dict[Any, Any]:
        return {name: plain_getitem(self, name) for name in self}

    def noted_getitem(self: os._Environ[Any], name: Any) -> Any:
        if passing and passing[-1] == name:
            passing.pop()
            return plain_getitem(self, name)
        passing.clear()
        text = os.fsdecode(name) if isinstance(name, bytes) else name
        if isinstance(text, str) and text not in seen:
            seen.add(text)
            _append(notes, text)
        return plain_getitem(self, name)

    def passing_keys(self: os._Environ[Any]) -> Any:
        # ``dict(os.environ)`` takes the names first, and then asks for the value of each, in that order.
        passing[:] = list(self)[::-1]
        return plain_keys(self)

    environ.__getitem__ = noted_getitem
    environ.keys = passing_keys
    environ.items = lambda self: values(self).items()
    environ.values = lambda self: values(self).values()
    environ.copy = values


def _append(notes: str, name: str) -> None:
    line = (name + "\n").encode("utf-8", "surrogateescape")
    try:
        descriptor = os.open(notes, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, line)
        finally:
            os.close(descriptor)
    except OSError:
        pass


if "NOTES" in globals():
    observe(globals()["NOTES"])
