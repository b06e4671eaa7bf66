"""Digests as lock files state them: sha256, or another strong one that identifies a file until its first fetch."""

from collections.abc import Collection, Mapping

from storectl_store.digest import STRONG_ALGORITHMS, Digest, algorithm_of, parse_strong_digest

STRONG_HINT = (
    "md5 and sha1 prove nothing: lock again with a tool or an index that gives sha256 (sha384, sha512, sha3 and blake2 "
    "do as well)"
)


def strongest(hashes: Mapping[str, str]) -> Digest | None:
    """The digest to know a file by, of several of its own by algorithm.

    It is the sha256 if there is one, otherwise another strong digest; None if none is strong. Raises ValueError if the
    chosen one does not have the digits of its algorithm.
    """
    given = {algorithm.lower(): digits for algorithm, digits in hashes.items()}
    algorithm = next((algorithm for algorithm in STRONG_ALGORITHMS if algorithm in given), None)
    return None if algorithm is None else parse_strong_digest(f"{algorithm}:{given[algorithm]}")


def of_one_file(digests: Collection[Digest]) -> Digest | None:
    """The digest to know one file by, of several that it has.

    None if there are none, or if they belong to several files.
    """
    by_algorithm = {algorithm_of(digest): digest for digest in digests}
    if len(by_algorithm) != len(digests):
        return None
    return next((by_algorithm[algorithm] for algorithm in STRONG_ALGORITHMS if algorithm in by_algorithm), None)
