"""Declared conflicts of a ``uv.lock``: which extras, groups and projects are active, and whether they may be.

Markers name them as fake extras, with the length of the package's name in bytes before it:

    extra-3-foo-x1      extra x1 of foo
    group-3-foo-dev     group dev of foo
    project-3-foo       foo itself
"""

from collections.abc import Iterable

from packaging.utils import NormalizedName

from storectl_store.errors import TargetError
from storectl_store.selection.uv.lock import ConflictItem

Active = frozenset[str]
"""The active extras, groups and projects, as fake extras."""


def extra_marker(package: NormalizedName, extra: NormalizedName) -> str:
    """The fake extra that markers use for an extra of a package."""
    return f"extra-{len(package)}-{package}-{extra}"


def group_marker(package: NormalizedName, group: NormalizedName) -> str:
    """The fake extra that markers use for a group of a package."""
    return f"group-{len(package)}-{package}-{group}"


def project_marker(package: NormalizedName) -> str:
    """The fake extra that markers use for a package that is itself one side of a conflict."""
    return f"project-{len(package)}-{package}"


def check_conflicts(conflicts: Iterable[tuple[ConflictItem, ...]], active: Active, file: str) -> None:
    """Raise TargetError if two sides of one declared conflict are active."""
    for items in conflicts:
        both = sorted({_said(item) for item in items if _marker(item) in active})
        if len(both) > 1:
            raise TargetError(
                f"{file}: {' and '.join(both)} conflict, as `[tool.uv] conflicts` declares",
                hint="ask for one of them only",
                path=file,
                conflicting=both,
            )


def _marker(item: ConflictItem) -> str:
    if item.extra is not None:
        return extra_marker(item.package, item.extra)
    if item.group is not None:
        return group_marker(item.package, item.group)
    return project_marker(item.package)


def _said(item: ConflictItem) -> str:
    if item.extra is not None:
        return f"extra `{item.extra}` of `{item.package}`"
    if item.group is not None:
        return f"group `{item.group}` of `{item.package}`"
    return f"`{item.package}`"
