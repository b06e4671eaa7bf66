r"""Paths and variables as text in the JSON of the API: a byte that is not UTF-8 becomes NUL and its two hex digits.

Neither a path nor a variable can hold a NUL, so that all UTF-8 stays as it is: ``b"/caf\xe9"`` is ``"/caf\0e9"``,
written ``"/caf\u0000e9"`` in JSON. Inside a process such a byte is a lone surrogate (PEP 383), as ``os.fsdecode``
makes it on a UTF-8 file system.
"""

import re

_ESCAPED = re.compile(rb"\0([89a-f][0-9a-f])")


def encode_text(text: str) -> str:
    """The text as it is sent; UnicodeEncodeError for a surrogate that stands for no byte."""
    if text.isascii():
        return text
    return "".join(map(_character, text.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")))


def decode_text(wire: str) -> str:
    """The text that ``encode_text`` was given; ValueError for a NUL without two hex digits after it."""
    if "\0" not in wire:
        return wire
    data = _ESCAPED.sub(lambda found: bytes.fromhex(found[1].decode("ascii")), wire.encode("utf-8"))
    if b"\0" in data:
        raise ValueError("holds a NUL that stands for no byte")
    return data.decode("utf-8", "surrogateescape")


def _character(character: str) -> str:
    return f"\0{ord(character) - 0xDC00:02x}" if "\udc80" <= character <= "\udcff" else character
