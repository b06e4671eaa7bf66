"""Digests, prefixes and ids: the prefix addresses an entry, the digest identifies it, the id names an environment.

The store knows every wheel by its sha256. A lock file or an index may know a file by another strong digest alone. Then
storectl computes the sha256 when it first fetches the file (``storectl_daemon.entries.identification``) and uses it
from then on.
"""

import re
from typing import NewType, TypeGuard

Digest = NewType("Digest", str)
"""``<algorithm>:<lower-case hex digits>`` over a file's bytes.

It is a sha256 everywhere except in what was just locked or offered.
"""

Prefix = NewType("Prefix", str)
"""The first 32 hex digits of a digest: an address, never an identity."""

EnvironmentId = NewType("EnvironmentId", str)
"""32 hex digits over all that decides what an environment looks like (``environments.identity``)."""

STRONG_ALGORITHMS = {
    "sha256": 64, "sha512": 128, "sha384": 96, "sha3_512": 128, "sha3_384": 96, "sha3_256": 64,
    "blake2b": 128, "blake2s": 64,
}  # fmt: skip
"""The algorithms of which one match identifies a file, with their number of hex digits.

The names are those of hashlib; the preferred algorithm comes first.
"""

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_HEX = re.compile(r"[0-9a-f]+")
_PREFIX_LENGTH = 32
_ENVIRONMENT_ID = re.compile(r"[0-9a-f]{32}")


def parse_digest(text: str) -> Digest:
    """Parse ``sha256:<64 hex digits>``, in any case, as a digest. Raises ValueError for everything else."""
    lowered = text.lower()
    if not _DIGEST.fullmatch(lowered):
        raise ValueError(f"not a sha256 digest: {text[:80]!r}")
    return Digest(lowered)


def parse_strong_digest(text: str) -> Digest:
    """Parse ``<algorithm>:<hex>``, in any case, as a digest.

    Raises ValueError if the algorithm is not strong, or if the digits are not as many as it has.
    """
    lowered = text.lower()
    if _DIGEST.fullmatch(lowered):
        return Digest(lowered)
    algorithm, _, digits = lowered.partition(":")
    length = STRONG_ALGORITHMS.get(algorithm)
    if length is None:
        raise ValueError(f"{text[:80]!r} is no digest of sha256 or another strong algorithm")
    if length != len(digits) or not _HEX.fullmatch(digits):
        raise ValueError(f"{text[:80]!r} is not a {algorithm} of {length} hex digits")
    return Digest(lowered)


def algorithm_of(digest: Digest) -> str:
    """The algorithm of this digest, as hashlib calls it."""
    return digest.partition(":")[0]


def is_sha256(digest: Digest) -> bool:
    """Whether this is a sha256, by which the store knows a file."""
    return digest.startswith("sha256:")


def digest_of_hex(hexdigest: str) -> Digest:
    """The sha256 digest with these 64 hex digits. Raises ValueError if they are none."""
    return parse_digest(f"sha256:{hexdigest}")


def hex_of(digest: Digest) -> str:
    """The hex digits of this digest, without its algorithm."""
    return digest.partition(":")[2]


def prefix_of(digest: Digest) -> Prefix:
    """The address of the entry with this digest."""
    return Prefix(hex_of(digest)[:_PREFIX_LENGTH])


def is_environment_id(text: str) -> TypeGuard[EnvironmentId]:
    """Whether this text has the form of an id; whether there is such an environment is another question."""
    return _ENVIRONMENT_ID.fullmatch(text) is not None
