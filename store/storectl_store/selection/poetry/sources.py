"""A package of a ``poetry.lock`` as what it is for an environment. The lock file names files, never their addresses."""

from storectl_store.selection.addressed_archive import addressed_archive
from storectl_store.selection.addresses import absolute_path, checked_url, file_url
from storectl_store.selection.build_policy import BuildPolicy
from storectl_store.selection.lock_file import LockFile
from storectl_store.selection.locked_digests import of_one_file
from storectl_store.selection.origins import commit_pin, is_commit
from storectl_store.selection.pin import (
    GitCommit,
    IndexPin,
    LocalProject,
    Pin,
    SourcePin,
)
from storectl_store.selection.poetry.lock import PoetryPackage
from storectl_store.selection.tables.toml_table import Table
from storectl_store.selection.target import Interpreter

Selected = Pin | IndexPin | SourcePin | LocalProject


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
                return _commit(package, source)
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


def _commit(package: PoetryPackage, source: Table) -> SourcePin:
    commit = source.text("resolved_reference")
    if not is_commit(commit):
        raise source.error(f"{commit[:80]!r} is not a commit", key="resolved_reference")
    subdirectory = source.optional_text("subdirectory")
    found = GitCommit(url=source.text("url"), commit=commit, requested_revision=source.optional_text("reference"))
    return commit_pin(package.name, package.version, found, subdirectory)


def _folder(package: PoetryPackage, source: Table, lock_file: LockFile) -> LocalProject:
    path = absolute_path(lock_file.project, source.text("url"))
    is_root = path == str(lock_file.project)
    return LocalProject(
        name=package.name,
        path=path,
        kind="root" if is_root else "path",
        packaged=True,
        editable=package.table.optional_boolean("develop") or False,
    )


def _archive(package: PoetryPackage, source: Table, address: str, interpreter: Interpreter) -> Pin | SourcePin:
    digest = of_one_file({file.digest for file in package.files})
    if digest is None:
        raise package.table.error(f"an address with {len(package.files)} hashes, where one file has one", key="files")
    return addressed_archive(
        package.name,
        address,
        digest,
        interpreter,
        version=package.version,
        subdirectory=source.optional_text("subdirectory"),
    )
