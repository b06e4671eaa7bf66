"""A package of a ``uv.lock`` as what it is for an environment: a pin, sources to build, or a project in its folder."""

from collections.abc import Sequence
from pathlib import Path
from typing import assert_never
from urllib.parse import parse_qsl

from storectl_store.digest import parse_strong_digest
from storectl_store.errors import UnsupportedSourceError
from storectl_store.selection.addresses import absolute_path, checked_url, file_url, filename_of, is_url
from storectl_store.selection.build_policy import BuildPolicy, format_refused
from storectl_store.selection.choose import choose_wheel, may_fit, no_wheel_error, parsed_filename
from storectl_store.selection.lock_file import LockFile
from storectl_store.selection.locked_digests import STRONG_HINT
from storectl_store.selection.origins import archive_origin, commit_pin, is_commit
from storectl_store.selection.pin import GitCommit, IndexPin, LocalProject, Pin, SourceArchive, SourcePin, WheelFile
from storectl_store.selection.tables.toml_table import Table
from storectl_store.selection.target import Interpreter
from storectl_store.selection.uv.lock import UvLock, UvPackage


def selected_package(
    package: UvPackage, lock: UvLock, lock_file: LockFile, interpreter: Interpreter, policy: BuildPolicy
) -> Pin | IndexPin | SourcePin | LocalProject:
    """What the package is under this policy.

    Raises UnsupportedSourceError, NoWheelError or FormatRefusedError if storectl cannot or may not use it.
    """
    match package.source.kind:
        case "registry" | "url" | "path":
            return _pin(package, lock_file, interpreter, policy)
        case "directory" | "editable" | "virtual":
            return _local_project(package, lock, lock_file, policy)
        case "git":
            policy.check_build(package.name, package.version, "a commit")
            return _commit(package)
    assert_never(package.source.kind)


def _pin(
    package: UvPackage, lock_file: LockFile, interpreter: Interpreter, policy: BuildPolicy
) -> Pin | IndexPin | SourcePin:
    """The wheel that fits, otherwise the source archive, as far as the policy allows either."""
    if "wheel" not in policy.formats(package.name):
        return _pin_of_source(package, lock_file, interpreter, policy)
    names = [_filename(wheel, package) for wheel in package.table.array("wheels")]
    fitting = [number for number, name in enumerate(names) if not name or may_fit(name, interpreter)]
    tables = [package.table.table_in("wheels", number) for number in fitting]
    if unhashed := [table for table in tables if _has_no_hash(table, package)]:
        return _named_alone(unhashed, package, lock_file.project)
    chosen = choose_wheel([_file(table, package, lock_file.project, what="wheels") for table in tables], interpreter)
    index = _index(package, lock_file.project)
    if chosen is None:
        if package.table.optional_table("sdist") is not None:
            policy.check_build(package.name, package.version, "without a wheel that fits")
        return _source_archive(package, names, index, lock_file, interpreter)
    direct = index is None
    return Pin(
        name=package.name,
        version=_agreed_version(package, chosen),
        wheel=chosen,
        index=index,
        direct_url=archive_origin(chosen.url, chosen.digest, package.source.subdirectory) if direct else None,
    )


def _pin_of_source(
    package: UvPackage, lock_file: LockFile, interpreter: Interpreter, policy: BuildPolicy
) -> SourcePin | IndexPin:
    """The source distribution of a package that may not be taken as a wheel.

    Raises FormatRefusedError if it may not be built either, or if there is none.
    """
    settings = policy.settings_against(package.name)
    if package.table.optional_table("sdist") is None:
        raise format_refused(package.name, package.version, "has no source distribution to be built", settings)
    policy.check_build(package.name, package.version, "neither to be taken as a wheel nor to be built")
    return _source_archive(package, [], _index(package, lock_file.project), lock_file, interpreter)


def _source_archive(
    package: UvPackage, wheels: list[str], index: str | None, lock_file: LockFile, interpreter: Interpreter
) -> SourcePin | IndexPin:
    """The source distribution. ``wheels`` are the names of the wheels, for the error.

    Raises NoWheelError or UnsupportedSourceError if there is no source distribution.
    """
    table = package.table.optional_table("sdist")
    if table is None:
        if not wheels:
            raise _unsupported(package, "something with neither wheels nor a source distribution")
        raise no_wheel_error(package.name, package.version or "", wheels, interpreter, has_sdist=False)
    table = table.at(package.table.place)
    if _has_no_hash(table, package):
        return _named_alone([table], package, lock_file.project)
    file = _file(table, package, lock_file.project, what="sdist")
    subdirectory = package.source.subdirectory
    return SourcePin(
        name=package.name,
        version=package.version,
        source=SourceArchive(filename=file.filename, digest=file.digest, url=file.url, size=file.size),
        subdirectory=subdirectory,
        index=index,
        direct_url=archive_origin(file.url, file.digest, subdirectory) if index is None else None,
    )


def _has_no_hash(table: Table, package: UvPackage) -> bool:
    """Whether only the name of the file is locked.

    uv does so if a folder or an index offers a file without a digest.
    """
    return package.source.kind == "registry" and package.version is not None and table.values.get("hash") is None


def _named_alone(tables: Sequence[Table], package: UvPackage, project: Path) -> IndexPin:
    """The files by their names, to be found in the places that they were locked from: their folder, or the index."""
    assert package.version is not None, "without a version no index can be asked"
    files = [_named_file(table, package, project) for table in tables]
    folders = [url.rpartition("/")[0] for _, url in files if url.startswith("file:")]
    index = _index(package, project)
    remote = index if index is not None and not index.startswith("file:") else None
    page = remote is not None and remote.endswith((".html", ".htm"))
    return IndexPin(
        name=package.name,
        version=package.version,
        digests=frozenset(),
        filenames=frozenset(name for name, _ in files),
        indexes=(remote,) if remote and not page else (),
        find_links=(*dict.fromkeys(folders), *([remote] if remote and page else [])),
        exclusive=True,
    )


