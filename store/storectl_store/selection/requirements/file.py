"""Selection from a requirements file in hash mode: every requirement is pinned with ``==`` and has a strong digest.

Such a file names digests but no files, so most of it becomes `IndexPin`. Wheels given by URL or path are pins at once.
"""

from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qsl

from packaging.utils import NormalizedName, canonicalize_name, parse_sdist_filename

from storectl_store.errors import TargetError, UnsupportedSourceError
from storectl_store.selection.addresses import absolute_path, checked_url, file_url, filename_of
from storectl_store.selection.choose import choose_wheel, no_wheel_error, parsed_filename
from storectl_store.selection.direct_sources import SOURCE_ARCHIVES, project_in
from storectl_store.selection.lock_file import LockFile
from storectl_store.selection.marker_values import MarkerValues
from storectl_store.selection.options import asked_extras, asked_groups
from storectl_store.selection.origins import archive_origin, commit_origin, is_commit
from storectl_store.selection.pin import (
    GitCommit,
    IndexPin,
    LocalProject,
    Pin,
    Selected,
    Selection,
    SourceArchive,
    SourcePin,
    WheelFile,
)
from storectl_store.selection.project_file import parse_project_file, project_requires_python, root_project
from storectl_store.selection.python_version import check_requires_python
from storectl_store.selection.requirements.constraints import Constraint, constrained, narrowed, read_constraints
from storectl_store.selection.requirements.entries import Entry, metadata_path
from storectl_store.selection.requirements.subjects import HASH_HINT, Subject, subject_of
from storectl_store.selection.requirements.tree import RequirementsTree, read_tree
from storectl_store.selection.target import Target


def select_from_requirements(lock_file: LockFile, target: Target) -> Selection:
    """What a requirements file selects for the target. It has neither extras nor groups.

    Raises SelectionError if it is malformed or does not fit.
    """
    file = str(lock_file.path)
    asked_extras(target, frozenset(), file)
    asked_groups(target, frozenset(), file)
    if not target.project:
        raise TargetError(f"{file} has no groups, so nothing is left of it without the project", path=file)
    check_requires_python(project_requires_python(lock_file), target.interpreter, file)
    items = _Reader(lock_file, target, read_tree(lock_file)).items()
    return Selection.of((*items, *root_project(lock_file, items)))


