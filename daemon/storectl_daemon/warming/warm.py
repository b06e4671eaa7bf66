"""Warming: one flight for each project and set of options, and the state of each.

A flight has the environment made from inputs that do not change meanwhile, writes the project's record and reports
``ready``. Any failure is reported as ``failed``; record and environment then stay what they were.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from storectl_daemon.jobs.events import Event, EventBus
from storectl_daemon.jobs.options import Job
from storectl_daemon.jobs.progress import Progress
from storectl_daemon.models import (
    STOPPING,
    EnvironmentInfo,
    FailedEvent,
    Problem,
    ProgressEvent,
    ReadyEvent,
    WarmEvent,
    WarningEvent,
)
from storectl_daemon.process.lifecycle import Background
from storectl_daemon.process.single_flight import SingleFlight
from storectl_daemon.projects.ahead import Why
from storectl_daemon.projects.fronts import Fronts
from storectl_daemon.projects.inputs import Inputs
from storectl_daemon.warming.grants import Grants
from storectl_daemon.warming.settling import MadeEnvironment, Settling
from storectl_daemon.warming.states import Failed, Idle, Ready, Warming, WarmState
from storectl_daemon.warming.unasked import Unasked
from storectl_store.collecting.holds import Hold, Holds
from storectl_store.errors import ProblemError
from storectl_store.projects.input_state import InputKind
from storectl_store.system_errors import refusal_of

logger = logging.getLogger(__name__)

SETTLE_SECONDS = 2.1
"""A little more than two seconds: a record is complete only once its inputs are two seconds old."""

MakeGeneration = Callable[[Progress], Awaitable[MadeEnvironment]]
"""Makes an environment that a project had earlier. Raises a ProblemError if it cannot be made."""


def problem_of(error: BaseException) -> Problem:
    """The problem to report for an error. For a defect of storectl it says only that it is one."""
    refusal = None if isinstance(error, ProblemError) else refusal_of(error, "go on")
    error = refusal or error
    if isinstance(error, ProblemError):
        missing = error.facts.get("missing_python")
        return Problem(code=error.code, detail=error.message, hint=error.hint, missing_python=missing)
    return Problem(
        code="E_INTERNAL",
        detail=f"an internal error: {type(error).__name__}",
        hint="The log of the daemon has the details: `storectl daemon logs`.",
    )


class Warmer:
    """Warms jobs, and keeps the state of each. Call its methods on the event loop."""

    def __init__(
        self,
        *,
        settling: Settling,
        grants: Grants,
        fronts: Fronts,
        bus: EventBus,
        holds: Holds,
        unasked: Unasked,
        settle_seconds: float = SETTLE_SECONDS,
    ) -> None:
        self._settling = settling
        self._grants = grants
        self._fronts = fronts
        self._bus = bus
        self._holds = holds
        self._unasked = unasked
        self._settle_seconds = settle_seconds
        self._flights: SingleFlight[Job, Job] = SingleFlight()
        self._waiting: dict[asyncio.Task[None], Job] = {}
        self._states: dict[Job, WarmState] = {}
        self._stale: set[Job] = set()
        self._deferred: set[Job] = set()
        self._timers: dict[Job, asyncio.TimerHandle] = {}
        self._refreshes = Background()
        self._stopping = False

    @property
    def records(self) -> asyncio.Lock:
        """The lock that is held while a record is written."""
        return self._grants.writing

    @property
    def busy(self) -> bool:
        """Whether anything is being warmed."""
        return bool(self._waiting)

    def state(self, job: Job) -> WarmState:
        """The state of the job."""
        return self._states.get(job, Idle())

    def extra_inputs(self, project: Path) -> Mapping[Path, InputKind]:
        """Inputs beyond the usual ones that environments of the project were made from, with what of each counts."""
        return self._settling.extra_inputs(project)

    def start(self, job: Job, *, seen: Inputs | None = None, why: Why | None = None) -> None:
        """Warm the job, or join the flight that is under way. Its last event is ``ready`` or ``failed``.

        If a command with other variables began that flight, the job waits for its end, and then gets a flight of its
        own.

        ``seen`` are inputs that were read just now. If the history has an environment for these inputs, the job gets
        that one, as long as it exists, and nothing else is looked at. A request for an environment passes no ``seen``:
        everything is looked at.

        ``why`` is what the daemon saw if nobody asks for the environment. Then its making counts as made ahead, unless
        somebody asks before its end.
        """
        if self._stopping:
            self._tell(job, FailedEvent(problem=STOPPING))
            return
        self._grants.want(job)
        if job not in self._flights:
            self._begin(job)
            if why is not None:
                self._unasked.begin(job, why)
        if why is None:
            self._unasked.end(job)
        self._take_off(job, self._wait_for_own(job, seen))

    def roll_back(self, job: Job, make: MakeGeneration) -> None:
        """Give the job the generation that ``make`` makes, as long as its inputs are as they are now.

        A flight that is under way is waited for. The last event is ``ready`` or ``failed``.
        """
        if self._stopping:
            self._tell(job, FailedEvent(problem=STOPPING))
            return
        self._grants.want(job)
        self._take_off(job, self._wait_and_roll_back(job, make))

    def end_rollback(self, job: Job) -> None:
        """Have the next warm of the job give it what its inputs give."""
        self._grants.end_rollback(job)

    def _take_off(self, job: Job, flight: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(flight, name=f"warm {job.project}")
        self._waiting[task] = job
        task.add_done_callback(self._landed)

    async def _wait_and_roll_back(self, job: Job, make: MakeGeneration) -> None:
        """Wait for other flights of the job until one is its own."""
        flown: list[Job] = []

        async def fly() -> Job:
            flown.append(job)
            await self._fly_back(job, make)
            return job

        while not flown:
            await self._flights.do(job, fly)

    async def is_ready(self, job: Job) -> bool:
        """Whether the job's environment is ready, and its record says, as to `run`, that no input has changed."""
        state = self.state(job)
        if job in self._flights or not isinstance(state, Ready):
            return False
        return await asyncio.to_thread(self._grants.ready, job) == state.environment.path

    def say_again(self, job: Job) -> bool:
        """Tell who listens that the job is ready, as the flight did that made it so; False if it is not any more.

        The fronts have followed that flight. They are looked at again all the same, and nothing waits for that.
        """
        state, recorded = self.state(job), self._grants.recorded(job)
        if job in self._flights or not isinstance(state, Ready) or recorded.lock_file is None:
            return False
        self._grants.want(job)
        self._tell(job, ReadyEvent(environment=state.environment))
        follow = self._follow(job, state.environment, Path(recorded.lock_file))
        self._refreshes.start(f"looking at the fronts of {job.project}", follow)
        return True

    async def _wait_for_own(self, job: Job, seen: Inputs | None) -> None:
        """Wait for flights of the job until one had its variables: an earlier one, or one of its own."""
        while (await self._flights.do(job, lambda: self._fly(job, seen))).environ != job.environ:
            logger.debug("%s: that was for other variables", job.project)

    def _begin(self, job: Job) -> None:
        self._states[job] = Warming(environment=self.state(job).environment)

    async def refresh(self, job: Job) -> None:
        """Read the inputs again. If they changed, warm the job; otherwise bring its record up to date.

        If git is in the middle of a rebase or the like, this is done at its end, which is not waited for here. Inputs
        that failed before are left alone: only a request for the environment tries them again.
        """
        if job in self._flights:
            self._stale.add(job)
            return
        if await self._settling.is_under_way(job):
            self._refresh_at_the_end(job)
            return
        try:
            inputs = await self._settling.read(job)
            current = await asyncio.to_thread(self._grants.still_right, job, inputs)
            if not self._grants.is_known(job.project):
                self._states.pop(job, None)  # forgotten meanwhile: a change seen before that must not bring it back
            elif current is None and not self._settling.failed_before(job, inputs):
                self.start(job, seen=inputs, why="change")
            elif current is None:
                logger.debug("%s: still the inputs that failed", job.project)
            elif job not in self._flights:
                self._complete(job, is_complete=await self._grants.renew(job, inputs, current))
                await self._follow(job, current, inputs.located.lock_file)
                self._states[job] = Ready(environment=current)
        except ProblemError as error:
            self._fail(job, error)

    def forget(self, project: Path) -> None:
        """Drop the state of the project and cancel its flights. Every client that waits for one is told at once.

        A warm that comes after this waits for the end of a cancelled flight, and begins anew.
        """
        self._cancel({task: job for task, job in self._waiting.items() if job.project == project}, FORGOTTEN)
        for job in [job for job in {*self._states, *self._timers} if job.project == project]:
            self._states.pop(job, None)
            self._settling.forget(job)
            self._stale.discard(job)
            self._stop_timer(job)

    def _cancel(self, waiting: Mapping["asyncio.Task[None]", Job], problem: Problem) -> None:
        """End these waits, and with them the flights that no other job waits for.

        A cancelled flight reports nothing any more, so the last event is sent from here.
        """
        for task, job in waiting.items():
            self._states[job] = Idle(environment=self.state(job).environment)
            self._tell(job, FailedEvent(problem=problem))
            task.cancel()

    async def forget_record(self, project: Path) -> None:
        """Delete record and history of a project that is no longer in the book. Nothing writes them after this."""
        await self._grants.forget(project)

    async def stop(self) -> None:
        """Cancel every flight and wait until all have ended."""
        self._stopping = True
        for job in list(self._timers):
            self._stop_timer(job)
        self._cancel(self._waiting, STOPPING)
        await self._refreshes.stop()
        await asyncio.gather(*self._waiting, return_exceptions=True)

    async def _fly(self, job: Job, seen: Inputs | None) -> Job:
        """One flight, for this job's variables.

        Nothing is awaited after its last event, so that a job that comes after it begins a new flight.
        """
        self._begin(job)
        try:
            with self._holds.keep() as hold:
                granted = await self._granted_again(job, seen, hold)
                made, inputs = granted or await self._settling.make(job, self._progress(job))
                with made.hold:  # until a record names the environment
                    await self._finish(job, made, inputs)
        except ProblemError as error:
            self._fail(job, error)
        except Exception as error:
            if refusal_of(error, "go on") is None:
                logger.exception("warming %s", job.project)
            self._fail(job, error)
        self._unasked.end(job)
        return job

    async def _fly_back(self, job: Job, make: MakeGeneration) -> None:
        """One flight to another generation. If it fails, everything stays as it was."""
        before = self.state(job)
        self._begin(job)
        try:
            made = await make(self._progress(job))
            with made.hold:  # until a record names the environment
                await self._finish(job, made, await self._settling.read(job))
        except Exception as error:
            if not isinstance(error, ProblemError) and refusal_of(error, "go on") is None:
                logger.exception("rolling %s back", job.project)
            self._states[job] = before
            self._tell(job, FailedEvent(problem=problem_of(error)))

    def _progress(self, job: Job) -> Progress:
        return Progress(lambda message: self._tell(job, message))

    async def _granted_again(self, job: Job, seen: Inputs | None, hold: Hold) -> tuple[MadeEnvironment, Inputs] | None:
        """What needs no look at anything but the inputs, held; None if there is no such environment.

        If they were ``seen`` just now: what they gave before. Otherwise what the user rolled back to, if none of them
        has changed since.
        """
        if seen is not None:
            made = await asyncio.to_thread(self._grants.made_before, job, seen, hold)
            return (made, seen) if made is not None else None
        recorded = self._grants.recorded(job)
        if recorded.rolled_back is None or recorded.environment is None:
            return None
        hold.add([recorded.environment])  # first held, then looked for
        inputs = await self._settling.read(job)
        environment = await asyncio.to_thread(self._grants.still_right, job, inputs)
        if environment is None:
            return None
        return MadeEnvironment(
            environment=environment, notices=recorded.notices, rolled_back=recorded.rolled_back
        ), inputs

    async def _finish(self, job: Job, made: MadeEnvironment, inputs: Inputs) -> None:
        environment = made.environment
        if made.kept is not None:  # else the job had it before
            await self._unasked.note(job, environment.id, before=self._grants.recorded(job).environment)
        self._complete(job, is_complete=await self._grants.grant(job, made, inputs))
        followed = self._follow(job, environment, inputs.located.lock_file)
        await asyncio.gather(followed, self._grants.tell_history(job, made, inputs))
        self._states[job] = Ready(environment=environment)
        self._tell(job, ReadyEvent(environment=environment))

    async def _follow(self, job: Job, environment: EnvironmentInfo, lock_file: Path) -> None:
        """Bring the project's fronts with these options up to date."""
        follow = partial(self._fronts.follow_all, job.project, job.options, Path(environment.path), lock_file)
        told, busy = await asyncio.to_thread(follow)
        for line in told:
            self._tell(job, WarningEvent(message=line))
        if busy:
            self._come_back(job)

    def _complete(self, job: Job, *, is_complete: bool) -> None:
        """Come back to a record that is not complete yet."""
        if not is_complete:
            self._come_back(job)

    def _come_back(self, job: Job) -> None:
        self._stop_timer(job)
        loop = asyncio.get_running_loop()
        self._timers[job] = loop.call_later(self._settle_seconds, self._refresh_soon, job)

    def _refresh_soon(self, job: Job) -> None:
        self._timers.pop(job, None)
        self._refreshes.start(f"refreshing {job.project}", self.refresh(job))

    def _refresh_at_the_end(self, job: Job) -> None:
        """Refresh the job once git has finished what it has begun, or has stopped in it."""

        async def refresh() -> None:
            try:
                await self._settling.wait_for_end(job)
            finally:
                self._deferred.discard(job)
            await self.refresh(job)

        if job not in self._deferred:
            self._deferred.add(job)
            self._refreshes.start(f"waiting for git in {job.project}", refresh())

    def _stop_timer(self, job: Job) -> None:
        timer = self._timers.pop(job, None)
        if timer is not None:
            timer.cancel()

    def _landed(self, task: "asyncio.Task[None]") -> None:
        """A wait is over. If a change was seen while flights were under way, look at the job again."""
        job = self._waiting.pop(task)
        if job in self._stale and job not in self._waiting.values():
            self._stale.discard(job)
            if not self._stopping:
                self._refresh_soon(job)

    def _fail(self, job: Job, error: Exception) -> None:
        problem = problem_of(error)
        logger.warning("%s: %s: %s", job.project, problem.code, problem.detail)
        self._states[job] = Failed(environment=self.state(job).environment, problem=problem)
        self._tell(job, FailedEvent(problem=problem))

    def _tell(self, job: Job, message: WarmEvent) -> None:
        state = self.state(job)
        if isinstance(message, ProgressEvent) and isinstance(state, Warming):
            self._states[job] = replace(state, progress=message)
        self._bus.publish(Event(job=job, message=message))


FORGOTTEN = Problem(code="E_FORGOTTEN", detail="the project was forgotten meanwhile", hint="Warm it again.")
