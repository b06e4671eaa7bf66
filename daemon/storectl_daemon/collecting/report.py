"""What a collect tells: what is to go, how far it is, what went. By names, versions and projects, not only digests."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from storectl_daemon.collecting.facts import Facts
from storectl_daemon.collecting.in_use import processes_text
from storectl_store.collecting.accounts import freed
from storectl_store.collecting.mark import Marked, Subject
from storectl_store.collecting.measuring import Measured
from storectl_store.collecting.sweep import Swept
from storectl_store.digest import Digest, EnvironmentId
from storectl_store.disk.disk_size import NOTHING, DiskSize


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedEntry:
    """An entry, as a person knows it."""

    digest: Digest
    name: str
    version: str
    size: DiskSize


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedGroup:
    """Environments of one branch of a project, with the entries that go because of them, the biggest first.

    ``project`` is None for environments of no known project, and for entries that no environment names: then there are
    no environments. ``last_used`` is in seconds of the system clock.
    """

    project: Path | None
    branch: str | None
    environments: tuple[EnvironmentId, ...]
    entries: tuple[NamedEntry, ...]
    last_used: float | None
    size: DiskSize


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What is to go. ``leases`` and ``roots`` count what keeps the rest; ``notes`` are sentences for a person."""

    groups: tuple[PlannedGroup, ...]
    environments: int
    entries: int
    size: DiskSize
    leases: int
    roots: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """So many of so many are looked at."""

    what: Literal["environments", "entries"]
    done: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stayed:
    """Something that was to go and did not. ``what`` is a name with version, or the id of an environment."""

    what: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What went. ``enough`` is false if a size was asked for, and the store is still bigger."""

    environments: int = 0
    entries: int = 0
    size: DiskSize = NOTHING
    stayed: tuple[Stayed, ...] = ()
    enough: bool = True


Told = Planned | Progress | Collected


@dataclass(frozen=True, slots=True, kw_only=True)
class Belonging:
    """Whose an environment was."""

    project: Path | None = None
    branch: str | None = None


_NOBODYS = Belonging()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reporter:
    """Puts into words what becomes of one survey. ``belongings`` says whose each environment is or was."""

    belongings: Mapping[EnvironmentId, Belonging]
    marked: Marked
    measured: Measured
    now: float

    def planned(
        self, environments: Sequence[EnvironmentId], entries: Sequence[Digest], notes: Sequence[str]
    ) -> Planned:
        """What is to go, in groups."""
        kept = [root for roots in self.marked.roots.values() for root in roots]
        return Planned(
            groups=tuple(self._groups(environments, entries)),
            environments=len(environments),
            entries=len(entries),
            size=freed(self.measured, environments, entries),
            leases=sum(root.kind == "lease" and root.environment is not None for root in kept),
            roots=sum(root.kind not in {"lease", "young"} for root in kept),
            notes=tuple(notes),
        )

    def collected(self, swept: Sequence[Swept], *, wanted: int) -> Collected:
        """What went, and what stayed. ``wanted`` are the bytes that should have become free."""
        environments = [each for some in swept for each in some.environments]
        entries = [each for some in swept for each in some.entries]
        size = freed(self.measured, environments, entries)
        return Collected(
            environments=len(environments),
            entries=len(entries),
            size=size,
            stayed=tuple(stayed for some in swept for stayed in self._stayed(some)),
            enough=size.bytes >= wanted,
        )

    def _groups(self, environments: Sequence[EnvironmentId], entries: Sequence[Digest]) -> Iterator[PlannedGroup]:
        left = dict.fromkeys(entries)
        grouped: dict[Belonging, list[EnvironmentId]] = {}
        for each in environments:
            grouped.setdefault(self.belongings.get(each, _NOBODYS), []).append(each)
        for belonging, ids in grouped.items():
            known = [self.marked.inventory.environments[each] for each in ids]
            named = frozenset().union(*(each.digests or () for each in known))
            own = [digest for digest in left if digest in named]
            for digest in own:
                del left[digest]
            yield self._group(belonging, ids, own, max(each.last_used for each in known))
        if left:
            yield self._group(_NOBODYS, [], list(left), None)

    def _group(
        self, belonging: Belonging, ids: Sequence[EnvironmentId], entries: Sequence[Digest], last_used: float | None
    ) -> PlannedGroup:
        named = sorted((self._named(each) for each in entries), key=lambda entry: (-entry.size.bytes, entry.name))
        return PlannedGroup(
            project=belonging.project,
            branch=belonging.branch,
            environments=tuple(ids),
            entries=tuple(named),
            last_used=last_used,
            size=freed(self.measured, ids, entries),
        )

    def _named(self, digest: Digest) -> NamedEntry:
        known = self.measured.entries.get(digest)
        if known is None:
            return NamedEntry(digest=digest, name="?", version="?", size=NOTHING)
        return NamedEntry(digest=digest, name=known.name, version=known.version, size=known.size)

    def _stayed(self, swept: Swept) -> Iterator[Stayed]:
        for subject, why in swept.spared.items():
            seen = swept.processes.get(subject, ())
            words = f"{why}: {processes_text(seen, self.now)}" if seen else str(why)
            yield Stayed(what=self._what(subject), why=words)

    def _what(self, subject: Subject) -> str:
        entry = self.measured.entries.get(Digest(subject))
        if entry is not None:
            return f"{entry.name} {entry.version}"
        belonging = self.belongings.get(EnvironmentId(subject), _NOBODYS)
        words = [f"environment {subject}", f"of {belonging.project}" if belonging.project else ""]
        return " ".join(filter(None, [*words, f"(branch {belonging.branch})" if belonging.branch else ""]))


def belongings(facts: Facts) -> dict[EnvironmentId, Belonging]:
    """Whose each environment is or was: what a project has now counts before what it had, the latest first."""
    found: dict[EnvironmentId, Belonging] = {}
    for project in facts.projects:
        for generation in reversed(project.generations):
            found.setdefault(generation.environment, Belonging(project=project.path, branch=generation.branch))
    for project in facts.projects:
        for environment in project.environments():
            found.setdefault(environment, Belonging(project=project.path))
    return found
