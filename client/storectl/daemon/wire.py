"""Paths and variables as the API has them, whatever the locale of this process: they go over the socket as bytes."""

import os
from collections.abc import Mapping
from typing import overload

from storectl.errors import EnvironSizeError
from storectl_shim.wire_text import decode_text, encode_text

LARGEST_ENVIRON = 768 << 10
"""Bytes of all names and values: the daemon takes requests of 1 MiB."""


@overload
def path_on_wire(path: str) -> str: ...
@overload
def path_on_wire(path: None) -> None: ...
def path_on_wire(path: str | None) -> str | None:
    """The path as the daemon is told it; an absent one stays absent."""
    return path if path is None else encode_text(_utf8(path))


@overload
def path_from_wire(path: str) -> str: ...
@overload
def path_from_wire(path: None) -> None: ...
def path_from_wire(path: str | None) -> str | None:
    """A path in an answer, as this process has paths; ValueError if it is none."""
    return path if path is None else os.fsdecode(decode_text(path).encode("utf-8", "surrogateescape"))


def variables_on_wire(environ: Mapping[str, str]) -> dict[str, str]:
    """All variables of a command; EnvironSizeError if they are too many to be sent."""
    sent = {encode_text(_utf8(name)): encode_text(_utf8(value)) for name, value in environ.items() if name}
    sizes = {name: len(name.encode()) + len(value.encode()) for name, value in sent.items()}
    total = sum(sizes.values())
    if total > LARGEST_ENVIRON:
        largest = max(sizes, key=sizes.__getitem__)
        raise EnvironSizeError(
            f"the environment variables take {total} bytes, more than {LARGEST_ENVIRON}, {largest} alone {sizes[largest]}",
            hint=f"unset {largest} for this command: env -u {largest} storectl …",
        )
    return sent


def _utf8(text: str) -> str:
    """The text of the same bytes under UTF-8: this process may run under another locale."""
    return os.fsencode(text).decode("utf-8", "surrogateescape")
