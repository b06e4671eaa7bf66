"""What is forgotten with what goes: otherwise a project that nobody uses any more would be made ready again.

Pure. A project is forgotten if its folder is missing for so long that nothing of it is kept, or if it was locked once
for a command and all that it had goes. Options of a project are forgotten if their environment goes.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from storectl_daemon.collecting.facts import ProjectFacts
from storectl_daemon.jobs.options import Options
from storectl_store.collecting.roots import Root
from storectl_store.digest import EnvironmentId


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """Projects, and options of other projects, that are forgotten."""

    projects: tuple[Path, ...] = ()
    wishes: tuple[tuple[Path, Options], ...] = ()


def ended(
    projects: Sequence[ProjectFacts], roots: Sequence[Root], going: Collection[EnvironmentId], *, now: float
) -> Ended:
    """What ends with the environments that go. ``roots`` are all roots, also those that have ended."""
    kept = {root.project for root in roots if root.project is not None and (root.until is None or root.until > now)}
    forgotten = [each for each in projects if _ends(each, kept, going)]
    wishes = [wish for each in projects if each not in forgotten for wish in _ended_wishes(each, going)]
    return Ended(projects=tuple(each.path for each in forgotten), wishes=tuple(wishes))


def _ends(project: ProjectFacts, kept: Collection[Path], going: Collection[EnvironmentId]) -> bool:
    had = set(project.environments())
    if project.absence is not None:
        return bool(had) and project.path not in kept
    return project.remembered and bool(had) and had <= set(going)


def _ended_wishes(project: ProjectFacts, going: Collection[EnvironmentId]) -> Iterator[tuple[Path, Options]]:
    return ((project.path, wish.options) for wish in project.wishes if wish.environment in going)
