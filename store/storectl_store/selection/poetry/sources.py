"""A package of a ``poetry.lock`` as what it is for an environment. The lock file names files, never their addresses."""

from storectl_store.selection.addresses import absolute_path, checked_url, file_url
from storectl_store.selection.build_policy import BuildPolicy
from storectl_store.selection.direct_sources import addressed_archive, commit_of_table, project_in
from storectl_store.selection.lock_file import LockFile
from storectl_store.selection.pin import (
    IndexPin,
    LocalProject,
    Pin,
    Selected,
    SourcePin,
)
from storectl_store.selection.poetry.lock import PoetryPackage
from storectl_store.selection.tables.toml_table import Table
from storectl_store.selection.target import Interpreter


def selected_package(
    package: PoetryPackage, lock_file: LockFile, interpreter: Interpreter, policy: BuildPolicy
) -> Selected:
    """What the package is: files of an index, a commit, an archive by its address, or a folder.

    As in Poetry, the policy applies to files of an index only. Raises LockFileError if its source is malformed.
    """
    source = package.table.optional_table("source")
    kind = source.text("type") if source else None
    if source is None or kind == "legacy":
        return _index_pin(package, (source.text("url"),) if source else (), policy)
    try:
        match kind:
            case "git":
                return commit_of_table(
                    source,
                    package.name,
                    package.version,
                    url="url",
                    commit="resolved_reference",
                    revision="reference",
                )
            case "directory":
                return _folder(package, source, lock_file)
            case "file":
                return _archive(package, source, file_url(lock_file.project, source.text("url")), interpreter)
            case "url":
                return _archive(package, source, checked_url(source.text("url")), interpreter)
            case _:
                pass
    except ValueError as error:
        raise source.error(str(error), key="url") from error
    raise source.error(f"`type` {str(kind)[:40]!r} is no known kind of source", key="type")


def _index_pin(package: PoetryPackage, indexes: tuple[str, ...], policy: BuildPolicy) -> IndexPin:
    if not package.files:
        raise package.table.error("has no files", hint="make it anew with `poetry lock`")
    return IndexPin(
        name=package.name,
        version=package.version,
        digests=frozenset(file.digest for file in package.files),
        filenames=frozenset(file.filename for file in package.files if file.filename),
        indexes=indexes,
        exclusive=bool(indexes),
        formats=policy.formats(package.name),
        settings=policy.settings_against(package.name) or None,
    )


def _folder(package: PoetryPackage, source: Table, lock_file: LockFile) -> LocalProject:
    path = absolute_path(lock_file.project, source.text("url"))
    editable = package.table.optional_boolean("develop") or False
    return project_in(path, package.name, lock_file.project, editable=editable)


def _archive(package: PoetryPackage, source: Table, address: str, interpreter: Interpreter) -> Pin | SourcePin:
    return addressed_archive(
        package.name,
        address,
        interpreter,
        table=package.table,
        key="files",
        digests={file.digest for file in package.files},
        version=package.version,
        subdirectory=source.optional_text("subdirectory"),
    )
