"""Selection from ``pdm.lock``.

With the strategy ``inherit_metadata`` every package says in which groups it is needed, and under which marker. Without
it, storectl starts at the dependencies in ``pyproject.toml`` and follows those of the packages. Either way ``name`` and
``name[extra]`` become one project in the end.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from storectl_store.errors import TargetError
from storectl_store.selection.lock_file import LockFile
from storectl_store.selection.marker_values import MarkerValues
from storectl_store.selection.options import asked_extras, asked_groups, canonical_names
from storectl_store.selection.pdm.lock import PdmLock, PdmPackage, PdmTarget, read_pdm_lock
from storectl_store.selection.pdm.platforms import allows_platform
from storectl_store.selection.pdm.project import DEFAULT, PdmProject, pdm_project_of
from storectl_store.selection.pdm.sources import selected_package
from storectl_store.selection.pin import LocalProject, Selection
from storectl_store.selection.policy_settings import build_policy_of
from storectl_store.selection.python_version import release_of
from storectl_store.selection.tables.toml_table import parse_toml
from storectl_store.selection.target import Interpreter, Target

_NO_PROJECT = PdmProject(
    name=None, packaged=False, dependencies=(), extras={}, groups={}, indexes=(), find_links=(),
    exclusive=False, content_hash=""
)  # fmt: skip


def select_from_pdm_lock(lock_file: LockFile, target: Target) -> Selection:
    """What a ``pdm.lock`` selects for the target. Raises SelectionError if it is malformed or does not fit."""
    lock = read_pdm_lock(parse_toml(lock_file.content, str(lock_file.path)))
    found = pdm_project_of(lock_file)
    project = found or _NO_PROJECT
    _check_targets(lock, target.interpreter)
    groups = _groups(lock, project, target)
    values = MarkerValues({**target.interpreter.markers, "extra": ""})
    packages = _inherited(lock, groups, values) if lock.inherits else _walked(lock, project, groups, values)
    policy = build_policy_of(lock_file)
    items = [
        selected_package(package, lock_file, project, target.interpreter, policy)
        for package in _one_of_each(lock, packages)
    ]
    if project.packaged and project.name is not None and target.project:
        items = [item for item in items if not isinstance(item, LocalProject) or item.name != project.name]
        items.append(LocalProject(name=project.name, path=str(lock_file.project), kind="root", packaged=True))
    return Selection.of(items, stale=_stale(lock, found))


def _stale(lock: PdmLock, project: PdmProject | None) -> str | None:
    if project is None or lock.content_hash in (None, project.content_hash):
        return None
    return f"{lock.table.file} was made before pyproject.toml changed: run `pdm lock`"


def _check_targets(lock: PdmLock, interpreter: Interpreter) -> None:
    """Raise TargetError if the lock file was made for other Pythons or platforms only."""
    if lock.targets and not any(_allows(target, interpreter) for target in lock.targets):
        wanted = " or ".join(
            " ".join(filter(None, (target.requires_python, target.platform, target.implementation)))
            for target in lock.targets
        )
        raise TargetError(
            f"{lock.table.file} is for Python {wanted[:200]}; this is Python {interpreter.version}",
            hint="choose another Python with -p, or lock for this one too "
            "(`pdm lock --append --python=… --platform=…`)",
            path=lock.table.file,
        )


def _allows(target: PdmTarget, interpreter: Interpreter) -> bool:
    if target.requires_python is not None:
        allowed = SpecifierSet(target.requires_python)
        if not allowed.contains(release_of(interpreter.version), prereleases=True):
            return False
    if target.implementation is not None and target.implementation.lower() != interpreter.implementation.lower():
        return False
    return target.platform is None or allows_platform(target.platform, interpreter)


def _groups(lock: PdmLock, project: PdmProject, target: Target) -> frozenset[NormalizedName]:
    """The groups asked for, as PDM counts them: extras are groups too, and so is the project itself.

    If nothing in particular is asked for, they are all groups and extras that the lock file was made with, as for ``pdm
    sync`` (``GroupSelection`` in PDM 2.29).
    """
    file = lock.table.file
    known_extras = frozenset(project.extras) & (lock.groups or frozenset(project.extras))
    known_groups = lock.groups - known_extras - {DEFAULT} if lock.groups else frozenset(project.groups)
    extras = asked_extras(target, known_extras, file)
    if target.is_plain and lock.groups:
        extras = known_extras - canonical_names(target.no_extras)
    groups = asked_groups(target, known_groups, file, defaults=known_groups)
    return groups | extras | {DEFAULT} if target.project else groups


def _inherited(lock: PdmLock, groups: frozenset[NormalizedName], values: MarkerValues) -> Iterator[PdmPackage]:
    for same in lock.packages.values():
        for package in same:
            if package.groups & groups and _holds(package, values):
                yield package


def _holds(package: PdmPackage, values: MarkerValues) -> bool:
    try:
        return values.hold(package.marker)
    except ValueError as error:
        raise package.table.error(str(error), key="marker") from error


@dataclass(slots=True)
class _Walk:
    """The walk along dependencies, for a lock file whose packages do not say in which groups they are needed."""

    lock: PdmLock
    values: MarkerValues
    found: dict[int, PdmPackage]
    project: PdmProject
    own_extras: set[NormalizedName] = field(default_factory=set)

    def follow(self, texts: Iterable[str], source: PdmPackage | None) -> None:
        for text in texts:
            requirement = self._requirement(text, source)
            if requirement is not None and self._holds(requirement, source):
                self._reach(requirement, source)

    def _requirement(self, text: str, source: PdmPackage | None) -> Requirement | None:
        table = source.table if source else self.lock.table
        if text.startswith("-e "):
            # PDM's own form for editable ones: `-e file:///${PROJECT_ROOT}/folder#egg=name`.
            text = text.partition("#egg=")[2].partition("&")[0]
        try:
            return Requirement(text) if text else None
        except (InvalidRequirement, RecursionError) as error:
            raise table.error(f"{text[:120]!r} is not a requirement") from error

    def _holds(self, requirement: Requirement, source: PdmPackage | None) -> bool:
        table = source.table if source else self.lock.table
        try:
            return self.values.hold(str(requirement.marker) if requirement.marker else None)
        except ValueError as error:
            raise table.error(str(error)) from error

    def _reach(self, requirement: Requirement, source: PdmPackage | None) -> None:
        name = canonicalize_name(requirement.name)
        extras = frozenset(canonicalize_name(extra) for extra in requirement.extras)
        if name in self.project.excludes:
            return
        if name == self.project.name and name not in self.lock.packages:
            self._follow_extras(extras)
            return
        same = self.lock.packages.get(name, ())
        overridden = name in self.project.overrides  # PDM locks by the override, whatever is required
        fitting = [package for package in same if overridden or _satisfies(package, requirement)]
        wanted = [package for package in fitting if package.extras == extras] or [
            package for package in fitting if not package.extras or package.extras <= extras
        ]
        if not wanted:
            table = source.table if source else self.lock.table
            raise table.error(
                f"dependency `{name}` names no package of the lock file", hint="make it anew with `pdm lock`"
            )
        for package in wanted:
            if id(package) not in self.found:
                self.found[id(package)] = package
                self.follow(package.dependencies, package)

    def _follow_extras(self, extras: frozenset[NormalizedName]) -> None:
        """Follow extras of the project itself, which it requires by its own name."""
        for extra in sorted(extras - self.own_extras):
            self.own_extras.add(extra)
            self.follow(self.project.extras.get(extra, ()), None)


def _satisfies(package: PdmPackage, requirement: Requirement) -> bool:
    if package.version is None or requirement.url is not None:
        return True
    return requirement.specifier.contains(Version(package.version), prereleases=True)


def _walked(
    lock: PdmLock, project: PdmProject, groups: frozenset[NormalizedName], values: MarkerValues
) -> Iterator[PdmPackage]:
    walk = _Walk(lock, values, {}, project)
    if DEFAULT in groups:
        walk.follow(project.dependencies, None)
    for table in (project.extras, project.groups):
        for name, texts in table.items():
            if name in groups:
                walk.follow(texts, None)
    own = {project.name}
    yield from (package for package in walk.found.values() if package.name not in own)


def _one_of_each(lock: PdmLock, packages: Iterable[PdmPackage]) -> list[PdmPackage]:
    """One package for each project, the one without extras if there is one.

    Raises LockFileError for two versions at once.
    """
    chosen: dict[NormalizedName, PdmPackage] = {}
    for package in sorted(packages, key=lambda package: (package.name, len(package.extras))):
        other = chosen.setdefault(package.name, package)
        if other.version != package.version:
            raise lock.table.error(f"both `{package.name}` {other.version} and {package.version} are needed at once")
    return list(chosen.values())
