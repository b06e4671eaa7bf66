"""Sources that lock files name themselves, and no index: an archive by its address, a commit, a folder."""

from collections.abc import Set as AbstractSet
from pathlib import Path

from packaging.utils import NormalizedName

from storectl_store.digest import Digest
from storectl_store.selection.addresses import filename_of
from storectl_store.selection.choose import choose_wheel, no_wheel_error, parsed_filename
from storectl_store.selection.locked_digests import of_one_file
from storectl_store.selection.origins import archive_origin, commit_pin, is_commit
from storectl_store.selection.pin import GitCommit, LocalProject, Pin, SourceArchive, SourcePin, WheelFile
from storectl_store.selection.tables.toml_table import Table
from storectl_store.selection.target import Interpreter

SOURCE_ARCHIVES = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip")
ARCHIVES = (".whl", *SOURCE_ARCHIVES)
"""The ends of file names by which tools tell an archive from a folder."""


def addressed_archive(
    name: NormalizedName,
    address: str,
    interpreter: Interpreter,
    *,
    table: Table,
    key: str,
    digests: AbstractSet[Digest],
    version: str | None,
    subdirectory: str | None,
) -> Pin | SourcePin:
    """The archive at this address. ``version`` is that of sources, if known: a wheel's file name has its own.

    Raises LockFileError if the ``digests``, which stand under this key of the table, are not those of one file. Raises
    ValueError if the file name is that of another project's wheel, or a wheel's name that cannot be read. Raises
    NoWheelError if the wheel does not fit.
    """
    digest = of_one_file(digests)
    if digest is None:
        raise table.error(f"an address with {len(digests)} hashes, where one file has one", key=key)
    filename = filename_of(address)
    origin = archive_origin(address, digest, subdirectory)
    if not filename.endswith(".whl"):
        archive = SourceArchive(filename=filename, digest=digest, url=address)
        return SourcePin(name=name, version=version, source=archive, subdirectory=subdirectory, direct_url=origin)
    parsed = parsed_filename(filename)
    if parsed is None or parsed[0] != name:
        raise ValueError(f"{filename[:120]!r} is not the file name of a wheel of it")
    wheel = WheelFile(filename=filename, digest=digest, url=address)
    if choose_wheel((wheel,), interpreter) is None:
        raise no_wheel_error(name, str(parsed[1]), (filename,), interpreter, has_sdist=False)
    return Pin(name=name, version=str(parsed[1]), wheel=wheel, direct_url=origin)


def commit_of_table(
    table: Table,
    name: NormalizedName,
    version: str | None,
    *,
    url: str,
    commit: str,
    revision: str | None,
    hint: str | None = None,
) -> SourcePin:
    """The commit that a table names under these keys. Raises LockFileError if it is not the full name of one."""
    full = table.text(commit)
    if not is_commit(full):
        raise table.error(f"{full[:80]!r} is not a commit", key=commit, hint=hint)
    asked = table.optional_text(revision) if revision else None
    source = GitCommit(url=table.text(url), commit=full, requested_revision=asked)
    return commit_pin(name, version, source, table.optional_text("subdirectory"))


def project_in(path: str, name: NormalizedName, lock_folder: Path, *, editable: bool) -> LocalProject:
    """The project in this absolute folder: the root project if the lock file is there, too."""
    is_root = path == str(lock_folder)
    return LocalProject(name=name, path=path, kind="root" if is_root else "path", packaged=True, editable=editable)
