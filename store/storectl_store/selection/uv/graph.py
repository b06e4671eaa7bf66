"""The walk through a ``uv.lock``: from the roots along every edge whose marker holds, carrying extras.

A lock file with conflicts is walked twice, as uv does it, because an edge may depend on extras that are only met later.
The first walk gathers the extras, the second one selects.
"""

from collections import deque
from collections.abc import Iterable

from packaging.utils import NormalizedName

from storectl_store.selection.marker_values import MarkerValues
from storectl_store.selection.uv.conflicts import Active, check_conflicts, extra_marker
from storectl_store.selection.uv.lock import UvEdge, UvLock, UvPackage
from storectl_store.selection.uv.roots import Roots


def reachable_packages(lock: UvLock, roots: Roots, values: MarkerValues) -> tuple[UvPackage, ...]:
    """All packages that the roots need for these marker values, sorted by name.

    Raises TargetError if two sides of a declared conflict are active. Raises LockFileError if an edge leads to no
    package or to several, or if two versions of one project are needed at once.
    """
    active = roots.active
    if lock.conflicts:
        discovery = _Walk(lock, values, active, gathers=True)
        discovery.from_roots(roots)
        active = discovery.active
        check_conflicts(lock.conflicts, active, lock.table.file)
    walk = _Walk(lock, values, active, gathers=False)
    walk.from_roots(roots)
    return _one_of_each(lock, walk.found)


class _Walk:
    """One walk. ``gathers``: the extras of every edge walked are added to ``active``; otherwise it stays as it is."""

    def __init__(self, lock: UvLock, values: MarkerValues, active: Active, *, gathers: bool) -> None:
        self.active = active
        self.found: set[UvPackage] = set()
        self._lock = lock
        self._values = values
        self._gathers = gathers
        self._seen: set[tuple[UvPackage, NormalizedName | None]] = set()
        self._waiting: deque[tuple[UvPackage, NormalizedName | None]] = deque()

    def from_roots(self, roots: Roots) -> None:
        for package in roots.packages:
            self._reach(package, tuple(roots.extras & package.known_extras))
        self._follow(roots.edges)
        while self._waiting:
            package, extra = self._waiting.popleft()
            self._follow(package.dependencies if extra is None else package.extras.get(extra, ()))

    def _follow(self, edges: Iterable[UvEdge]) -> None:
        for edge in edges:
            active = self.active
            if self._gathers and edge.extras:
                active |= {extra_marker(edge.name, extra) for extra in edge.extras}
            if self._holds(edge, active):
                self.active = active
                self._reach(self._package(edge), edge.extras)

    def _holds(self, edge: UvEdge, active: Active) -> bool:
        try:
            return self._values.hold(edge.marker, active)
        except ValueError as error:
            raise edge.table.error(f"dependency `{edge.name}`: {error}", key="marker") from error

    def _reach(self, package: UvPackage, extras: Iterable[NormalizedName]) -> None:
        """Note that the package is needed, with these extras. Both wait to be walked, once."""
        self.found.add(package)
        for extra in (None, *extras):
            if (package, extra) not in self._seen:
                self._seen.add((package, extra))
                self._waiting.append((package, extra))

    def _package(self, edge: UvEdge) -> UvPackage:
        """The one package that the edge leads to."""
        candidates = [
            package
            for package in self._lock.packages.get(edge.name, ())
            if edge.version in (None, package.version) and edge.source in (None, package.source)
        ]
        if len(candidates) > 1:
            candidates = [package for package in candidates if self._is_of_this_fork(package)]
        if len(candidates) != 1:
            which = "no package" if not candidates else "several packages"
            raise edge.table.error(f"dependency `{edge.name}` {edge.version or ''} names {which} of the lock file")
        return candidates[0]

    def _is_of_this_fork(self, package: UvPackage) -> bool:
        try:
            return not package.resolution_markers or any(
                self._values.hold(marker, self.active) for marker in package.resolution_markers
            )
        except ValueError as error:
            raise package.table.error(f"`resolution-markers`: {error}", key="resolution-markers") from error


def _one_of_each(lock: UvLock, found: set[UvPackage]) -> tuple[UvPackage, ...]:
    chosen: dict[NormalizedName, UvPackage] = {}
    for package in sorted(found, key=lambda package: (package.name, package.version or "")):
        other = chosen.setdefault(package.name, package)
        if other is not package:
            raise lock.table.error(
                f"both `{package.name}` {other.version} and {package.version} are needed at once",
                key=package.table.path,
                hint="declare the extras or groups that need them in `[tool.uv] conflicts` and lock again",
            )
    return tuple(chosen.values())
