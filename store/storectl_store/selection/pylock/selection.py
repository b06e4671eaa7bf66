"""Selection from ``pylock.toml`` (PEP 751). packaging reads the format and applies its rules."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from packaging.pylock import (
    Package,
    PackageArchive,
    PackageDirectory,
    PackageSdist,
    PackageVcs,
    PackageWheel,
    Pylock,
    PylockSelectError,
)

from storectl_store.errors import SelectionError, TargetError, UnsupportedSourceError
from storectl_store.selection.addresses import absolute_path, checked_url, file_url, filename_of
from storectl_store.selection.choose import choose_wheel, no_wheel_error, parsed_filename
from storectl_store.selection.direct_sources import project_in
from storectl_store.selection.lock_file import LockFile
from storectl_store.selection.locked_digests import STRONG_HINT, strongest
from storectl_store.selection.options import asked_extras, asked_groups, canonical_names
from storectl_store.selection.origins import archive_origin, commit_pin, is_commit
from storectl_store.selection.pin import (
    GitCommit,
    IndexPin,
    LocalProject,
    Pin,
    Selection,
    SourceArchive,
    SourcePin,
    WheelFile,
)
from storectl_store.selection.project_file import root_project
from storectl_store.selection.pylock.document import (
    PLACE,
    UNDEFINED,
    PylockDocument,
    Source,
    read_pylock,
    wrong_marker,
)
from storectl_store.selection.python_version import check_requires_python
from storectl_store.selection.tables.toml_table import Table, parse_toml
from storectl_store.selection.target import Target

if TYPE_CHECKING:
    from packaging.markers import Environment


def select_from_pylock(lock_file: LockFile, target: Target) -> Selection:
    """What a ``pylock.toml`` selects for the target. Raises SelectionError if it is malformed or does not fit."""
    top = parse_toml(lock_file.content, str(lock_file.path))
    check_requires_python(top.optional_specifiers("requires-python"), target.interpreter, top.file)
    document = read_pylock(top, target.interpreter)
    pylock = document.pylock
    extras, groups = _options(pylock, target, top)
    selected = [
        _converted(document, package, source, target) for package, source in _selected(document, target, extras, groups)
    ]
    return Selection.of((*selected, *root_project(lock_file, selected)), warnings=_warnings(pylock, top.file))


def _options(pylock: Pylock, target: Target, top: Table) -> tuple[frozenset[str], frozenset[str] | None]:
    """The extras and groups asked for, as the lock file spells them; None for its default groups alone."""
    file = top.file
    known_extras = frozenset(top.names("extras"))
    extras = asked_extras(target, known_extras, file)
    if not target.project:
        raise TargetError(
            f"{file} does not tell the packages of a group from those of the project",
            hint="leave out --only-group, or lock with the tool of the project, whose own lock file does",
            path=file,
        )
    spelling = {top.as_name("dependency-groups", text): text for text in pylock.dependency_groups or ()}
    groups = asked_groups(target, frozenset(spelling), file)
    if target.default_groups and not (groups or target.no_groups):
        return extras, None
    left_out = canonical_names(target.no_groups)
    defaults = (pylock.default_groups or ()) if target.default_groups else ()
    kept = (text for text in defaults if top.as_name("default-groups", text) not in left_out)
    return extras, frozenset(kept).union(spelling[group] for group in groups)


def _selected(
    document: PylockDocument, target: Target, extras: frozenset[str], groups: frozenset[str] | None
) -> list[tuple[Package, Source]]:
    pylock, top = document.pylock, document.top
    environment = dict(target.interpreter.markers)
    try:
        return list(
            pylock.select(
                environment=cast("Environment", environment),
                tags=list(target.interpreter.tag_rank),
                extras=extras,
                dependency_groups=groups,
            )
        )
    except PylockSelectError as error:
        raise _select_error(pylock, top, target, str(error)) from error
    except UNDEFINED as error:
        active = frozenset(pylock.default_groups or ()) if groups is None else groups
        path = wrong_marker(pylock, {**environment, "extras": extras, "dependency_groups": active})
        raise top.error(f"a marker cannot be evaluated: {error}", key=path) from error


def _select_error(pylock: Pylock, top: Table, target: Target, message: str) -> SelectionError:
    """Our error for packaging's, which tells its reasons apart in words only."""
    match = PLACE.search(message)
    package = pylock.packages[int(match.group(1))] if match else None
    if package is not None and package.wheels and message.startswith("No wheel"):
        return no_wheel_error(
            package.name,
            str(package.version or ""),
            [wheel.filename for wheel in package.wheels],
            target.interpreter,
            has_sdist=False,
        )
    if message.startswith("Multiple packages"):
        return top.error(message, key=("packages", int(match[1])) if match else ())
    return TargetError(f"{top.file}: {message}", hint="lock for this platform and Python too", path=top.file)


def _converted(
    document: PylockDocument, package: Package, source: Source, target: Target
) -> Pin | IndexPin | SourcePin | LocalProject:
    match source:
        case PackageWheel() if document.maker == "pipenv" and (pin := _pin_of_digests(document, package)):
            return pin
        case PackageWheel():
            return _pin_of_wheels(document, package, target)
        case PackageDirectory():
            return _local_project(document, package, source)
        case PackageArchive():
            return _pin_of_archive(document, package, source, target)
        case PackageSdist():
            return _source_pin(document, package, source, index=package.index)
        case PackageVcs():
            return _commit(document, package, source)


