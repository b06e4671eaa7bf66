"""What changed from one environment, or selection, to another: project by project. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from packaging.utils import NormalizedName

from storectl_store.digest import Digest, algorithm_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One project of an environment or selection. What is None is not known: a version, if only a build tells it.

    ``size`` is that of its files once unpacked, in bytes.
    """

    name: NormalizedName
    version: str | None = None
    digest: Digest | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One project that is not the same. ``before`` is None if it came, ``after`` if it went."""

    name: NormalizedName
    before: Member | None
    after: Member | None


def difference(before: Iterable[Member], after: Iterable[Member]) -> tuple[Change, ...]:
    """Every project that is not the same in both, by name.

    One that has the same version and another wheel counts: it was built again, or comes from another file.
    """
    earlier, later = {member.name: member for member in before}, {member.name: member for member in after}
    return tuple(
        Change(name=name, before=earlier.get(name), after=later.get(name))
        for name in sorted(earlier.keys() | later.keys())
        if not _same(earlier.get(name), later.get(name))
    )


def _same(before: Member | None, after: Member | None) -> bool:
    if before is None or after is None:
        return False
    if before.version is not None and after.version is not None and before.version != after.version:
        return False
    return not (before.digest and after.digest and _comparable(before.digest, after.digest)) or (
        before.digest == after.digest
    )


def _comparable(one: Digest, other: Digest) -> bool:
    return algorithm_of(one) == algorithm_of(other)
