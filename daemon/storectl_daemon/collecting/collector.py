"""The collector: one collect at a time. It looks at everything, tells what is to go, and takes it away bit by bit.

The steps, in this order:

1. what is held now or later is remembered, so that what a command finds meanwhile stays;
2. a survey: what is there, what keeps it, who uses it; if anything cannot be read, nothing is deleted;
3. the choice, which is told;
4. what ends is forgotten in the book and in the records;
5. the environments are swept, then the entries that no environment names any more.

A collect that somebody asked for and one that comes by itself are the same. Nobody who goes away ends one.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar

from storectl_daemon.collecting.choice import Candidates, candidates, chosen, environments_of
from storectl_daemon.collecting.collects import read_collects, took, write_collects
from storectl_daemon.collecting.ended import Ended, ended
from storectl_daemon.collecting.forgetting import Forgetting
from storectl_daemon.collecting.gathering import stale_records
from storectl_daemon.collecting.in_use import Trust, guards_of, leases_can_be_relied_on
from storectl_daemon.collecting.pace import Pace
from storectl_daemon.collecting.pauses import Pauses
from storectl_daemon.collecting.report import Collected, Planned, Progress, Reporter, Told, belongings
from storectl_daemon.collecting.settings import CollectSettings
from storectl_daemon.collecting.survey import Survey, Surveyor
from storectl_daemon.errors import UnknownProjectError
from storectl_daemon.models import STOPPING
from storectl_daemon.projects.book import Project
from storectl_daemon.service import Service
from storectl_store.collecting.accounts import loose_links, reached
from storectl_store.collecting.leases import AT_ONCE
from storectl_store.collecting.measuring import Measured, measure
from storectl_store.collecting.sweep import Sweep, Swept
from storectl_store.digest import Digest, EnvironmentId
from storectl_store.disk.disk_size import DiskSize
from storectl_store.disk.durability import disk_errors
from storectl_store.errors import ProblemError

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

_ENTRIES_AT_ONCE = 1000

NO_LEASES = (
    "leases do not work on this file system, so nobody can tell which programs run:"
    " environments stay (--without-leases takes those that were not used for 30 days and that no process names)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectOrder:
    """What is asked for. If ``project`` is not None, only what this project had goes.

    ``free`` are bytes that are to become free, whatever is kept for some days only. ``patience`` is as for ``Pauses``.
    """

    settings: CollectSettings
    dry_run: bool = False
    project: Path | None = None
    without_leases: bool = False
    free: int = 0
    patience: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What goes, and what ends with it. ``wanted`` are the bytes that are to become free."""

    found: Candidates
    environments: tuple[EnvironmentId, ...]
    ended: Ended
    stale: dict[Path, list[str]]
    reporter: Reporter
    told: Planned
    wanted: int


