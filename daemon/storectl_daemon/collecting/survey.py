"""A survey: everything that decides what may go, read at one moment. From it all else is computed."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from storectl_daemon.collecting.facts import Facts, read_facts
from storectl_daemon.collecting.gathering import Keep, gather
from storectl_daemon.collecting.in_use import Trust, roots_in_use
from storectl_daemon.projects.book import Project
from storectl_store.collecting.holds import Held, Holds
from storectl_store.collecting.inventory import Inventory, read_inventory
from storectl_store.collecting.mark import Marked, mark
from storectl_store.collecting.roots import Root
from storectl_store.digest import Digest, EnvironmentId, is_environment_id
from storectl_store.entries.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What was there ``at`` a time of the system clock. ``busy`` are the roots of programs, and of what is held."""

    at: float
    facts: Facts
    inventory: Inventory
    busy: tuple[Root, ...]

    def roots(self, keep: Keep) -> list[Root]:
        """Every root, also those that have ended."""
        return [*gather(self.facts, self.inventory, keep), *self.busy]

    def marked(self, keep: Keep, *, grace: float) -> Marked:
        """What is live and what is dead. ``grace`` is in seconds."""
        return mark(self.inventory, self.roots(keep), now=self.at, grace=grace)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surveyor:
    """Makes surveys of one store. ``states`` are the state folders of this user. Blocking, so meant for a thread."""

    store: Store
    holds: Holds
    states: Sequence[Path]
    clock: Callable[[], float] = time.time

    def survey(self, book: Sequence[Project], trust: Trust) -> Survey:
        """Look at everything. ``book`` are the registered projects.

        Raises StoreError if anything cannot be read: then nothing may be deleted.
        """
        now = self.clock()
        inventory = read_inventory(self.store)
        facts = read_facts(self.store.layout, book, self.states, now=now)
        used = roots_in_use(self.store.layout, inventory, trust, now=now)
        return Survey(at=now, facts=facts, inventory=inventory, busy=(*used, *_held(self.holds.held())))


def _held(held: Iterable[Held]) -> list[Root]:
    detail = "a command is working with it"
    return [
        Root(kind="hold", environment=EnvironmentId(each), detail=detail)
        if is_environment_id(each)
        else Root(kind="hold", digest=Digest(each), detail=detail)
        for each in held
    ]
