"""Step 1: the bytes are those that were locked. It comes before anything in them is believed."""

import hashlib
from mmap import mmap

from storectl_store.digest import STRONG_ALGORITHMS, Digest, hex_of
from storectl_store.wheel.checked import Expectation
from storectl_store.wheel.refusal import Code, refused, shown


def verify_digests(data: mmap | bytes, expectation: Expectation, *, verified: Digest | None = None) -> None:
    """Raise E_HASH unless the size and every strong digest of the expectation match.

    ``verified`` is the sha256 that the caller has itself computed over these very bytes, as they came in. It is
    compared as if it had been computed here, so that the bytes are not hashed a second time. Never pass a digest that
    was not computed from the bytes. E_HASH is also raised if the expectation has no strong digest.
    """
    _verify_size(len(data), expectation.size)
    strong = {name.lower(): value.lower() for name, value in expectation.digests.items()}
    strong = {name: value for name, value in strong.items() if name in STRONG_ALGORITHMS}
    if not strong:
        given = ", ".join(sorted(expectation.digests)) or "none"
        raise refused(Code.HASH, f"no strong digest is locked (given: {shown(given)}), expected sha256 or better")
    for algorithm, expected in strong.items():
        _verify_digest(algorithm, expected, _hexdigest(data, algorithm, verified))


def _verify_size(actual: int, expected: int | None) -> None:
    if expected is not None and actual != expected:
        raise refused(Code.HASH, f"the file has {actual} bytes, the lock file says {expected}")


def _hexdigest(data: mmap | bytes, algorithm: str, verified: Digest | None) -> str:
    if verified is not None and algorithm == "sha256":
        return hex_of(verified)
    return hashlib.new(algorithm, data, usedforsecurity=True).hexdigest()


def _verify_digest(algorithm: str, expected: str, actual: str) -> None:
    if actual != expected:
        raise refused(Code.HASH, f"its {algorithm} is {actual}, the lock file says {shown(expected)}")
