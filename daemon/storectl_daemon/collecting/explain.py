"""Why something is kept: every root of an entry or an environment, in words. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from storectl_daemon.collecting.in_use import age_text
from storectl_daemon.collecting.report import Belonging, belongings
from storectl_daemon.collecting.survey import Survey
from storectl_store.collecting.mark import Marked
from storectl_store.collecting.roots import Root, RootKind
from storectl_store.digest import Digest, EnvironmentId, prefix_of
from storectl_store.entries.catalogue import Summary

SHORTEST = 4
"""So many digits of a prefix or an id are needed at least; fewer may be the name of a project."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One thing that keeps it. ``environment`` is the one by which it is kept; ``until`` a time, None for no end."""

    kind: RootKind
    project: Path | None
    detail: str
    environment: EnvironmentId | None
    until: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """An entry, or an environment: then ``name`` is its id, and ``version`` is empty. Without reasons it is not kept.

    ``prefix`` are the first digits of the digest, or the id. ``note`` says what keeps it beside any root.
    """

    name: str
    version: str
    prefix: str
    belonging: Belonging
    reasons: tuple[Reason, ...]
    note: str = ""


def explained(survey: Survey, marked: Marked, entries: Sequence[Summary], wanted: str) -> list[Explained]:
    """All that this name means: entries by name or the beginning of their prefix, environments by that of their id."""
    explainer = _Explainer(survey, marked)
    name = canonicalize_name(wanted)
    found = [each for each in entries if each.name == name or _begins(prefix_of(each.digest), wanted)]
    environments = [each for each in sorted(survey.inventory.environments) if _begins(each, wanted)]
    return [*map(explainer.entry, found), *map(explainer.environment, environments)]


def _begins(digits: str, wanted: str) -> bool:
    return len(wanted) >= SHORTEST and digits.startswith(wanted.lower())


class _Explainer:
    def __init__(self, survey: Survey, marked: Marked) -> None:
        self._survey = survey
        self._marked = marked
        self._belongings = belongings(survey.facts)

    def entry(self, entry: Summary) -> Explained:
        reasons = tuple(map(self._reason, self._marked.why(entry.digest)))
        kept = entry.digest in self._marked.live_entries
        return Explained(
            name=entry.name,
            version=entry.version,
            prefix=prefix_of(entry.digest),
            belonging=Belonging(),
            reasons=reasons,
            note="" if reasons or not kept else self._kept_anyway(entry.digest),
        )

    def environment(self, environment: EnvironmentId) -> Explained:
        reasons = tuple(map(self._reason, self._marked.why(environment)))
        unreadable = environment in self._marked.unreadable
        return Explained(
            name=environment,
            version="",
            prefix=environment,
            belonging=self._belongings.get(environment, Belonging()),
            reasons=reasons,
            note="its record cannot be read: `storectl store verify --repair` mends that" if unreadable else "",
        )

    def _kept_anyway(self, digest: Digest) -> str:
        if digest in self._survey.inventory.copies:
            return "a copy of an environment names it"
        return "nobody knows what an environment needs: `storectl store verify --repair` mends that"

    def _reason(self, root: Root) -> Reason:
        return Reason(
            kind=root.kind,
            project=root.project,
            detail=root.detail or ", ".join(self._young(root)),
            environment=root.environment,
            until=root.until,
        )

    def _young(self, root: Root) -> Iterator[str]:
        inventory = self._survey.inventory
        if root.environment is not None and root.environment in inventory.environments:
            yield f"published {age_text(self._survey.at - inventory.environments[root.environment].published)} ago"
        elif root.digest is not None and root.digest in inventory.entries:
            yield f"fetched {age_text(self._survey.at - inventory.entries[root.digest])} ago"
