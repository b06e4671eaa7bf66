"""``poetry.lock`` as values, of lock-version 1.0, 1.1, 2.0 and 2.1.

[[package]]   name, version, optional, python-versions, files (2.x), dependencies, extras, source, develop,
groups and markers (from 2.1 on)
[extras]      name -> projects
[metadata]    lock-version, python-versions, content-hash, files (1.1: by project), hashes (1.0: by project)
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    NormalizedName,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

from storectl_store.digest import Digest, digest_of_hex, parse_digest
from storectl_store.selection.limits import check_count
from storectl_store.selection.poetry_constraints import Constraint
from storectl_store.selection.toml_table import Table

MAIN = NormalizedName("main")
"""What Poetry calls the dependencies of the project itself, among its groups."""

_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_EXTRA_MEMBER = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class PoetryFile:
    """One file by its digest; lock files of version 1.0 have no names."""

    filename: str | None
    digest: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class PoetryEdge:
    """One way in which a package needs another."""

    name: NormalizedName
    constraint: Constraint
    marker: str | None
    extras: frozenset[NormalizedName]
    optional: bool
    table: Table


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PoetryPackage:
    """One ``[[package]]``. ``markers`` maps groups to markers, with the key None for one that is all groups'."""

    name: NormalizedName
    version: str
    python: Constraint
    groups: frozenset[NormalizedName]
    markers: Mapping[NormalizedName | None, str]
    edges: tuple[PoetryEdge, ...]
    extras: Mapping[NormalizedName, frozenset[NormalizedName]]
    files: tuple[PoetryFile, ...]
    table: Table


@dataclass(frozen=True, slots=True, kw_only=True)
class PoetryLock:
    """A whole lock file. ``inherits`` says that each package knows its groups and its markers (version 2.1)."""

    inherits: bool
    python_versions: str
    content_hash: str | None
    extras: frozenset[NormalizedName]
    packages: Mapping[NormalizedName, tuple[PoetryPackage, ...]]
    table: Table


def read_poetry_lock(top: Table) -> PoetryLock:
    """The lock file in this table; LockFileError where it is malformed, or older than 1 or newer than 2."""
    metadata = top.optional_table("metadata")
    if metadata is None:
        raise top.error("`metadata` is missing", hint="make it anew with `poetry lock`")
    text = metadata.optional_version("lock-version") or "1.0"
    version = Version(text)
    if version.major not in (1, 2):
        raise metadata.error(f"lock-version {text} is not supported, only 1.x and 2.x", key="lock-version")
    tables = top.tables("package")
    check_count(tables)
    by_name: dict[NormalizedName, list[Table]] = {}
    for table in tables:
        by_name.setdefault(table.name("name"), []).append(table)
    shared = _shared_files(metadata)
    packages = {
        name: tuple(_package(name, table, shared, alone=len(same) == 1) for table in same)
        for name, same in by_name.items()
    }
    extras = top.table("extras")
    return PoetryLock(
        inherits=version >= Version("2.1"),
        python_versions=metadata.optional_text("python-versions") or "*",
        content_hash=metadata.optional_text("content-hash"),
        extras=frozenset(extras.as_name(key, key) for key in extras.values),
        packages=packages,
        table=top,
    )


def _shared_files(metadata: Table) -> dict[NormalizedName, tuple[PoetryFile, ...]]:
    """The files of all versions of a project together, as versions 1.0 and 1.1 keep them."""
    named, bare = metadata.table("files"), metadata.table("hashes")
    files = {named.as_name(key, key): tuple(_file(table) for table in named.tables(key)) for key in named.values}
    for key in bare.values:
        digests = [text for text in bare.texts(key) if _SHA256.fullmatch(text)]
        files[bare.as_name(key, key)] = tuple(PoetryFile(filename=None, digest=digest_of_hex(text)) for text in digests)
    return files


