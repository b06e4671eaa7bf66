"""Selection from ``uv.lock`` and the lock files of scripts, read natively: uv need not be installed."""

from collections.abc import Callable
from contextlib import suppress

from storectl_store.errors import ProblemError, TargetError
from storectl_store.selection.build_policy import BuildPolicy
from storectl_store.selection.lock_file import LockFile
from storectl_store.selection.marker_values import MarkerValues
from storectl_store.selection.pin import Selected, Selection
from storectl_store.selection.policy_settings import build_policy_of
from storectl_store.selection.project_file import ProjectFile, parse_project_file, project_file_of
from storectl_store.selection.python_version import check_requires_python
from storectl_store.selection.tables.toml_table import parse_toml
from storectl_store.selection.target import Interpreter, Target
from storectl_store.selection.uv.graph import reachable_packages
from storectl_store.selection.uv.groups import check_groups
from storectl_store.selection.uv.known_packages import KnownPackages
from storectl_store.selection.uv.lock import UvLock, UvPackage, read_uv_lock
from storectl_store.selection.uv.roots import find_member, find_roots, recorded_project
from storectl_store.selection.uv.sources import selected_package
from storectl_store.selection.uv.staleness import staleness
from storectl_store.selection.uv.workspace import UvProject, members_of, projects_of

Selecting = Callable[[UvPackage, UvLock, LockFile, Interpreter, BuildPolicy], Selected]
"""Says what a package is, as ``selected_package`` does."""


def select_from_uv_lock(lock_file: LockFile, target: Target, known: KnownPackages | None = None) -> Selection:
    """What a ``uv.lock`` selects for the target. Raises SelectionError if it is malformed or does not fit.

    With ``known`` only packages that are not known yet are read. They are known afterwards.
    """
    if known is not None:
        with suppress(ProblemError):  # the file as a whole is read again, to say where
            if in_blocks := known.read(lock_file):
                return _selected(in_blocks.lock, lock_file, target, in_blocks.selected)
    lock = read_uv_lock(parse_toml(lock_file.content, str(lock_file.path)))
    return _selected(lock, lock_file, target, selected_package)


def _selected(lock: UvLock, lock_file: LockFile, target: Target, selecting: Selecting) -> Selection:
    """The Python version is checked first: uv leaves out of the markers what ``requires-python`` already says."""
    check_requires_python(lock.requires_python, target.interpreter, lock.table.file)
    values = MarkerValues(target.interpreter.markers)
    _check_supported(lock, values)
    projects = _projects(lock_file)
    check_groups(members_of(projects))
    member = find_member(lock, lock_file.project, target.member)
    roots = find_roots(lock, _project_file(lock, lock_file, member), target, member)
    policy = build_policy_of(lock_file)
    packages = reachable_packages(lock, roots, values)
    selected = [selecting(package, lock, lock_file, target.interpreter, policy) for package in packages]
    return Selection.of(selected, stale=staleness(lock, lock_file, projects))


def _projects(lock_file: LockFile) -> list[UvProject]:
    if lock_file.pyproject is None:
        return []
    return projects_of(lock_file.project, lock_file.pyproject, lock_file.included)


def _project_file(lock: UvLock, lock_file: LockFile, member: UvPackage | None) -> ProjectFile:
    """The project file of the root. Raises LockFileError if it is malformed."""
    if lock_file.pyproject is None:
        return recorded_project(lock)
    if member is None:
        return project_file_of(lock_file)
    file = str(lock_file.project / member.source.location / "pyproject.toml")
    return parse_project_file(lock_file.included.get(file, b""), file)


def _check_supported(lock: UvLock, values: MarkerValues) -> None:
    """Raise TargetError if the lock file was made for other platforms only."""
    try:
        supported = not lock.supported_markers or any(values.hold(marker) for marker in lock.supported_markers)
    except ValueError as error:
        raise lock.table.error(f"`supported-markers`: {error}", key="supported-markers") from error
    if not supported:
        raise TargetError(
            f"{lock.table.file} does not support this platform, only {' or '.join(lock.supported_markers)[:200]}",
            hint="add it to `[tool.uv] environments` and lock again",
            path=lock.table.file,
        )
