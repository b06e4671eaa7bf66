"""Mark: which environments and entries are live, which are dead, and why. Pure: an inventory and roots go in.

An environment is live if a root names it, if it was published within the grace, or if its record cannot be read. An
entry is live if a live environment names it, if a root names the entry itself, or if it was published within the grace.
Everything else is dead. The sweep looks again at each thing before it takes it away.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from storectl_store.collecting.inventory import Inventory, StoredEnvironment
from storectl_store.collecting.roots import Root, RootKind
from storectl_store.digest import Digest, EnvironmentId

Subject = EnvironmentId | Digest
"""What a root keeps."""


class DeadClass(IntEnum):
    """Why an environment is dead. Those of a lower class go first."""

    ROOTLESS = 1
    """Nothing has ever kept it, or nothing says so any more."""
    GENERATION = 2
    """It was a generation of a project: there are too many newer ones, or it is too old."""
    PREFETCH = 3
    """It was made ahead for a branch that nobody has checked out in time."""
    UNUSED = 4
    """It is a project's, a tool's, a front's, a user's or a person's, for longer than they were to keep it."""


_CLASSES: Mapping[RootKind, DeadClass] = {
    "generation": DeadClass.GENERATION,
    "prefetch": DeadClass.PREFETCH,
    "current": DeadClass.UNUSED,
    "front": DeadClass.UNUSED,
    "pin": DeadClass.UNUSED,
    "user": DeadClass.UNUSED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadEnvironment:
    """An environment that nothing keeps. ``last_used`` is in seconds, ``ended`` are the roots that kept it before."""

    id: EnvironmentId
    dead_class: DeadClass
    last_used: float
    ended: tuple[Root, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """What is live and what is dead.

    ``dead_environments`` are in the order in which they go: by class, in a class the least recently used first.
    ``dead_entries`` are the entries that are dead once all of these are gone. ``unreadable`` are environments that are
    kept because nobody knows what they name; if there are any, no entry is dead.
    """

    inventory: Inventory
    roots: Mapping[Subject, tuple[Root, ...]]
    live_environments: frozenset[EnvironmentId]
    live_entries: frozenset[Digest]
    dead_environments: tuple[DeadEnvironment, ...]
    dead_entries: tuple[Digest, ...]
    unreadable: tuple[EnvironmentId, ...]

    def why(self, subject: Subject) -> tuple[Root, ...]:
        """Every root that keeps this environment or entry; none if it is dead.

        An entry has the roots of all environments that name it. What is kept without a root, because a record cannot
        be read, has none either: see ``unreadable``.
        """
        found = list(self.roots.get(subject, ()))
        for environment in self.inventory.showing(Digest(subject)):
            found += self.roots.get(environment.id, ())
        return tuple(found)

    def dead_entries_without(self, environments: Collection[EnvironmentId]) -> tuple[Digest, ...]:
        """The entries that are dead once these environments are gone, of which each is dead, and no others."""
        if self.unreadable:
            return ()
        there = self.inventory.environments
        return _dead_entries(
            self.inventory, _live_entries(self.inventory, there.keys() - set(environments), self.roots)
        )


def mark(inventory: Inventory, roots: Iterable[Root], *, now: float, grace: float) -> Marked:
    """Find out what the roots keep. ``now`` is a time of the system clock, ``grace`` is in seconds.

    A root whose time has come keeps nothing; it only says to which class a dead environment belongs.
    """
    ended: dict[Subject, list[Root]] = defaultdict(list)
    kept: dict[Subject, list[Root]] = defaultdict(list)
    for root in (*roots, *_young(inventory, now=now, grace=grace)):
        (kept if root.until is None or root.until > now else ended)[_subject(root)].append(root)
    unreadable = inventory.unreadable
    live = frozenset(each for each in inventory.environments if each in kept).union(unreadable)
    live_entries = _live_entries(inventory, live, kept)
    return Marked(
        inventory=inventory,
        roots={subject: tuple(found) for subject, found in kept.items()},
        live_environments=live,
        live_entries=frozenset(inventory.entries) if unreadable else live_entries,
        dead_environments=_dead_environments(inventory, live, ended),
        dead_entries=() if unreadable else _dead_entries(inventory, live_entries),
        unreadable=unreadable,
    )


def _subject(root: Root) -> Subject:
    subject = root.environment or root.digest
    assert subject is not None, root
    return subject


def _young(inventory: Inventory, *, now: float, grace: float) -> Iterator[Root]:
    """A root for everything that was published within the grace, or, as the clock says, is still to be."""
    for environment in inventory.environments.values():
        if environment.published + grace > now:
            yield Root(kind="young", environment=environment.id, until=environment.published + grace)
    for digest, published in inventory.entries.items():
        if published + grace > now:
            yield Root(kind="young", digest=digest, until=published + grace)


def _live_entries(
    inventory: Inventory, live: Iterable[EnvironmentId], kept: Mapping[Subject, Sequence[Root]]
) -> frozenset[Digest]:
    named = (inventory.environments[each].digests or () for each in live)
    rooted = (digest for digest in inventory.entries if digest in kept)
    return frozenset().union(inventory.copies, rooted, *named).intersection(inventory.entries)


def _dead_entries(inventory: Inventory, live: Collection[Digest]) -> tuple[Digest, ...]:
    """The other entries, those first that were published first."""
    dead = [(published, digest) for digest, published in inventory.entries.items() if digest not in live]
    return tuple(digest for _, digest in sorted(dead))


def _dead_environments(
    inventory: Inventory, live: Collection[EnvironmentId], ended: Mapping[Subject, Sequence[Root]]
) -> tuple[DeadEnvironment, ...]:
    dead = [
        _dead(each, tuple(ended.get(each.id, ()))) for each in inventory.environments.values() if each.id not in live
    ]
    return tuple(sorted(dead, key=lambda each: (each.dead_class, each.last_used, each.id)))


def _dead(environment: StoredEnvironment, ended: tuple[Root, ...]) -> DeadEnvironment:
    """It is of the highest class of what kept it: what a project may still want goes last."""
    classes = (_CLASSES.get(root.kind, DeadClass.ROOTLESS) for root in ended)
    return DeadEnvironment(
        id=environment.id,
        dead_class=max(classes, default=DeadClass.ROOTLESS),
        last_used=environment.last_used,
        ended=ended,
    )
