"""The extras and groups that were asked for, checked against those that exist."""

from collections.abc import Iterable

from packaging.utils import InvalidName, NormalizedName, canonicalize_name

from storectl_store.errors import TargetError


def canonical_names(names: Iterable[str]) -> frozenset[NormalizedName]:
    """Names of extras or groups, normalised. Raises TargetError if one is no valid name."""
    try:
        return frozenset(canonicalize_name(name, validate=True) for name in names)
    except InvalidName as error:
        raise TargetError(f"not the name of an extra or group: {error}") from error


def check_known(kind: str, asked: frozenset[NormalizedName], known: frozenset[NormalizedName], file: str) -> None:
    """Raise TargetError if an extra or group was asked for that the lock file does not know.

    ``kind`` is the word for it in the message; ``file`` is the lock file.
    """
    unknown = sorted(asked - known)
    if unknown:
        listed = ", ".join(f"`{name}`" for name in sorted(known)) or "none"
        raise TargetError(
            f"{file} has no {kind} {', '.join(f'`{name}`' for name in unknown)}",
            hint=f"known {kind}s: {listed}",
            path=file,
            unknown=unknown,
            known=sorted(known),
        )
