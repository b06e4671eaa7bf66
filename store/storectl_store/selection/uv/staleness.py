"""Whether a ``uv.lock`` is older than what it was made from, as ``uv lock --check`` tells it.

uv records in the lock file what it was made from: the version, requirements, extras and groups of each local project;
and the members, constraints, overrides and Pythons of the workspace. What the project files say now is compared with
that. If the answer is not certain (a backend computes something, or a user's configuration could say it), nothing is
reported.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence

from packaging.utils import NormalizedName
from packaging.version import InvalidVersion, Version

from storectl_store.errors import LockFileError
from storectl_store.selection.dependency_groups import flat_groups
from storectl_store.selection.lock_file import LockFile
from storectl_store.selection.marker_equality import mean_the_same, specifiers_allow_the_same
from storectl_store.selection.project_file import default_groups_in
from storectl_store.selection.tables.toml_table import Table
from storectl_store.selection.uv.constraints import Locked, changed_constraint, changed_override, excludes_changed
from storectl_store.selection.uv.groups import groups_of
from storectl_store.selection.uv.lock import LOCAL_KINDS, UvLock, UvPackage
from storectl_store.selection.uv.requirements import (
    Sources,
    UvRequirement,
    declared,
    differing,
    index_address,
    recorded,
    without_own_extras,
    worded_otherwise,
)
from storectl_store.selection.uv.workspace import UvProject

Requirements = Sequence[UvRequirement]
_MANIFEST: Mapping[str, tuple[str, Callable[[Requirements, Requirements, Locked], NormalizedName | None]]] = {
    "constraints": ("constraint-dependencies", changed_constraint),
    "overrides": ("override-dependencies", changed_override),
    "build-constraints": ("build-constraint-dependencies", lambda before, after, _: worded_otherwise(before, after)),
}
"""Keys of the lock file, those of ``[tool.uv]``, and how uv compares them."""
_OPTIONS = {
    "resolution-mode": ("resolution", "highest"),
    "prerelease-mode": ("prerelease", "if-necessary-or-explicit"),
    "fork-strategy": ("fork-strategy", "requires-python"),
}
"""Keys of the lock file, those of ``[tool.uv]``, and the default, which the lock file leaves out."""
_RECORDS_DEFAULTS = 5
"""From this revision of the format on, the lock file says what the default groups are, and the Pythons of groups."""


def staleness(lock: UvLock, lock_file: LockFile, projects: Sequence[UvProject]) -> str | None:
    """One line that says what has changed since the lock file was made; None if nothing has, or if that cannot be told.

    ``projects`` are those that the lock file covers, its own first; empty without a ``pyproject.toml``.
    """
    if not projects:
        return None
    try:
        change = next(_changes(lock, projects), None)
    except (LockFileError, ValueError, RecursionError):
        return None
    if change is None:
        return None
    return f"{lock_file.path.name} was made before {change}: run `uv lock`"


def _changes(lock: UvLock, projects: Sequence[UvProject]) -> Iterator[str]:
    root = projects[0]
    packages = {package.source.location: package for package in _local_packages(lock)}
    is_recorded = (lock.table.optional_integer("revision") or 0) >= _RECORDS_DEFAULTS
    yield from _changes_of_members(lock, root, projects)
    yield from _changes_of_pythons(lock, root, projects)
    yield from _changes_of_workspace(lock, root, projects)
    for project in projects:
        package = packages.get(project.folder)
        if package is not None:
            for change in _changes_of_project(
                package, project, _sources(project, root, projects), root=root, is_recorded=is_recorded
            ):
                yield f"{project.file} changed ({change})"


def _local_packages(lock: UvLock) -> Iterator[UvPackage]:
    return (p for same in lock.packages.values() for p in same if p.source.kind in LOCAL_KINDS)


def _changes_of_members(lock: UvLock, root: UvProject, projects: Sequence[UvProject]) -> Iterator[str]:
    """Yield members that were added or removed. A single project is no member in the lock file."""
    members = {project.name for project in projects if root.is_member(project.folder)} - {None}
    known = set(lock.members) or {package.name for package in _local_packages(lock) if package.source.location == "."}
    for name in sorted(members ^ known, key=str):
        yield f"`{name}` became a member of the workspace" if name in members else f"`{name}` was no member any more"


def _changes_of_pythons(lock: UvLock, root: UvProject, projects: Sequence[UvProject]) -> Iterator[str]:
    tables = [project.project for project in projects if root.is_member(project.folder)]
    required = [text for table in tables if table and (text := table.optional_text("requires-python"))]
    now = ",".join(required)
    if lock.requires_python and required and not specifiers_allow_the_same(now, lock.requires_python):
        yield f"{root.file} changed (`requires-python`)"
    for key, environments in (("supported-markers", "environments"), ("required-markers", "required-environments")):
        before = lock.table.texts(key)
        # One environment may be written as a text.
        value = root.uv.values.get(environments)
        after = (value,) if isinstance(value, str) else root.uv.texts(environments)
        if bool(before) != bool(after) or not mean_the_same(before, after):
            yield f"{root.file} changed (`{environments}`)"


def _changes_of_workspace(lock: UvLock, root: UvProject, projects: Sequence[UvProject]) -> Iterator[str]:
    """Yield changes of what applies to the whole lock file."""
    manifest = lock.table.table("manifest")
    sources = _sources(root, root, projects)
    locked = Locked(names=lock.packages.keys(), requires_python=lock.requires_python or "")
    for before, (after, changed) in _MANIFEST.items():
        if name := changed(recorded(manifest.tables(before)), declared(root.uv.texts(after), sources), locked):
            yield f"{root.file} changed (`{after}`: `{name}`)"
    if excludes_changed(manifest.names("excludes"), root.uv.names("exclude-dependencies"), locked):
        yield f"{root.file} changed (`exclude-dependencies`)"
    options = lock.table.table("options")
    for before, (after, default) in _OPTIONS.items():
        # If the project says nothing, the user's configuration may have.
        if root.uv.optional_text(after) not in (None, options.optional_text(before) or default):
            yield f"{root.file} changed (`{after}`)"
    if root.project is None:
        groups = manifest.table("dependency-groups")
        yield from (f"{root.file} changed ({change})" for change in _changes_of_groups(groups, root, sources))
    yield from _changes_of_conflicts(lock, root, projects)


def _changes_of_conflicts(lock: UvLock, root: UvProject, projects: Sequence[UvProject]) -> Iterator[str]:
    """Yield a line if declared conflicts changed.

    uv adds to them the conflicts that follow from them, so a lock file with more conflicts is no change.
    """
    before = {frozenset((item.package, item.extra, item.group) for item in items) for items in lock.conflicts}
    after = {
        frozenset(_conflict_item(item, project) for item in items)
        for project in projects
        if root.is_member(project.folder)
        for items in project.uv.table_groups("conflicts")
    }
    if not after <= before or (before and not after):
        yield f"{root.file} changed (`conflicts`)"


def _conflict_item(
    item: Table, project: UvProject
) -> tuple[NormalizedName | None, NormalizedName | None, NormalizedName | None]:
    package = item.name("package") if "package" in item.values else project.name
    extra = item.name("extra") if "extra" in item.values else None
    return package, extra, item.name("group") if "group" in item.values else None


def _changes_of_project(
    package: UvPackage, project: UvProject, sources: Sources, *, root: UvProject, is_recorded: bool
) -> Iterator[str]:
    table = project.project
    if table is None:
        return
    dynamic = table.texts("dynamic")
    if package.name != project.name:
        yield "`name`"
    if _other_version(package.version, table.optional_text("version"), is_dynamic="version" in dynamic):
        yield "`version`"
    metadata = package.table.table("metadata")
    if not metadata.values and (package.dependencies or package.extras or package.groups):
        return  # made by a uv that did not record what it was made from
    if not {"dependencies", "optional-dependencies"} & set(dynamic) and not (dynamic and _is_built_by_pdm(project)):
        requirements = _declared_of(table, sources)
        flat = without_own_extras(requirements, project.name)
        before = recorded(metadata.tables("requires-dist"))
        # Older versions of uv left extras of the project itself as they are.
        if name := differing(before, requirements) and differing(before, flat):
            yield f"dependency `{name}`"
        if changed := _extras(table, with_empty="provides-extras" in metadata.values) ^ package.known_extras:
            yield f"extra `{min(changed)}`"
    if root.is_member(project.folder):
        yield from _changes_of_groups(metadata.table("requires-dev"), project, sources)
        yield from _changes_of_group_settings(package.table, project, is_recorded=is_recorded)


def _is_built_by_pdm(project: UvProject) -> bool:
    """Whether PDM builds it.

    PDM's hooks may change what the project declares, and uv asks PDM if anything is dynamic.
    """
    return project.table.table("build-system").optional_text("build-backend") == "pdm.backend"


def _other_version(before: str | None, after: str | None, *, is_dynamic: bool) -> bool:
    """Whether the version changed.

    A dynamic one is not in the lock file, though older versions of uv wrote what it was.
    """
    if after is None:
        return False
    try:
        return not is_dynamic and (before is None or Version(before) != Version(after))
    except InvalidVersion:
        return False


def _declared_of(project: Table, sources: Sources) -> list[UvRequirement]:
    found = declared(project.texts("dependencies"), sources)
    optional = project.table("optional-dependencies")
    for extra in optional.values:
        found += declared(optional.texts(extra), sources, extra=optional.as_name(extra, extra))
    return found


def _extras(project: Table, *, with_empty: bool) -> set[NormalizedName]:
    """The extras that a lock file knows. Without ``with_empty`` it leaves out those without requirements."""
    optional = project.table("optional-dependencies")
    return {optional.as_name(extra, extra) for extra in optional.values if with_empty or optional.array(extra)}


def _changes_of_groups(before: Table, project: UvProject, sources: Sources) -> Iterator[str]:
    if project.uv.table("dependency-groups").values:
        return  # their own `requires-python` goes into the markers
    groups = flat_groups(project.table, groups_of(project))
    known = {before.as_name(name, name): name for name in before.values}
    for name in sorted({*groups, *known}):
        if (
            name not in known
            or name not in groups
            or differing(recorded(before.tables(known[name])), declared(groups[name], sources))
        ):
            yield f"group `{name}`"


def _changes_of_group_settings(before: Table, project: UvProject, *, is_recorded: bool) -> Iterator[str]:
    """Yield changed settings of groups. ``is_recorded`` is false for older lock files, which say nothing about them."""
    if is_recorded and default_groups_in(before) != default_groups_in(project.uv):
        yield "`default-groups`"
    pythons = before.table("group-requires-python")
    known = {pythons.as_name(key, key): pythons.text(key) for key in pythons.values}
    settings = project.uv.table("dependency-groups")
    groups = {
        settings.as_name(key, key): settings.table(key).optional_text("requires-python") for key in settings.values
    }
    for name in sorted(known.keys() | groups.keys()) if is_recorded else ():
        if not specifiers_allow_the_same(known.get(name) or "", groups.get(name) or ""):
            yield f"`requires-python` of group `{name}`"


def _is_within_another(project: UvProject, root: UvProject, projects: Sequence[UvProject]) -> bool:
    """Whether another project is on the way up from it to the root: there uv gives up looking for the root."""
    within = project.folder.split("/")
    return any(
        other is not root and other.project and other.folder.split("/") == within[: other.folder.count("/") + 1]
        for other in projects
        if other is not project
    )


def _sources(project: UvProject, root: UvProject, projects: Sequence[UvProject]) -> Sources:
    """What ``[tool.uv.sources]`` of the root and of the project itself say; the project's own counts more."""
    of_root = root.is_member(project.folder) and not _is_within_another(project, root, projects)
    tables: dict[NormalizedName, Table | None] = {}
    indexes: dict[str, str] = {}
    for each in (root, project) if of_root else (project,):
        sources = each.uv.table("sources")
        for name in sources.values:
            table = sources.table(name) if isinstance(sources.values[name], dict) else None
            is_elsewhere = each is not project and table is not None and "path" in table.values
            tables[sources.as_name(name, name)] = None if is_elsewhere else table
        for index in each.uv.tables("index"):
            if label := index.optional_text("name"):
                indexes[label] = index_address(index.optional_text("url") or "", each.folder, each.base)
    return Sources(
        folder=project.folder,
        tables=tables,
        indexes=indexes,
        base=root.base,
        members={p.name: os.path.normpath(p.folder) for p in projects if p.name and root.is_member(p.folder)},
    )
