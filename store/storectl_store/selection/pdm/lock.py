"""``pdm.lock`` 4.x as values.

    [metadata]    groups, strategy, targets, lock_version, content_hash
    [[package]]   name, version, extras, requires_python, groups and marker (strategy inherit_metadata), dependencies,
                  files (file and hash; url and hash with strategy static_urls), path, url, editable, git, ref, revision

``name[extra]`` is a package of its own with the same files as ``name``, and the dependencies of the extra.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from packaging.utils import NormalizedName

from storectl_store.digest import Digest, parse_strong_digest
from storectl_store.selection.limits import check_count, check_markers
from storectl_store.selection.locked_digests import STRONG_HINT
from storectl_store.selection.tables.toml_table import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class PdmFile:
    """One file of a package: its name or its address, and its digest."""

    filename: str | None
    url: str | None
    digest: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class PdmTarget:
    """What the lock file was made for. A field is None if any value will do."""

    requires_python: str | None
    platform: str | None
    implementation: str | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PdmPackage:
    """One ``[[package]]``. ``dependencies`` are dependency specifiers (PEP 508)."""

    name: NormalizedName
    version: str | None
    extras: frozenset[NormalizedName]
    groups: frozenset[NormalizedName]
    marker: str | None
    requires_python: str | None
    dependencies: tuple[str, ...]
    files: tuple[PdmFile, ...]
    table: Table


@dataclass(frozen=True, slots=True, kw_only=True)
class PdmLock:
    """A whole lock file. ``inherits``: each package says its groups and its marker."""

    groups: frozenset[NormalizedName]
    inherits: bool
    targets: tuple[PdmTarget, ...]
    content_hash: str | None
    packages: Mapping[NormalizedName, tuple[PdmPackage, ...]]
    table: Table


def read_pdm_lock(top: Table) -> PdmLock:
    """The lock file in this table. Raises LockFileError if it is malformed or of another major version."""
    metadata = top.optional_table("metadata")
    if metadata is None:
        raise top.error("`metadata` is missing", hint="make it anew with `pdm lock`")
    version = metadata.text("lock_version")
    if version.partition(".")[0] != "4":
        raise metadata.error(
            f"lock_version {version[:20]!r} is not supported, only 4.x",
            key="lock_version",
            hint="lock again with `pdm lock`: PDM 2 writes 4.x",
        )
    tables = top.tables("package")
    check_count(tables)
    check_markers(tables)
    files = metadata.table("files")
    packages: dict[NormalizedName, list[PdmPackage]] = {}
    for table in tables:
        package = _package(table, files)
        packages.setdefault(package.name, []).append(package)
    return PdmLock(
        groups=frozenset(metadata.names("groups")),
        inherits="inherit_metadata" in metadata.texts("strategy"),
        targets=tuple(map(_target, metadata.tables("targets"))),
        content_hash=metadata.optional_text("content_hash"),
        packages={name: tuple(same) for name, same in packages.items()},
        table=top,
    )


def _target(table: Table) -> PdmTarget:
    return PdmTarget(
        requires_python=table.optional_specifiers("requires_python"),
        platform=table.optional_text("platform"),
        implementation=table.optional_text("implementation"),
    )


def _package(table: Table, files: Table) -> PdmPackage:
    """The package in this table. Lock files 4.0 to 4.2 list the ``files`` of all packages in one place."""
    of_all = f"{table.text('name')} {table.optional_text('version')}"
    name = table.name("name")
    table = table.at(f"`{name}`")
    return PdmPackage(
        name=name,
        version=table.optional_version("version"),
        extras=frozenset(table.names("extras")),
        groups=frozenset(table.names("groups")),
        marker=table.optional_text("marker"),
        requires_python=table.optional_specifiers("requires_python"),
        dependencies=table.texts("dependencies"),
        files=tuple(_file(file) for file in table.tables("files") or files.tables(of_all)),
        table=table,
    )


def _file(table: Table) -> PdmFile:
    digest = table.text("hash")
    filename, url = table.optional_text("file"), table.optional_text("url")
    if filename is None and url is None:
        raise table.error("a file with neither `file` nor `url`")
    try:
        return PdmFile(filename=filename, url=url, digest=parse_strong_digest(digest))
    except ValueError as error:
        raise table.error(str(error), key="hash", hint=STRONG_HINT) from error
