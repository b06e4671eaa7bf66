"""Selection from ``poetry.lock``.

From version 2.1 on each package says in which groups it is needed, and under which markers. For older versions storectl
starts at the dependencies in ``pyproject.toml`` and follows those of the packages, carrying extras.
"""

from collections import deque
from collections.abc import Iterable

from packaging.utils import NormalizedName
from packaging.version import Version

from storectl_store.errors import TargetError
from storectl_store.selection.lock_file import LockFile
from storectl_store.selection.marker_values import MarkerValues
from storectl_store.selection.options import asked_extras, asked_groups
from storectl_store.selection.pin import LocalProject, Selection
from storectl_store.selection.poetry.constraints import Constraint
from storectl_store.selection.poetry.lock import MAIN, PoetryEdge, PoetryLock, PoetryPackage, read_poetry_lock
from storectl_store.selection.poetry.project import PoetryProject, poetry_project_of
from storectl_store.selection.poetry.sources import selected_package
from storectl_store.selection.policy_settings import build_policy_of
from storectl_store.selection.python_version import release_of
from storectl_store.selection.tables.toml_table import Table, parse_toml
from storectl_store.selection.target import Target

_MAY_BE_MISSING = frozenset({"setuptools", "pip", "wheel", "distribute"})
"""What Poetry before 1.3 did not lock, because every environment had it."""


def select_from_poetry_lock(lock_file: LockFile, target: Target) -> Selection:
    """What a ``poetry.lock`` selects for the target. Raises SelectionError if it is malformed or does not fit."""
    lock = read_poetry_lock(parse_toml(lock_file.content, str(lock_file.path)))
    project = poetry_project_of(lock_file)
    _check_python(lock, target)
    packages, warnings = selected_packages(lock, project, target)
    policy = build_policy_of(lock_file)
    items = [selected_package(package, lock_file, target.interpreter, policy) for package in packages]
    if project is not None and project.packaged and project.name is not None and target.project:
        items.append(
            LocalProject(name=project.name, path=str(lock_file.project), kind="root", packaged=True, optional=True)
        )
    return Selection.of(items, warnings=warnings, stale=_stale(lock, project))


def selected_packages(
    lock: PoetryLock, project: PoetryProject | None, target: Target
) -> tuple[tuple[PoetryPackage, ...], tuple[str, ...]]:
    """The packages for the target, sorted by name, of whatever source, and warnings for a person."""
    groups, extras = _options(lock, project, target)
    values = MarkerValues(target.interpreter.markers)
    if lock.inherits:
        return _inherited(lock, groups, extras, values), ()
    if project is None:
        raise lock.table.error(
            "needs the pyproject.toml beside it", hint="lock with Poetry 2 or newer, which writes groups and markers"
        )
    walk = _Walk(lock, values, release_of(target.interpreter.version), extras)
    walk.from_roots(project, groups)
    warnings = [f"{lock.table.file} does not lock {name}, which {source} needs" for name, source in walk.missing]
    return _one_of_each(lock.table, walk.found), tuple(sorted(warnings))


def _check_python(lock: PoetryLock, target: Target) -> None:
    try:
        allowed = Constraint(lock.python_versions).allows(release_of(target.interpreter.version))
    except ValueError as error:
        raise lock.table.error(f"`python-versions`: {error}", key=("metadata", "python-versions")) from error
    if not allowed:
        raise TargetError(
            f"{lock.table.file} is for Python {lock.python_versions}; this is Python {target.interpreter.version}",
            hint="choose another Python with -p",
            path=lock.table.file,
        )


def _options(
    lock: PoetryLock, project: PoetryProject | None, target: Target
) -> tuple[frozenset[NormalizedName], frozenset[NormalizedName]]:
    """The groups and extras asked for. The default groups are those that are not optional."""
    named = (group for same in lock.packages.values() for package in same for group in package.groups)
    known = frozenset(project.groups if project else named) - {MAIN}
    optional = project.optional_groups if project else frozenset()
    groups = asked_groups(target, known, lock.table.file, defaults=known - optional)
    known_extras = lock.extras | frozenset(project.extras if project else ())
    extras = asked_extras(target, known_extras, lock.table.file)
    return (groups | {MAIN}) if target.project else groups, extras


def _inherited(
    lock: PoetryLock,
    groups: frozenset[NormalizedName],
    extras: frozenset[NormalizedName],
    values: MarkerValues,
) -> tuple[PoetryPackage, ...]:
    found = []
    for same in lock.packages.values():
        for package in same:
            needed = package.groups & groups
            markers = {package.markers.get(group, package.markers.get(None)) for group in needed}
            if any(_holds(values, marker, extras, package.table, "markers") for marker in markers):
                found.append(package)
    return _one_of_each(lock.table, found)


