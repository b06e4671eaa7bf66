"""Paths and variables in the form that the API has them: as bytes, whatever the locale of this process."""

import os
from collections.abc import Mapping
from typing import Any, overload

from storectl.errors import EnvironSizeError
from storectl_shim.wire_text import decode_text, encode_text

LARGEST_ENVIRON = 768 << 10
"""The most bytes of all names and values: the daemon takes requests of 1 MiB."""


@overload
def path_on_wire(path: str) -> str: ...
@overload
def path_on_wire(path: None) -> None: ...
def path_on_wire(path: str | None) -> str | None:
    """The path in the form that the daemon is sent; None stays None."""
    return path if path is None else encode_text(_utf8(path))


@overload
def path_from_wire(path: str) -> str: ...
@overload
def path_from_wire(path: None) -> None: ...
def path_from_wire(path: str | None) -> str | None:
    """A path from an answer, in the form that this process uses; ValueError if it is not one."""
    return path if path is None else os.fsdecode(decode_text(path).encode("utf-8", "surrogateescape"))


def decoded(value: Any) -> Any:
    """The value, JSON of an answer, with every text in it in the form that this process uses."""
    if isinstance(value, dict):
        return {name: decoded(each) for name, each in value.items()}
    if isinstance(value, list):
        return [decoded(each) for each in value]
    return path_from_wire(value) if isinstance(value, str) else value


def variables_on_wire(environ: Mapping[str, str]) -> dict[str, str]:
    """All variables of a command; EnvironSizeError if they are too large to be sent."""
    sent = {encode_text(_utf8(name)): encode_text(_utf8(value)) for name, value in environ.items() if name}
    sizes = {name: len(name.encode()) + len(value.encode()) for name, value in sent.items()}
    total = sum(sizes.values())
    if total > LARGEST_ENVIRON:
        largest = max(sizes, key=sizes.__getitem__)
        raise EnvironSizeError(
            f"the environment variables take {total} bytes, more than {LARGEST_ENVIRON}, "
            f"{largest} alone {sizes[largest]}",
            hint=f"unset {largest} for this command: env -u {largest} storectl …",
        )
    return sent


def _utf8(text: str) -> str:
    """The text with the same bytes under UTF-8: this process may run under another locale."""
    return os.fsencode(text).decode("utf-8", "surrogateescape")
