"""The beginning of the walk through a ``uv.lock``: the root projects, with the extras and groups that are asked for."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import NormalizedName

from storectl_store.selection.options import DEV, asked_extras, asked_groups
from storectl_store.selection.project_file import ProjectFile, default_groups_in
from storectl_store.selection.python_version import check_requires_python
from storectl_store.selection.tables.toml_table import Table
from storectl_store.selection.target import Interpreter, Target
from storectl_store.selection.uv.conflicts import Active, extra_marker, group_marker, project_marker
from storectl_store.selection.uv.lock import LOCAL_KINDS, UvEdge, UvLock, UvPackage


@dataclass(frozen=True, slots=True, kw_only=True)
class Roots:
    """The beginning of the walk.

    ``packages`` are selected with those of the ``extras`` that they have. ``edges`` are those of groups and of a
    script. ``active`` are their extras, groups and projects as conflict markers name them.
    """

    packages: tuple[UvPackage, ...]
    extras: frozenset[NormalizedName]
    edges: tuple[UvEdge, ...]
    active: Active


def find_roots(lock: UvLock, project: ProjectFile, target: Target, member: UvPackage | None = None) -> Roots:
    """The roots for this target.

    If ``member`` is given it is the only root, and ``project`` is its project file: of the workspace itself nothing is
    selected. Raises TargetError if an extra or group is unknown, LockFileError if there is no root.
    """
    packages = _roots_of(lock, target, member)
    known_extras = _union(project.extras, (package.known_extras for package in packages))
    extras = asked_extras(target, known_extras, lock.table.file)
    tables = (*((lock.groups,) if member is None else ()), *(package.groups for package in packages))
    groups = _groups(lock, packages, project, target, _union(frozenset(), (frozenset(table) for table in tables)))
    with_script = target.project and member is None
    return Roots(
        packages=packages if target.project else (),
        extras=extras,
        edges=(*(lock.requirements if with_script else ()), *_group_edges(tables, groups)),
        active=_active(packages, extras, groups, with_projects=target.project),
    )


def find_member(lock: UvLock, folder: Path, member: str | None) -> UvPackage | None:
    """The workspace member in the folder ``member``; None if there is none.

    ``folder`` is that of the lock file; both are absolute.
    """
    if member is None:
        return None
    location = os.path.relpath(member, folder)
    packages = (package for name in lock.members for package in lock.packages.get(name, ()))
    return next((package for package in packages if os.path.normpath(package.source.location) == location), None)


def recorded_project(lock: UvLock) -> ProjectFile:
    """What the lock file itself says of the project file, in case there is none. Newer ones say the default groups."""
    tables = [lock.table.table("manifest"), *(package.table for package in _root_packages(lock))]
    defaults = [found for table in tables if (found := default_groups_in(table)) is not None]
    return ProjectFile(
        name=None,
        packaged=False,
        extras=frozenset(),
        groups=frozenset(),
        default_groups=defaults[0] if defaults else None,
    )


def _roots_of(lock: UvLock, target: Target, member: UvPackage | None) -> tuple[UvPackage, ...]:
    """The member that is meant, or every one, or the project in the lock file's own folder."""
    if member is not None:
        return (member,)
    if target.all_members and lock.members:
        return tuple(package for name in lock.members for package in lock.packages.get(name, ()))
    return _root_packages(lock)


def _root_packages(lock: UvLock) -> tuple[UvPackage, ...]:
    """The project in the lock file's own folder; without one, all members; for a script none.

    Raises LockFileError if a member is no package of the lock file, or if no package is the project.
    """
    local = [p for same in lock.packages.values() for p in same if p.source.kind in LOCAL_KINDS]
    if here := tuple(package for package in local if package.source.location == "."):
        return here
    members = tuple(package for package in local if package.name in lock.members)
    if missing := set(lock.members) - {package.name for package in members}:
        raise lock.table.error(
            f"`manifest.members` names `{min(missing)}`, which is no package of it", key=("manifest", "members")
        )
    if not members and lock.packages and not lock.requirements and not lock.groups:
        raise lock.table.error("no package in it is the project", hint="make it anew with `uv lock`")
    return members


def _groups(
    lock: UvLock,
    packages: tuple[UvPackage, ...],
    project: ProjectFile,
    target: Target,
    locked: frozenset[NormalizedName],
) -> frozenset[NormalizedName]:
    """The groups asked for and the default ones. A default group that is defined nowhere is unknown like any other."""
    known = _union(project.groups | locked, (package.known_groups for package in packages))
    groups = asked_groups(target, known, lock.table.file, defaults=_default_groups(project, known))
    for table in (lock.table.table("manifest"), *(package.table for package in packages)):
        _check_pythons(table.table("group-requires-python"), groups, target.interpreter)
    return groups


def _check_pythons(required: Table, groups: frozenset[NormalizedName], interpreter: Interpreter) -> None:
    """Raise TargetError if a group is not for this Python, as the project's ``[tool.uv.dependency-groups]`` says."""
    for key in required.values:
        if required.as_name(key, key) in groups:
            check_requires_python(required.optional_specifiers(key), interpreter, f"{required.file}: group `{key}`")


def _default_groups(project: ProjectFile, known: frozenset[NormalizedName]) -> frozenset[NormalizedName]:
    if project.default_groups == "all":
        return known
    return known & {DEV} if project.default_groups is None else frozenset(project.default_groups)


def _group_edges(
    tables: Iterable[Mapping[NormalizedName, tuple[UvEdge, ...]]], groups: frozenset[NormalizedName]
) -> tuple[UvEdge, ...]:
    return tuple(edge for table in tables for group, edges in table.items() if group in groups for edge in edges)


def _active(
    packages: tuple[UvPackage, ...],
    extras: frozenset[NormalizedName],
    groups: frozenset[NormalizedName],
    *,
    with_projects: bool,
) -> Active:
    return frozenset(
        marker
        for package in packages
        for marker in (
            *([project_marker(package.name)] if with_projects else ()),
            *(extra_marker(package.name, extra) for extra in extras & package.known_extras if with_projects),
            *(group_marker(package.name, group) for group in groups & package.known_groups),
        )
    )


def _union(first: frozenset[NormalizedName], others: Iterable[frozenset[NormalizedName]]) -> frozenset[NormalizedName]:
    return first.union(*others)