def _holds(values: MarkerValues, marker: str | None, extras: frozenset[NormalizedName], table: Table, key: str) -> bool:
    try:
        return values.hold(marker, frozenset(extras))
    except ValueError as error:
        raise table.error(str(error), key=key) from error


class _Walk:
    """The walk from the roots along every edge that holds, for one Python."""

    def __init__(self, lock: PoetryLock, values: MarkerValues, python: str, extras: frozenset[NormalizedName]) -> None:
        self.found: list[PoetryPackage] = []
        self.missing: set[tuple[str, str]] = set()
        self._lock = lock
        self._values = values
        self._python = python
        self._extras = extras
        self._own: NormalizedName | None = None
        self._seen: set[tuple[PoetryPackage, frozenset[NormalizedName]]] = set()
        self._waiting: deque[tuple[PoetryPackage, frozenset[NormalizedName]]] = deque()

    def from_roots(self, project: PoetryProject, groups: Iterable[NormalizedName]) -> None:
        """Walk from the dependencies of these groups. Optional ones count only if an extra brings them."""
        self._own = project.name
        brought = frozenset(name for extra in self._extras for name in project.extras.get(extra, ()))
        for group in sorted(groups):
            for edge in project.groups.get(group, ()):
                if (not edge.optional or edge.name in brought) and self._is_for_this_python(edge):
                    self._follow(edge, self._extras, "the project")
        while self._waiting:
            package, extras = self._waiting.popleft()
            of_extras = frozenset(name for extra in extras for name in package.extras.get(extra, ()))
            for edge in package.edges:
                if not edge.optional or edge.name in of_extras:
                    self._follow(edge, extras, package.name)

    def _is_for_this_python(self, edge: PoetryEdge) -> bool:
        """Whether ``python`` and ``platform`` of a dependency in ``pyproject.toml`` allow this interpreter."""
        table = edge.table
        platform = table.optional_text("platform") if "platform" in table.values else None
        if platform is not None and platform != self._values_of("sys_platform"):
            return False
        text = table.optional_text("python") if "python" in table.values else None
        try:
            return text is None or Constraint(text).allows(self._python)
        except ValueError as error:
            raise table.error(f"`python`: {error}", key="python") from error

    def _values_of(self, name: str) -> str:
        return self._values.value(name)

    def _follow(self, edge: PoetryEdge, extras: frozenset[NormalizedName], source: str) -> None:
        if not _holds(self._values, edge.marker, extras, edge.table, "markers"):
            return
        package = self._package(edge, source)
        if package is not None and (package, edge.extras) not in self._seen:
            self._seen.add((package, edge.extras))
            self._waiting.append((package, edge.extras))
            self.found.append(package)

    def _package(self, edge: PoetryEdge, source: str) -> PoetryPackage | None:
        same = self._lock.packages.get(edge.name, ())
        fitting = [p for p in same if edge.constraint.allows(p.version)] if len(same) > 1 else list(same)
        here = [package for package in fitting if package.python.allows(self._python)]
        if len(here) > 1:
            here.sort(key=lambda package: Version(package.version))
        if here or (fitting and not here and len(same) == 1):
            return (here or fitting)[-1]
        if edge.name == self._own and not same:
            return None  # A plugin that depends on the project that uses it.
        if edge.name in _MAY_BE_MISSING:
            self.missing.add((edge.name, source))
            return None
        raise self._lock.table.error(
            f"dependency `{edge.name}` of {source} names no package of the lock file",
            hint="make it anew with `poetry lock`",
        )


def _one_of_each(top: Table, found: Iterable[PoetryPackage]) -> tuple[PoetryPackage, ...]:
    chosen: dict[NormalizedName, PoetryPackage] = {}
    for package in sorted(found, key=lambda package: (package.name, package.version)):
        other = chosen.setdefault(package.name, package)
        if other.version != package.version:
            raise top.error(f"both `{package.name}` {other.version} and {package.version} are needed at once")
    return tuple(chosen.values())


def _stale(lock: PoetryLock, project: PoetryProject | None) -> str | None:
    if project is None or lock.content_hash in (None, project.content_hash):
        return None
    if lock.content_hash == project.older_hash and not lock.counts_groups:
        return None
    return f"{lock.table.file} was made before pyproject.toml changed: run `poetry lock`"