def _pin_of_digests(document: PylockDocument, package: Package) -> IndexPin | None:
    """The digests and the index, if the file names are made up; None if they are those of an index.

    Older versions of Pipenv had only digests, and made up a file for each: ``NAME-VERSION-py3-none-any.whl``, in the
    index.
    """
    index, wheels = package.index, package.wheels or ()
    if index is None or package.version is None:
        return None
    if not all((wheel.url or "").startswith(f"{index.rstrip('/')}/") for wheel in wheels):
        return None
    digests = frozenset(_wheel_file(document, package, wheel.filename, wheel).digest for wheel in wheels)
    return IndexPin(name=package.name, version=str(package.version), digests=digests, indexes=(index,), exclusive=True)


def _pin_of_wheels(document: PylockDocument, package: Package, target: Target) -> Pin:
    """Choose the wheel again: packaging chose by tag only, but among equal tags the highest build number wins."""
    candidates = [_wheel_file(document, package, wheel.filename, wheel) for wheel in package.wheels or ()]
    chosen = choose_wheel(candidates, target.interpreter)
    if chosen is None:
        names = [wheel.filename for wheel in package.wheels or ()]
        raise no_wheel_error(package.name, str(package.version or ""), names, target.interpreter, has_sdist=False)
    return _pin(package, chosen)


def _source_pin(
    document: PylockDocument, package: Package, file: PackageSdist | PackageArchive, *, index: str | None
) -> SourcePin:
    """A source distribution of an index, or an archive of sources by its address, which is a direct reference."""
    found = _wheel_file(document, package, _filename(file), file)
    subdirectory = file.subdirectory if isinstance(file, PackageArchive) else None
    return SourcePin(
        name=package.name,
        version=str(package.version) if package.version else None,
        source=SourceArchive(filename=found.filename, digest=found.digest, url=found.url, size=found.size),
        subdirectory=subdirectory,
        index=index,
        direct_url=archive_origin(found.url, found.digest, subdirectory) if isinstance(file, PackageArchive) else None,
    )


def _filename(file: PackageWheel | PackageSdist | PackageArchive) -> str:
    if not isinstance(file, PackageArchive):
        return file.filename
    return file.path.replace("\\", "/").rpartition("/")[2] if file.path else filename_of(file.url or "")


def _commit(document: PylockDocument, package: Package, vcs: PackageVcs) -> SourcePin:
    if vcs.type != "git":
        raise _unsupported(package, f"a {vcs.type[:20]} repository")
    if not is_commit(vcs.commit_id):
        raise document.error(package, f"{vcs.commit_id[:80]!r} is not a commit")
    try:
        url = vcs.url or file_url(document.folder, vcs.path or "")
    except ValueError as error:
        raise document.error(package, str(error)) from error
    source = GitCommit(url=url, commit=vcs.commit_id, requested_revision=vcs.requested_revision)
    return commit_pin(package.name, str(package.version) if package.version else None, source, vcs.subdirectory)


def _pin_of_archive(
    document: PylockDocument, package: Package, archive: PackageArchive, target: Target
) -> Pin | SourcePin:
    filename = _filename(archive)
    if not filename.endswith(".whl"):
        return _source_pin(document, package, archive, index=None)
    wheel = _wheel_file(document, package, filename, archive)
    parsed = parsed_filename(filename)
    if parsed is None or parsed[0] != package.name or (package.version and parsed[1] != package.version):
        raise document.error(package, f"{filename[:120]!r} is not the file name of a wheel of it", file=archive)
    if choose_wheel((wheel,), target.interpreter) is None:
        raise no_wheel_error(package.name, str(parsed[1]), (filename,), target.interpreter, has_sdist=False)
    return replace(_pin(package, wheel), direct_url=archive_origin(wheel.url, wheel.digest, archive.subdirectory))


def _pin(package: Package, wheel: WheelFile) -> Pin:
    parsed = parsed_filename(wheel.filename)
    assert parsed is not None, "what was chosen has a valid file name"
    return Pin(name=package.name, version=str(package.version or parsed[1]), wheel=wheel, index=package.index)


def _wheel_file(
    document: PylockDocument, package: Package, filename: str, file: PackageWheel | PackageSdist | PackageArchive
) -> WheelFile:
    """A file of the lock file. A path goes before a URL, as in PEP 751.

    Raises LockFileError without a strong digest.
    """
    try:
        digest = strongest(file.hashes)
        if digest is None:
            raise document.error(
                package,
                f"{filename[:120]!r} has no strong digest, only {', '.join(sorted(file.hashes))[:80] or 'none'}",
                file=file,
                hint=STRONG_HINT,
            )
        address = file_url(document.folder, file.path) if file.path else checked_url(file.url or "")
        return WheelFile(filename=filename, digest=digest, url=address, size=file.size)
    except ValueError as error:
        raise document.error(package, f"{filename[:120]!r}: {error}", file=file) from error


def _local_project(document: PylockDocument, package: Package, directory: PackageDirectory) -> LocalProject:
    try:
        path = absolute_path(document.folder, str(Path(directory.path) / (directory.subdirectory or "")))
    except ValueError as error:
        raise document.error(package, str(error), file=directory) from error
    return project_in(path, package.name, document.folder, editable=bool(directory.editable))


def _unsupported(package: Package, what: str) -> UnsupportedSourceError:
    return UnsupportedSourceError(
        f"`{package.name}` is locked as {what}",
        hint="lock it from an index or from a git repository",
        name=package.name,
    )


def _warnings(pylock: Pylock, file: str) -> tuple[str, ...]:
    if str(pylock.lock_version) == "1.0":
        return ()
    return (f"{file}: lock-version {pylock.lock_version} is newer than 1.0: what it adds is not understood",)
