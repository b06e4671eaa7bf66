"""Digests and prefixes: the prefix addresses an entry, the digest identifies it."""

import re
from typing import NewType

Digest = NewType("Digest", str)
"""``sha256:`` and 64 lower-case hex digits, over a wheel's bytes."""

Prefix = NewType("Prefix", str)
"""The first 32 hex digits of a digest: an address, never an identity."""

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_PREFIX_LENGTH = 32


def parse_digest(text: str) -> Digest:
    """``sha256:<hex>`` in any case as a digest; ValueError for everything else."""
    lowered = text.lower()
    if not _DIGEST.fullmatch(lowered):
        raise ValueError(f"not a sha256 digest: {text[:80]!r}")
    return Digest(lowered)


def digest_of_hex(hexdigest: str) -> Digest:
    """The digest with these 64 hex digits."""
    return parse_digest(f"sha256:{hexdigest}")


def hex_of(digest: Digest) -> str:
    """The 64 hex digits."""
    return digest.removeprefix("sha256:")


def prefix_of(digest: Digest) -> Prefix:
    """The address of the entry with this digest."""
    return Prefix(hex_of(digest)[:_PREFIX_LENGTH])