def _file(table: Table) -> PoetryFile:
    digest = table.text("hash")
    try:
        return PoetryFile(filename=table.text("file"), digest=parse_digest(digest))
    except ValueError as error:
        raise table.error(f"{digest[:80]!r} is no sha256", key="hash") from error


def _package(
    name: NormalizedName, table: Table, shared: Mapping[NormalizedName, tuple[PoetryFile, ...]], *, alone: bool
) -> PoetryPackage:
    table = table.at(f"`{name}`")
    version = table.optional_version("version")
    if version is None:
        raise table.error("`version` is missing")
    files = tuple(_file(file) for file in table.tables("files")) if "files" in table.values else shared.get(name, ())
    extras = table.table("extras")
    return PoetryPackage(
        name=name,
        version=version,
        python=constraint_of(table, "python-versions"),
        groups=frozenset(table.names("groups")),
        markers=_markers(table),
        edges=tuple(edges_of(table.table("dependencies"))),
        extras={extras.as_name(key, key): frozenset(_members(extras, key)) for key in extras.values},
        files=files if alone else tuple(file for file in files if _is_of(file, version)),
        table=table,
    )


def constraint_of(table: Table, key: str) -> Constraint:
    """The version constraint under this key, anything where there is none."""
    text = table.optional_text(key)
    try:
        return Constraint(text or "*")
    except ValueError as error:
        raise table.error(f"`{key}`: {error}", key=key) from error


def _markers(table: Table) -> dict[NormalizedName | None, str]:
    value = table.values.get("markers")
    if value is None:
        return {}
    if isinstance(value, str):
        return {None: value}
    markers = table.table("markers")
    return {markers.as_name(key, key): markers.text(key) for key in markers.values}


def edges_of(table: Table) -> Iterator[PoetryEdge]:
    """The dependencies in a table: each a constraint, a table, or an array of both."""
    for key, value in table.values.items():
        name = table.as_name(key, key)
        if isinstance(value, list):
            for number, item in enumerate(value):
                if isinstance(item, str):
                    yield _edge(name, Table(values={"version": item}, file=table.file, place=table.place,
                                            path=(*table.path, key, number), document=table.document))  # fmt: skip
            if any(isinstance(item, dict) for item in value):
                rest = Table(values={key: [i for i in value if isinstance(i, dict)]}, file=table.file,
                             place=table.place, path=table.path, document=table.document)  # fmt: skip
                yield from (_edge(name, item) for item in rest.tables(key))
            if not all(isinstance(item, str | dict) for item in value):
                raise table.error(f"`{key}` must be a constraint, a table or an array of them", key=key)
        elif isinstance(value, dict):
            yield _edge(name, table.table(key))
        else:
            text = table.text(key)
            yield _edge(name, Table(values={"version": text}, file=table.file, place=table.place,
                                    path=table.path, document=table.document))  # fmt: skip


def _edge(name: NormalizedName, table: Table) -> PoetryEdge:
    return PoetryEdge(
        name=name,
        constraint=constraint_of(table, "version"),
        marker=table.optional_text("markers") or None,
        extras=frozenset(table.names("extras")),
        optional=table.optional_boolean("optional") or False,
        table=table,
    )


def _members(extras: Table, key: str) -> Iterator[NormalizedName]:
    """The projects that an extra brings: ``name``, or ``name (>=1)``, or with extras of its own."""
    for text in extras.texts(key):
        match = _EXTRA_MEMBER.match(text)
        if match is None:
            raise extras.error(f"`{key}`: {text[:80]!r} names no project", key=key)
        yield extras.as_name(key, match[1])


def _is_of(file: PoetryFile, version: str) -> bool:
    """Whether a file is of this version by its name; one without a name, or with an odd one, may be."""
    if file.filename is None:
        return True
    try:
        if file.filename.endswith(".whl"):
            return parse_wheel_filename(file.filename)[1] == Version(version)
        return parse_sdist_filename(file.filename)[1] == Version(version)
    except (InvalidWheelFilename, InvalidSdistFilename, InvalidVersion):
        return f"-{version}" in file.filename