class _Reader:
    """The requirements of one file, read for one target."""

    def __init__(self, lock_file: LockFile, target: Target, tree: RequirementsTree) -> None:
        self._lock_file = lock_file
        self._interpreter = target.interpreter
        self._values = MarkerValues({**target.interpreter.markers, "extra": ""})
        self._tree = tree

    def items(self) -> list[Selected]:
        """All that is selected, sorted by name. Raises LockFileError if one name is required in two ways."""
        subjects = [subject_of(entry) for entry in self._tree.requirements]
        constraints = read_constraints(self._tree.constraints, self._holds)
        chosen: dict[NormalizedName, Selected] = {}
        for subject in subjects:
            if self._holds(subject.entry, subject.marker):
                item = self._item(subject, constraints)
                chosen[item.name] = _merged(chosen.get(item.name), item, subject)
        return sorted(chosen.values(), key=lambda item: item.name)

    def _holds(self, entry: Entry, marker: str | None) -> bool:
        try:
            return self._values.hold(marker)
        except ValueError as error:
            raise entry.line.error(str(error)) from error

    def _item(self, subject: Subject, constraints: tuple[Constraint, ...]) -> Selected:
        if subject.entry.values("--global-option"):
            raise subject.entry.line.error(
                "`--global-option` is for setup.py, which no build runs by itself any more",
                hint="say it with `--config-settings`",
            )
        if subject.name is not None and subject.version is not None:
            return constrained(self._index_pin(subject.name, subject.version, subject), constraints)
        try:
            return self._addressed(subject)
        except ValueError as error:
            raise subject.entry.line.error(str(error)) from error

    def _index_pin(self, name: NormalizedName, version: str, subject: Subject) -> IndexPin:
        return IndexPin(
            name=name,
            version=version,
            digests=subject.digests,
            indexes=self._tree.indexes,
            find_links=tuple(self._tree.find_links),
            exclusive=self._tree.exclusive,
            formats=self._tree.formats(name),
            config_settings=subject.entry.values("--config-settings"),
            settings="`--no-binary` or `--only-binary` of the requirements file or of pip's variables",
        )

    def _addressed(self, subject: Subject) -> Pin | SourcePin | LocalProject:
        """The item at a path or URL. Paths are relative to the folder of the lock file."""
        if subject.is_repository:
            return self._commit(subject)
        address = subject.path if subject.path is not None else checked_url(subject.url or "")
        if address.endswith(SOURCE_ARCHIVES):
            url = address if subject.path is None else file_url(self._lock_file.project, address)
            return self._archive(url, subject)
        if subject.path is None:
            if not subject.digests:
                raise subject.entry.line.error(f"{address[-120:]!r} has no hash", hint=HASH_HINT)
            if not address.endswith(".whl"):
                raise _unsupported(subject, "an address that is not that of a wheel")
            return self._pin(address, subject)
        if address.endswith(".whl"):
            return self._pin(file_url(self._lock_file.project, address), subject)
        local = self._local_project(
            absolute_path(self._lock_file.project, address), subject.name, editable=subject.entry.editable
        )
        return replace(local, config_settings=subject.entry.values("--config-settings"))

    def _commit(self, subject: Subject) -> SourcePin:
        """The commit of ``git+https://host/repository@<commit>#egg=name&subdirectory=folder``; it needs no hash."""
        kind, _, rest = (subject.url or "").partition("+")
        address, at, commit = rest.rpartition("@")
        options = dict(parse_qsl(subject.fragment))
        name = subject.name or canonicalize_name(options.get("egg", ""), validate=True)
        if kind != "git":
            raise _unsupported(subject, f"a {kind} repository")
        if not at or not is_commit(commit):
            raise subject.entry.line.error(
                f"`{name}` comes from a repository without a commit",
                hint="write the whole commit behind an @",
                name=name,
            )
        source = GitCommit(url=address, commit=commit, requested_revision=commit)
        subdirectory = options.get("subdirectory")
        return SourcePin(
            name=name,
            version=None,
            source=source,
            subdirectory=subdirectory,
            direct_url=commit_origin(source, subdirectory),
            config_settings=subject.entry.values("--config-settings"),
        )

    def _archive(self, url: str, subject: Subject) -> SourcePin:
        """A source archive by its address. Its name is given, or is that in a source distribution's file name."""
        if len(subject.digests) != 1:
            raise subject.entry.line.error(
                f"{url[-120:]!r} needs one hash, and has {len(subject.digests)}", hint=HASH_HINT
            )
        (digest,) = subject.digests
        filename = filename_of(url)
        subdirectory = dict(parse_qsl(subject.fragment)).get("subdirectory")
        return SourcePin(
            name=subject.name or _name_of_sdist(filename),
            version=None,
            source=SourceArchive(filename=filename, digest=digest, url=url),
            subdirectory=subdirectory,
            direct_url=archive_origin(url, digest, subdirectory),
            config_settings=subject.entry.values("--config-settings"),
        )

    def _pin(self, address: str, subject: Subject) -> Pin:
        filename = filename_of(address)
        parsed = parsed_filename(filename)
        if parsed is None or subject.name not in (None, parsed[0]):
            of_name = f" of `{subject.name}`" if subject.name else ""
            raise subject.entry.line.error(f"{filename[:120]!r} is not the file name of a wheel{of_name}")
        (digest,) = subject.digests
        wheel = WheelFile(filename=filename, digest=digest, url=address)
        if choose_wheel((wheel,), self._interpreter) is None:
            raise no_wheel_error(parsed[0], str(parsed[1]), (filename,), self._interpreter, has_sdist=False)
        return Pin(name=parsed[0], version=str(parsed[1]), wheel=wheel, direct_url=archive_origin(address, digest))

    def _local_project(self, path: str, name: NormalizedName | None, *, editable: bool) -> LocalProject:
        """The project in this folder, under the name that it gives itself.

        Without that it has the name given, or else that of its folder. Raises InvalidName, a ValueError, if that is no
        name.
        """
        folder = self._lock_file.project
        file = metadata_path(path, "")
        content = self._lock_file.pyproject if path == str(folder) else self._lock_file.included.get(file)
        own_name = parse_project_file(content, file).name if content is not None else None
        own_name = own_name or name or canonicalize_name(Path(path).name, validate=True)
        return project_in(path, own_name, folder, editable=editable)


def _name_of_sdist(filename: str) -> NormalizedName:
    """The project in a source distribution's file name. Raises ValueError if it is no such file name."""
    return parse_sdist_filename(filename)[0]


def _merged(first: Selected | None, second: Selected, subject: Subject) -> Selected:
    """One item of two for the same project; a project may be named twice if both agree.

    Raises LockFileError otherwise.
    """
    if first is None or first == second:
        return second
    if isinstance(first, IndexPin) and isinstance(second, IndexPin) and first.version == second.version:
        return narrowed(second, first.digests, subject.entry.line)
    raise subject.entry.line.error(f"`{second.name}` is required a second time, and differently")


def _unsupported(subject: Subject, what: str) -> UnsupportedSourceError:
    line = subject.entry.line
    return UnsupportedSourceError(
        f"{line.file}:{line.number}: {subject.entry.requirement[:120]!r} is {what}",
        hint="name a version, the URL of a wheel or source archive, or a commit of a git repository",
        name=subject.name,
        path=line.file,
        line=line.number,
    )
