"""``uv.lock`` and ``NAME.py.lock``, version 1 of any revision, as values.

    version = 1                               another major version is refused
    requires-python, supported-markers, conflicts
    [manifest]  members, requirements (of a script), dependency-groups (of a workspace without a project)
    [[package]] name, version (none for a dynamic source tree), source, resolution-markers,
                dependencies, optional-dependencies, dev-dependencies, sdist, wheels, metadata

``required-markers`` and ``resolution-markers`` of the top say how uv resolved; they select nothing.

Packages are read at once, their edges too; markers stay text until an edge is walked.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from packaging.utils import NormalizedName

from storectl_store.selection.limits import check_count
from storectl_store.selection.tables.toml_table import Table

SourceKind = Literal["registry", "git", "url", "path", "directory", "editable", "virtual"]
_SOURCE_KINDS: tuple[SourceKind, ...] = get_args(SourceKind)
LOCAL_KINDS: frozenset[SourceKind] = frozenset({"directory", "editable", "virtual"})


@dataclass(frozen=True, slots=True, kw_only=True)
class UvSource:
    """Where a package comes from. ``location`` is the URL or path of a source of this kind."""

    kind: SourceKind
    location: str
    subdirectory: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UvEdge:
    """A dependency. Version and source are None if the name alone says which package is meant."""

    name: NormalizedName
    version: str | None
    source: UvSource | None
    extras: tuple[NormalizedName, ...]
    marker: str | None
    table: Table


Edges = Mapping[NormalizedName, tuple[UvEdge, ...]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UvPackage:
    """One ``[[package]]``. ``extras`` and ``groups`` are their edges by name.

    ``known_extras`` and ``known_groups`` are all their names, empty ones too.
    """

    name: NormalizedName
    version: str | None
    source: UvSource
    resolution_markers: tuple[str, ...]
    dependencies: tuple[UvEdge, ...]
    extras: Edges
    groups: Edges
    known_extras: frozenset[NormalizedName]
    known_groups: frozenset[NormalizedName]
    table: Table


@dataclass(frozen=True, slots=True, kw_only=True)
class ConflictItem:
    """One side of a declared conflict: an extra or a group of a package, or the package itself."""

    package: NormalizedName
    extra: NormalizedName | None = None
    group: NormalizedName | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UvLock:
    """A whole lock file. ``requirements`` are those of a script, ``groups`` those of a workspace without a project."""

    requires_python: str | None
    supported_markers: tuple[str, ...]
    conflicts: tuple[tuple[ConflictItem, ...], ...]
    members: tuple[NormalizedName, ...]
    requirements: tuple[UvEdge, ...]
    groups: Edges
    packages: Mapping[NormalizedName, tuple[UvPackage, ...]]
    table: Table


def read_uv_lock(top: Table, packages: Iterable[UvPackage] | None = None) -> UvLock:
    """The lock file in this table. Raises LockFileError if it is malformed or of another version.

    ``packages`` are its packages if they were read already.
    """
    version = top.integer("version")
    if version != 1:
        raise top.error(
            f"version {version} is not supported, only 1", key="version", hint="storectl needs to be newer than that"
        )
    manifest = top.table("manifest")
    return UvLock(
        requires_python=top.optional_specifiers("requires-python"),
        supported_markers=top.texts("supported-markers"),
        conflicts=_conflicts(top),
        members=manifest.names("members"),
        requirements=_edges(manifest.tables("requirements")),
        groups=_edges_by_name(manifest, "dependency-groups"),
        packages=_by_name(read_uv_packages(top) if packages is None else packages),
        table=top,
    )


def read_uv_packages(top: Table) -> tuple[UvPackage, ...]:
    """The packages in this table, in order. Raises LockFileError if one is malformed, or if there are too many."""
    tables = [*top.tables("package"), *top.tables("distribution")]
    check_count(tables)
    return tuple(_package(table) for table in tables)


def _by_name(packages: Iterable[UvPackage]) -> dict[NormalizedName, tuple[UvPackage, ...]]:
    grouped: dict[NormalizedName, list[UvPackage]] = defaultdict(list)
    for package in packages:
        grouped[package.name].append(package)
    return {name: tuple(same) for name, same in grouped.items()}


def _package(table: Table) -> UvPackage:
    name = table.name("name")
    table = table.at(f"`{name}`")
    extras = _edges_by_name(table, "optional-dependencies")
    groups = _edges_by_name(table, "dev-dependencies") | _edges_by_name(table, "dependency-groups")
    metadata = table.optional_table("metadata")
    return UvPackage(
        name=name,
        version=table.optional_version("version"),
        source=_source(table),
        resolution_markers=table.texts("resolution-markers"),
        dependencies=_edges(table.tables("dependencies")),
        extras=extras,
        groups=groups,
        known_extras=frozenset(extras) | (frozenset(metadata.names("provides-extras")) if metadata else frozenset()),
        known_groups=frozenset(groups) | (_declared_groups(metadata) if metadata else frozenset()),
        table=table,
    )


def _source(table: Table) -> UvSource:
    source = table.optional_table("source")
    if source is None:
        raise table.error("`source` is missing")
    for kind in _SOURCE_KINDS:
        if kind in source.values:
            source = source.at(table.place)
            return UvSource(kind=kind, location=source.text(kind), subdirectory=source.optional_text("subdirectory"))
    raise table.error(f"`source` is of no known kind: {', '.join(sorted(source.values))[:80]}")


def _declared_groups(metadata: Table) -> frozenset[NormalizedName]:
    return frozenset(metadata.as_name(key, key) for key in metadata.table("requires-dev").values)


def _edges_by_name(parent: Table, key: str) -> dict[NormalizedName, tuple[UvEdge, ...]]:
    """The edges of each extra or group in the table under this key; empty if there is no such table."""
    table = parent.optional_table(key)
    if table is None:
        return {}
    table = table.at(parent.place)
    return {table.as_name(name, name): _edges(table.tables(name)) for name in table.values}


def _edges(tables: tuple[Table, ...]) -> tuple[UvEdge, ...]:
    return tuple(_edge(table) for table in tables)


def _edge(table: Table) -> UvEdge:
    # The key is `extra` on the edges of packages, `extras` on the requirements of a script or workspace.
    return UvEdge(
        name=table.name("name"),
        version=table.optional_version("version"),
        source=_source(table) if "source" in table.values else None,
        extras=(*table.names("extra"), *table.names("extras")),
        marker=table.optional_text("marker"),
        table=table,
    )


def _conflicts(top: Table) -> tuple[tuple[ConflictItem, ...], ...]:
    return tuple(tuple(_conflict_item(table) for table in tables) for tables in top.table_groups("conflicts"))


def _conflict_item(table: Table) -> ConflictItem:
    return ConflictItem(
        package=table.name("package"),
        extra=table.name("extra") if "extra" in table.values else None,
        group=table.name("group") if "group" in table.values else None,
    )