def _named_file(table: Table, package: UvPackage, project: Path) -> tuple[str, str]:
    try:
        return _address(table, package, project)
    except ValueError as error:
        raise table.error(f"a file of `{package.name}`: {error}") from error


def _commit(package: UvPackage) -> SourcePin:
    """The commit of ``git = "https://host/repository?rev=main&subdirectory=python&lfs=true#<commit>"``."""
    address, _, commit = package.source.location.partition("#")
    address, _, query = address.partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    if not is_commit(commit):
        raise package.table.error(f"`source`: {commit[:80]!r} is not a commit", key="source")
    asked = next((options[key] for key in ("rev", "tag", "branch") if key in options), None)
    source = GitCommit(url=address, commit=commit, requested_revision=asked, lfs=options.get("lfs") == "true")
    subdirectory = options.get("subdirectory") or options.get("path") or None
    return commit_pin(package.name, package.version, source, subdirectory)


def _index(package: UvPackage, folder: Path) -> str | None:
    """The index that the package comes from; a folder of wheels is a ``file:`` URL. None if it comes from no index."""
    if package.source.kind != "registry":
        return None
    location = package.source.location
    try:
        return location if is_url(location) else file_url(folder, location)
    except ValueError as error:
        raise package.table.error(f"`source`: {error}", key="source") from error


def _agreed_version(package: UvPackage, wheel: WheelFile) -> str:
    """The version of the package. Raises LockFileError if the wheel's file name says another name or version."""
    parsed = parsed_filename(wheel.filename)
    assert parsed is not None, "what was chosen has a valid file name"
    version = str(parsed[1])
    if parsed[0] != package.name or package.version not in (None, version):
        raise package.table.error(f"{wheel.filename!r} is not a wheel of `{package.name}` {package.version or ''}")
    return version


def _file(table: Table, package: UvPackage, folder: Path, *, what: str) -> WheelFile:
    """One file of the package. ``what`` is the key that it stands under, for errors."""
    try:
        filename, url = _address(table, package, folder)
    except ValueError as error:
        raise table.error(f"`{what}`: {error}") from error
    digest = table.optional_text("hash")
    if digest is None:
        raise table.error(f"{filename[:120]!r} has no hash", key="hash", hint=STRONG_HINT)
    try:
        locked = parse_strong_digest(digest)
    except ValueError as error:
        raise table.error(f"{filename[:120]!r}: {error}", key="hash", hint=STRONG_HINT) from error
    return WheelFile(filename=filename, digest=locked, url=url, size=table.optional_integer("size"))


def _filename(wheel: object, package: UvPackage) -> str:
    """The name of a file, read quickly because most files are never looked at again.

    Empty if it is no table of a file.
    """
    if not isinstance(wheel, dict):
        return ""
    address = wheel.get("filename") or wheel.get("path") or wheel.get("url") or package.source.location
    return filename_of(address.partition("#")[0]) if isinstance(address, str) else ""


def _address(table: Table, package: UvPackage, folder: Path) -> tuple[str, str]:
    """File name and absolute URL of a wheel or source archive.

    It has a ``url``, absolute or relative to the registry; or a ``path`` relative to a registry that is a folder; or
    only a ``filename``, if the source is the wheel. Raises ValueError if storectl cannot use the address.
    """
    location = package.source.location
    url, path = table.optional_text("url"), table.optional_text("path")
    if package.source.kind == "path":
        return table.optional_text("filename") or Path(location).name, _local_or_remote(location, folder)
    if package.source.kind == "url":
        address = checked_url(url or location)
        return table.optional_text("filename") or filename_of(address), address
    if path is not None:
        registry = absolute_path(folder, location) if not is_url(location) else None
        address = file_url(Path(registry), path) if registry else checked_url(path, base=location)
    elif url is not None:
        address = checked_url(url, base=location if is_url(location) else folder.as_uri())
    else:
        raise ValueError("neither `url` nor `path`")
    return table.optional_text("filename") or filename_of(address), address


def _local_or_remote(location: str, folder: Path) -> str:
    return checked_url(location) if is_url(location) else file_url(folder, location)


def _local_project(package: UvPackage, lock: UvLock, lock_file: LockFile, policy: BuildPolicy) -> LocalProject:
    """The project in its folder.

    uv builds its own workspace whatever the policy says; other folders need its permission.
    """
    source = package.source
    try:
        path = absolute_path(lock_file.project, str(Path(source.location) / (source.subdirectory or "")))
    except ValueError as error:
        raise package.table.error(f"`source`: {error}", key="source") from error
    packaged = source.kind != "virtual"
    if path == str(lock_file.project):
        return LocalProject(name=package.name, path=path, kind="root", packaged=packaged)
    is_member = package.name in lock.members
    if packaged and not is_member:
        policy.check_build(package.name, package.version, "a folder")
    return LocalProject(
        name=package.name,
        path=path,
        kind="member" if is_member else "path",
        packaged=packaged,
        editable=source.kind == "editable",
    )


def _unsupported(package: UvPackage, what: str) -> UnsupportedSourceError:
    return UnsupportedSourceError(
        f"`{package.name}` is locked as {what}",
        hint="lock a version that has a wheel or a source distribution",
        name=package.name,
    )
