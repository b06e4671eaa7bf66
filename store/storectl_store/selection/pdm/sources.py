"""A package of a ``pdm.lock`` as what it is for an environment: a pin, an index pin, a source or a local project."""

from pathlib import Path

from storectl_store.errors import UnsupportedSourceError
from storectl_store.selection.addresses import absolute_path, checked_url, file_url, filename_of, is_url
from storectl_store.selection.build_policy import BuildPolicy, format_refused
from storectl_store.selection.choose import choose_wheel, no_wheel_error
from storectl_store.selection.direct_sources import ARCHIVES, addressed_archive, commit_of_table, project_in
from storectl_store.selection.lock_file import LockFile
from storectl_store.selection.pdm.lock import PdmFile, PdmPackage
from storectl_store.selection.pdm.project import PdmProject
from storectl_store.selection.pin import (
    IndexPin,
    Pin,
    Selected,
    SourceArchive,
    SourcePin,
    WheelFile,
)
from storectl_store.selection.target import Interpreter


def selected_package(
    package: PdmPackage, lock_file: LockFile, project: PdmProject, interpreter: Interpreter, policy: BuildPolicy
) -> Selected:
    """What the package is. Raises UnsupportedSourceError or NoWheelError if storectl cannot use it.

    As in PDM, the policy applies to files of an index only; FormatRefusedError if it leaves none of them.
    """
    table = package.table
    try:
        if table.optional_text("git") is not None:
            return commit_of_table(table, package.name, package.version, url="git", commit="revision", revision="ref")
        if any(table.optional_text(kind) is not None for kind in ("hg", "svn", "bzr")):
            raise UnsupportedSourceError(
                f"`{package.name}` is locked as a repository that is none of git",
                hint="lock it from an index or from a git repository",
                name=package.name,
            )
        path, url = table.optional_text("path"), table.optional_text("url")
        if path is not None or url is not None:
            return _addressed(package, lock_file, path, url, interpreter)
    except ValueError as error:
        raise table.error(str(error)) from error
    return _of_index(package, lock_file, project, interpreter, policy)


def _addressed(
    package: PdmPackage, lock_file: LockFile, path: str | None, url: str | None, interpreter: Interpreter
) -> Selected:
    """A folder, or an archive by its path or address; ``${PROJECT_ROOT}`` is the folder of the lock file."""
    table = package.table
    subdirectory = table.optional_text("subdirectory")
    if path is None and url is not None:
        url = url.partition("#")[0].replace("file:///${PROJECT_ROOT}", lock_file.project.as_uri())
        url = url.replace("${PROJECT_ROOT}", str(lock_file.project))
    if path is not None and not path.lower().endswith(ARCHIVES):
        where = absolute_path(lock_file.project, str(Path(path) / (subdirectory or "")))
        editable = table.optional_boolean("editable") or False
        return project_in(where, package.name, lock_file.project, editable=editable)
    return addressed_archive(
        package.name,
        file_url(lock_file.project, path) if path is not None else checked_url(url or ""),
        interpreter,
        table=table,
        key="files",
        digests={file.digest for file in package.files},
        version=package.version,
        subdirectory=subdirectory,
    )


def _of_index(
    package: PdmPackage, lock_file: LockFile, project: PdmProject, interpreter: Interpreter, policy: BuildPolicy
) -> Pin | IndexPin | SourcePin:
    if package.version is None or not package.files:
        raise package.table.error("a package of an index without version or files", hint="make it anew with `pdm lock`")
    if all(file.url is not None for file in package.files):
        return _of_addresses(package, lock_file, interpreter, policy)
    return IndexPin(
        name=package.name,
        version=package.version,
        digests=frozenset(file.digest for file in package.files),
        filenames=frozenset(file.filename for file in package.files if file.filename),
        indexes=project.indexes,
        find_links=project.find_links,
        exclusive=project.exclusive,
        formats=policy.formats(package.name),
        settings=policy.settings_against(package.name) or None,
    )


def _of_addresses(
    package: PdmPackage, lock_file: LockFile, interpreter: Interpreter, policy: BuildPolicy
) -> Pin | SourcePin:
    """The wheel or sources of a package locked with the strategy ``static_urls``: the lock file has all addresses."""
    version = package.version or ""
    formats, settings = policy.formats(package.name), policy.settings_against(package.name)
    wheels = [_wheel_file(package, file, lock_file) for file in package.files]
    chosen = choose_wheel(wheels, interpreter) if "wheel" in formats else None
    if chosen is not None:
        return Pin(name=package.name, version=version, wheel=chosen)
    source = next((file for file in wheels if not file.filename.endswith(".whl")), None)
    if source is None and "wheel" not in formats:
        raise format_refused(package.name, version, "has no source distribution to be built", settings)
    if source is None:
        names = [file.filename for file in wheels]
        raise no_wheel_error(package.name, version, names, interpreter, has_sdist=False)
    policy.check_build(package.name, version, "without a wheel that fits")
    archive = SourceArchive(filename=source.filename, digest=source.digest, url=source.url)
    return SourcePin(name=package.name, version=version, source=archive)


def _wheel_file(package: PdmPackage, file: PdmFile, lock_file: LockFile) -> WheelFile:
    url = (file.url or "").partition("#")[0].replace("file:///${PROJECT_ROOT}", lock_file.project.as_uri())
    try:
        address = checked_url(url) if is_url(url) else file_url(lock_file.project, url)
    except ValueError as error:
        raise package.table.error(str(error), key="files") from error
    return WheelFile(filename=file.filename or filename_of(address), digest=file.digest, url=address)