class Collector:
    """Collects the store of one daemon. ``alone`` is held while it takes away: no verification runs at the same time.

    ``on_swept`` is called when something was moved into the trash.
    """

    def __init__(
        self, service: Service, surveyor: Surveyor, *, alone: asyncio.Lock, on_swept: Callable[[], object]
    ) -> None:
        self._service = service
        self._surveyor = surveyor
        self._store = service.store
        self._forgetting = Forgetting(service=service)
        self._alone = alone
        self._on_swept = on_swept
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._leases: bool | None = None

    @property
    def busy(self) -> bool:
        """Whether a collect is under way, or waits for its turn."""
        return bool(self._tasks)

    async def leases_work(self) -> bool:
        """Whether leases can be relied on for this store. It is tried once."""
        if self._leases is None:
            self._leases = await asyncio.to_thread(leases_can_be_relied_on, self._store.layout)
        return self._leases

    async def collect(self, order: CollectOrder) -> AsyncIterator[Told]:
        """Collect, and tell how far it is: what is planned first, what went last.

        It goes on if nobody listens any more. Raises a ProblemError if it fails.
        """
        told: asyncio.Queue[Told | ProblemError | None] = asyncio.Queue()
        self._start(order, told.put_nowait)
        while (event := await told.get()) is not None:
            if isinstance(event, ProblemError):
                raise event
            yield event

    async def survey(self) -> Survey:
        """Look at everything, and delete nothing. Raises StoreError if anything cannot be read."""
        trust = Trust(leases=await self.leases_work())
        return await asyncio.to_thread(self._surveyor.survey, list(self._service.book), trust)

    async def stop(self) -> None:
        """End what is under way, after the thing that is being taken away just now."""
        self._stopping = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, order: CollectOrder, tell: Callable[[Told | ProblemError | None], None]) -> None:
        """Begin to collect. The last that is told is None, also if the task is cancelled before it has begun."""

        def ended(task: "asyncio.Task[None]") -> None:
            self._tasks.discard(task)
            if task.cancelled():
                tell(ProblemError(STOPPING.detail, code=STOPPING.code, hint=STOPPING.hint))
            tell(None)

        task = asyncio.create_task(self._collect_for(order, tell), name="collecting")
        self._tasks.add(task)
        task.add_done_callback(ended)

    async def _collect_for(self, order: CollectOrder, tell: Callable[[Told | ProblemError], None]) -> None:
        try:
            async with nullcontext() if order.dry_run else self._alone:
                with self._service.holds.remembering():
                    await self._collect(order, tell)
        except ProblemError as error:
            tell(error)
        except Exception as error:
            logger.exception("collecting")
            tell(ProblemError(f"an internal error: {type(error).__name__}", code="E_INTERNAL"))

    async def _collect(self, order: CollectOrder, tell: Callable[[Told], None]) -> None:
        trust = Trust(leases=await self.leases_work(), without=order.without_leases)
        plan = await self._in_thread(self._plan, order, list(self._service.book), trust)
        tell(plan.told)
        if order.dry_run:
            tell(Collected(enough=plan.told.size.bytes >= plan.wanted))
            return
        await self._forgetting.forget(plan.ended, plan.stale, plan.environments)
        swept = await self._sweep(plan, trust, order.patience, tell)
        collected = plan.reporter.collected(swept, wanted=plan.wanted)
        logger.info(
            "collected: environments %d, entries %d, bytes %d",
            collected.environments, collected.entries, collected.size.bytes,
        )  # fmt: skip
        tell(collected)
        await asyncio.to_thread(self._note, collected)

    def _note(self, collected: Collected) -> None:
        """Write down what was taken, for `storectl doctor`. Nothing depends on it."""
        with suppress(ProblemError):
            known = read_collects(self._store.layout)
            write_collects(self._store.layout, replace(known, last=took(self._surveyor.clock(), collected)))

    def _plan(self, order: CollectOrder, book: Sequence[Project], trust: Trust) -> _Plan:
        """Find out what goes. Blocking."""
        survey = self._surveyor.survey(book, trust)
        settings = order.settings
        pressed = order.free > 0 or settings.max_size is not None
        only = None if order.project is None else _only(survey, order.project)
        found = candidates(survey, settings.keep, grace=settings.grace, pressed=pressed, only=only)
        measured = self._measure(survey, found, whole=settings.max_size is not None)
        wanted = order.free
        if settings.max_size is not None:
            wanted = max(wanted, _all(survey, measured).bytes - settings.max_size)
        environments = chosen(found, measured, wanted)
        whose = belongings(survey.facts)
        reporter = Reporter(belongings=whose, marked=found.marked, measured=measured, now=survey.at)
        projects = [each for each in survey.facts.projects if order.project in (None, each.path)]
        stale = stale_records(survey.facts, survey.inventory, settings.keep, now=survey.at)
        return _Plan(
            found=found,
            environments=environments,
            ended=ended(projects, survey.roots(settings.keep), environments, now=survey.at),
            stale={each.path: stale[each.path] for each in projects if each.path in stale},
            reporter=reporter,
            told=reporter.planned(environments, found.entries_after(environments), _notes(found, trust)),
            wanted=wanted,
        )

    def _measure(self, survey: Survey, found: Candidates, *, whole: bool) -> Measured:
        """Measure what may go, or the ``whole`` store."""
        inventory = survey.inventory
        environments = inventory.environments if whole else found.environments
        entries = inventory.entries if whole else found.entries_after(found.environments)
        with disk_errors(f"measure what is in {self._store.layout.root}"):
            return measure(self._store, environments, entries, pace=partial(self._go_on, Pace()))

    def _go_on(self, pace: Pace) -> None:
        """Rest now and then. Raises a ProblemError if the daemon is ending."""
        pace()
        if self._stopping:
            raise ProblemError(STOPPING.detail, code=STOPPING.code, hint=STOPPING.hint)

    async def _sweep(
        self, plan: _Plan, trust: Trust, patience: float | None, tell: Callable[[Told], None]
    ) -> list[Swept]:
        sweep = Sweep(self._store, self._service.holds, guards_of(trust))
        pauses = Pauses(busy=lambda: self._service.busy, stopping=lambda: self._stopping, patience=patience)
        swept: list[Swept] = []
        try:
            for start in range(0, len(plan.environments), AT_ONCE):
                batch = plan.environments[start : start + AT_ONCE]
                swept.append(await self._in_thread(partial(sweep.environments, proceed=pauses), batch))
                tell(Progress(what="environments", done=start + len(batch), total=len(plan.environments)))
            entries = plan.found.entries_after([each for some in swept for each in some.environments])
            for start in range(0, len(entries), _ENTRIES_AT_ONCE):
                some: Sequence[Digest] = entries[start : start + _ENTRIES_AT_ONCE]
                swept.append(await self._in_thread(partial(sweep.entries, proceed=pauses), some))
                tell(Progress(what="entries", done=start + len(some), total=len(entries)))
        finally:
            self._on_swept()
        return swept

    async def _in_thread(self, work: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
        """Do the work in a thread, and wait for its end even if this is cancelled.

        The work must not outlast what is remembered. Whoever cancels a sweep sets ``_stopping`` before.
        """
        doing = asyncio.ensure_future(asyncio.to_thread(work, *arguments, **options))
        try:
            return await asyncio.shield(doing)
        except asyncio.CancelledError:
            await asyncio.wait([doing])
            raise


def _only(survey: Survey, project: Path) -> frozenset[EnvironmentId]:
    if not any(each.path == project for each in survey.facts.projects):
        raise UnknownProjectError(
            f"{project} is no project that is known",
            hint="`storectl watch list` prints those that are",
            path=str(project),
        )
    return environments_of(survey, project)


def _all(survey: Survey, measured: Measured) -> DiskSize:
    """What all environments and entries take up."""
    return reached(measured, survey.inventory.environments, survey.inventory.entries) + loose_links(measured)


def _notes(found: Candidates, trust: Trust) -> list[str]:
    notes = [] if trust.leases or trust.without else [NO_LEASES]
    unreadable = found.marked.unreadable
    if unreadable:
        notes.append(
            f"no entry goes, as nobody knows what {len(unreadable)} of the environments need ({unreadable[0]}):"
            " `storectl store verify --repair` mends that"
        )
    return notes
