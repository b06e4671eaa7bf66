"""Collect a store without a daemon: one on a file system that many machines read, or that of a node.

It does what the daemon's collector does, with two additions. What users keep counts as long as their roots do; and the
generation of the store is renewed after the last thing has gone, and before what went is deleted.

Programs on other machines cannot be seen from here. That they have used an environment is only known if the file
system keeps times of access. So an environment is kept for the days after it was made, whether anything keeps it or
not, and who finds that one has gone makes it again.

A collect that is killed leaves what recovery knows. What lies in the trash then tells that the generation may not have
been renewed: that is done first.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from storectl_daemon.collecting.choice import Candidates, candidates, chosen
from storectl_daemon.collecting.collector import NO_LEASES
from storectl_daemon.collecting.ended import ended
from storectl_daemon.collecting.gathering import Keep, stale_records
from storectl_daemon.collecting.in_use import Trust, guards_of, leases_can_be_relied_on
from storectl_daemon.collecting.report import Reporter, Told, belongings
from storectl_daemon.collecting.survey import Survey, Surveyor
from storectl_daemon.projects.book import ProjectBook
from storectl_store.collecting.accounts import loose_links, reached
from storectl_store.collecting.guards import Guards
from storectl_store.collecting.holds import Holds
from storectl_store.collecting.leftovers import sweep_leftovers
from storectl_store.collecting.measuring import Measured, measure
from storectl_store.collecting.node_roots import NodeRoot, is_expired, remove_root
from storectl_store.collecting.pressure import giving_way
from storectl_store.collecting.sweep import Sweep
from storectl_store.digest import EnvironmentId
from storectl_store.disk.disk_size import DiskSize
from storectl_store.disk.durability import disk_errors
from storectl_store.entries.generation import renew_generation
from storectl_store.entries.read_only import ReadOnlyStore
from storectl_store.entries.recovery import recover
from storectl_store.entries.store import Store
from storectl_store.entries.trash import empty_trash, trash_count
from storectl_store.entries.writer import Writer
from storectl_store.environments.made_by import shown_digests
from storectl_store.errors import StoreError
from storectl_store.projects.project_record import forget_ready, forget_record

NO_LIMITS: Mapping[int, DiskSize] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is asked for. ``keep_days``: what was made or used within them stays. ``grace`` is in seconds.

    ``max_size`` is how large the store may be in bytes: then what is kept for the days only goes, too, and after that
    what the users keep who are over their ``limits``, which are by uid.
    """

    keep_days: float
    keep_generations: int = 10
    grace: float = 3600.0
    max_size: int | None = None
    dry_run: bool = False
    without_leases: bool = False
    limits: Mapping[int, DiskSize] = field(default_factory=dict)

    @property
    def keep(self) -> Keep:
        """What is kept beyond what is current."""
        return Keep(days=self.keep_days, generations=self.keep_generations, unknown=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    survey: Survey
    found: Candidates
    environments: tuple[EnvironmentId, ...]
    roots: tuple[NodeRoot, ...]  # of users, that go
    reporter: Reporter
    wanted: int


def collect(root: Path, order: Order, *, guards: Guards | None = None) -> Iterator[Told]:
    """Collect the store in this folder, as its one writer; tell what is planned, then what went.

    ``guards`` are what is asked before something goes; without them, what the system has. Raises StoreBusyError if a
    daemon serves the store, and StoreError if it belongs to another account, or anything cannot be read.
    """
    ReadOnlyStore.open(root)  # it makes none
    _check_owner(root)
    with closing(Store.open(root)) as store, Writer.acquire(store.layout) as writer:
        _recover(store, writer)
        yield from _collect(store, order, guards)


def _check_owner(root: Path) -> None:
    owner = os.stat(root).st_uid
    if owner != os.geteuid():
        raise StoreError(
            f"the store {root} belongs to uid {owner}, and only that account may change it",
            hint=f"setpriv --reuid {owner} --clear-groups storectl store collect --store {root}",
            path=str(root),
        )


def _recover(store: Store, writer: Writer) -> None:
    """Settle what an earlier collect, or another writer, left half done."""
    layout = store.layout
    with disk_errors(f"look at the trash of {layout.root}"):
        killed = trash_count(layout) > 0
    if recover(store, writer, shown=partial(shown_digests, layout)) or killed:
        renew_generation(layout)


def _collect(store: Store, order: Order, guards: Guards | None) -> Iterator[Told]:
    layout, holds = store.layout, Holds()
    trust = Trust(leases=leases_can_be_relied_on(layout), without=order.without_leases)
    plan = _plan(store, holds, order, trust)
    notes = [] if trust.leases or trust.without else [NO_LEASES]
    entries = plan.found.entries_after(plan.environments)
    yield plan.reporter.planned(plan.environments, entries, notes)
    if order.dry_run:
        yield plan.reporter.collected([], wanted=0)
        return
    _forget(store, plan, order)
    sweep = Sweep(store, holds, guards or guards_of(trust))
    swept = [sweep.environments(plan.environments)]
    swept.append(sweep.entries(plan.found.entries_after(swept[0].environments)))
    if any(some.environments or some.entries for some in swept):
        renew_generation(layout)
    _delete(store)
    yield plan.reporter.collected(swept, wanted=plan.wanted)


def _delete(store: Store) -> None:
    """Empty the trash, and delete what is left over, which includes links that only views in the trash had."""
    with disk_errors(f"empty the trash of {store.layout.root}"):
        empty_trash(store.layout)
    sweep_leftovers(store)


def _plan(store: Store, holds: Holds, order: Order, trust: Trust) -> _Plan:
    layout = store.layout
    book = list(ProjectBook(layout.projects_file)) if layout.projects_file.exists() else []
    survey = Surveyor(store=store, holds=holds, states=()).survey(book, trust)
    with disk_errors(f"measure what is in {layout.root}"):
        measured = measure(store, survey.inventory.environments, survey.inventory.entries)
    wanted = 0 if order.max_size is None else max(0, _whole(survey, measured).bytes - order.max_size)
    expired = [root for root in survey.facts.users if is_expired(root, survey.at)]
    kept = [root for root in survey.facts.users if not is_expired(root, survey.at)]
    gone = giving_way(survey.inventory, measured, kept, limits=order.limits, wanted=wanted) if order.limits else []
    left = [root for root in kept if root not in gone]
    survey = replace(survey, facts=replace(survey.facts, users=tuple(left)))
    pressed = order.max_size is not None
    found = candidates(survey, order.keep, grace=order.grace, pressed=pressed, only=None)
    return _Plan(
        survey=survey,
        found=found,
        environments=chosen(found, measured, wanted),
        roots=(*expired, *gone),
        reporter=Reporter(belongings=belongings(survey.facts), marked=found.marked, measured=measured, now=survey.at),
        wanted=wanted,
    )


def _forget(store: Store, plan: _Plan, order: Order) -> None:
    """Forget the roots that go, and what book and records say of projects whose environments go."""
    layout, facts, inventory, now = store.layout, plan.survey.facts, plan.survey.inventory, plan.survey.at
    for root in plan.roots:
        remove_root(layout, root.uid, root.environment)
    for path, keys in stale_records(facts, inventory, order.keep, now=now).items():
        forget_ready(layout, path, keys)
    ends = ended(facts.projects, plan.survey.roots(order.keep), plan.environments, now=now)
    if not (ends.projects or ends.wishes):
        return
    book = ProjectBook(layout.projects_file)
    for path, options in ends.wishes:
        book.drop(path, options)
        forget_ready(layout, path, [options.key])
    for path in ends.projects:
        book.remove(path)
        forget_record(layout, path)


def _whole(survey: Survey, measured: Measured) -> DiskSize:
    return reached(measured, survey.inventory.environments, survey.inventory.entries) + loose_links(measured)
