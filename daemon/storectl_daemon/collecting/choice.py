"""The choice: which of what is dead goes. Pure but for what is measured: a survey goes in.

What nothing keeps goes. If that is not enough for a size that is asked for, what is kept for some days only goes, too:
in the order of its class, the least recently used first, until it is enough.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from storectl_daemon.collecting.gathering import Keep
from storectl_daemon.collecting.survey import Survey
from storectl_store.collecting.accounts import freed
from storectl_store.collecting.mark import Marked
from storectl_store.collecting.measuring import Measured
from storectl_store.digest import Digest, EnvironmentId


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """What may go: ``environments`` in their order, of which the first ``surely`` go whatever the size.

    If ``only`` is not None, nothing else may go than these environments and the entries that they name.
    """

    marked: Marked
    environments: tuple[EnvironmentId, ...]
    surely: int
    only: frozenset[EnvironmentId] | None = None

    def entries_after(self, environments: Collection[EnvironmentId]) -> tuple[Digest, ...]:
        """The entries that are dead once these environments, and no others, are gone."""
        dead = self.marked.dead_entries_without(environments)
        if self.only is None:
            return dead
        known = self.marked.inventory.environments
        named = frozenset().union(*(known[each].digests or () for each in environments if each in known))
        return tuple(digest for digest in dead if digest in named)


def candidates(
    survey: Survey, keep: Keep, *, grace: float, pressed: bool, only: frozenset[EnvironmentId] | None
) -> Candidates:
    """What may go. If it is ``pressed`` for room, what is kept for some days only comes after what nothing keeps."""
    marked = survey.marked(keep, grace=grace)
    first = _dead(marked, only)
    if pressed:
        marked = survey.marked(Keep(days=0, generations=keep.generations), grace=grace)
    rest = [each for each in _dead(marked, only) if each not in set(first)] if pressed else []
    return Candidates(marked=marked, environments=(*first, *rest), surely=len(first), only=only)


def chosen(found: Candidates, measured: Measured, wanted: int) -> tuple[EnvironmentId, ...]:
    """The fewest of these environments, in order, that free the wanted bytes together with their entries."""
    fewest, most = found.surely, len(found.environments)
    while fewest < most:
        middle = (fewest + most) // 2
        if _bytes(found, measured, found.environments[:middle]) >= wanted:
            most = middle
        else:
            fewest = middle + 1
    return found.environments[:fewest]


def environments_of(survey: Survey, project: Path) -> frozenset[EnvironmentId]:
    """All environments that this project is known to have, or to have had."""
    for facts in survey.facts.projects:
        if facts.path == project:
            return frozenset(facts.environments())
    return frozenset()


def _dead(marked: Marked, only: Collection[EnvironmentId] | None) -> list[EnvironmentId]:
    return [each.id for each in marked.dead_environments if only is None or each.id in only]


def _bytes(found: Candidates, measured: Measured, environments: Sequence[EnvironmentId]) -> int:
    return freed(measured, environments, found.entries_after(environments)).bytes
