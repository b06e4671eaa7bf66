"""The extras and groups that were asked for, checked against those that exist."""

from collections.abc import Iterable

from packaging.utils import InvalidName, NormalizedName, canonicalize_name

from storectl_store.errors import TargetError
from storectl_store.selection.target import Target

DEV = NormalizedName("dev")
"""The group that tools install by default and leave out with an option of its own (``--no-dev``)."""


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


def asked_extras(target: Target, known: frozenset[NormalizedName], file: str) -> frozenset[NormalizedName]:
    """The extras that are asked for, without those to be left out. Raises TargetError if one is unknown."""
    extras = known if target.all_extras else canonical_names(target.extras)
    left_out = canonical_names(target.no_extras)
    check_known("extra", extras | left_out, known, file)
    return extras - left_out


def asked_groups(
    target: Target, known: frozenset[NormalizedName], file: str, *, defaults: frozenset[NormalizedName] = frozenset()
) -> frozenset[NormalizedName]:
    """The groups that are asked for and the default ones, without those to be left out.

    Raises TargetError if one is unknown. That there is no group ``dev`` to be left out is no error, as for uv.
    """
    groups = known if target.all_groups else canonical_names(target.groups)
    if target.default_groups:
        groups |= defaults
    left_out = canonical_names(target.no_groups)
    check_known("group", groups | (left_out - {DEV}), known, file)
    return (groups | (known & {DEV} if target.dev else frozenset())) - left_out
