"""Whether constraints, overrides and excludes of ``[tool.uv]`` differ from those that a ``uv.lock`` records.

uv locks again only if together they mean another thing for the lock file (tried with uv 0.13.9):

- a new one that names a package that is not in the lock file changes nothing, and is not recorded either;
- constraints of one name count by what they allow together on the Pythons of the lock file: one without a version, or
  one that another implies, or one for an older Python, changes nothing. Their extras do not count;
- one that is recorded still has to be there, whether the package is in the lock file or not.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from packaging.utils import NormalizedName

from storectl_store.selection.uv.requirements import SUBTLE, UvRequirement, by_name, differing
from storectl_store.selection.version_bounds import allow_the_same


@dataclass(frozen=True, slots=True, kw_only=True)
class Locked:
    """What is compared against: the ``names`` in the lock file, and its ``requires_python``, empty for any."""

    names: Collection[NormalizedName]
    requires_python: str = ""


def changed_constraint(
    before: Sequence[UvRequirement], after: Sequence[UvRequirement], locked: Locked
) -> NormalizedName | None:
    """The first name whose constraints no longer allow what they did; None if there is none."""
    ours, theirs = by_name(before), by_name(after)
    names = sorted({*ours, *(name for name in theirs if name in locked.names)})
    return next((name for name in names if _differ(ours.get(name, []), theirs.get(name, []), locked)), None)


def changed_override(
    before: Sequence[UvRequirement], after: Sequence[UvRequirement], locked: Locked
) -> NormalizedName | None:
    """The first name that is overridden in another way; None if there is none."""
    known = {requirement.name for requirement in before} | set(locked.names)
    return differing(before, [requirement for requirement in after if requirement.name in known])


def excludes_changed(before: Iterable[NormalizedName], after: Iterable[NormalizedName], locked: Locked) -> bool:
    """Whether another package of the lock file is excluded, or one that was excluded no longer is."""
    recorded, declared = set(before), set(after)
    return not recorded <= declared or bool((declared - recorded) & set(locked.names))


def _differ(before: Sequence[UvRequirement], after: Sequence[UvRequirement], locked: Locked) -> bool:
    if differing(before, after) is None:
        return False
    sources = {requirement.source for requirement in (*before, *after)}
    if SUBTLE in sources:
        return False
    if sources != {None}:
        return True
    ours, theirs = ([(each.marker, each.specifiers) for each in side] for side in (before, after))
    return not allow_the_same(ours, theirs, locked.requires_python)
