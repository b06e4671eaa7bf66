"""Sealed files: the last line is a digest of all bytes before it, so that a reader notices damage that still parses.

    <content>
    sha256 <64 hex digits>

A file from before there were seals has no such line. Its own format says whether it may lack one.
"""

import hashlib
import re

_SEAL = re.compile(rb"sha256 ([0-9a-f]{64})\n")
_SEAL_LENGTH = len("sha256 ") + 64 + 1


class BrokenSealError(ValueError):
    """The content is not what was sealed."""


def sealed(content: bytes) -> bytes:
    """The content with its seal. Text should end with a newline, so that the seal is a line of its own."""
    return content + b"sha256 %s\n" % hashlib.sha256(content).hexdigest().encode()


def opened(data: bytes) -> tuple[bytes, bool]:
    """The content, and whether it had a seal. Raises BrokenSealError if it had a seal that does not fit."""
    content, seal = data[:-_SEAL_LENGTH], _SEAL.fullmatch(data[-_SEAL_LENGTH:])
    if seal is None:
        return data, False
    if hashlib.sha256(content).hexdigest().encode() != seal[1]:
        raise BrokenSealError("its content is not what was sealed")
    return content, True
