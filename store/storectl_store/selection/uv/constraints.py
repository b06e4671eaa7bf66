"""Whether constraints, overrides and excludes of a ``[tool.uv]`` say something else than those that a ``uv.lock`` records.

uv locks again only if what they say together is another thing for the lock file (tried with uv 0.13.9):

- what is new and names a package that is not in the lock file changes nothing, and is not recorded either;
- constraints of one name count by what they allow together on the Pythons of the lock file: one without a version, or
  one that another implies, or one for an older Python, changes nothing. Their extras do not count;
- what is recorded has to be there still, whether the package is in the lock file or not.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from packaging.utils import NormalizedName

from storectl_store.selection.uv.requirements import SUBTLE, UvRequirement, by_name, differing
from storectl_store.selection.version_bounds import allow_the_same


@dataclass(frozen=True, slots=True, kw_only=True)
class Locked:
    """What is compared against: the ``names`` that are in the lock file, and its ``requires_python``, empty for any."""

    names: Collection[NormalizedName]
    requires_python: str = ""


def changed_constraint(
    before: Sequence[UvRequirement], after: Sequence[UvRequirement], locked: Locked
) -> NormalizedName | None:
    """The first name of which the constraints no longer allow what they did; None if there is none."""
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
    """Whether another package of the lock file is excluded, or one is no longer that was."""
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
