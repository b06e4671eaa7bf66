"""Warming: one flight for each project and set of options, and the state of each.

A flight has the environment made from inputs that do not change meanwhile, writes the project's record and reports
``ready``. Any failure is reported as ``failed``; record and environment then stay what they were.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

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
from storectl_daemon.projects.book import ProjectBook, RecordedEnvironment
from storectl_daemon.projects.files import ProjectFiles
from storectl_daemon.projects.fronts import Fronts
from storectl_daemon.projects.histories import Granted, Histories
from storectl_daemon.projects.inputs import Inputs
from storectl_daemon.warming.settling import MadeEnvironment, Settling
from storectl_daemon.warming.states import Failed, Idle, Ready, Warming, WarmState
from storectl_store.errors import ProblemError
from storectl_store.projects.input_state import InputKind
from storectl_store.system_errors import refusal_of

logger = logging.getLogger(__name__)

SETTLE_SECONDS = 2.1
"""A little more than two seconds: a record is complete only once its inputs are two seconds old."""


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
        files: ProjectFiles,
        fronts: Fronts,
        histories: Histories,
        book: ProjectBook,
        bus: EventBus,
        settle_seconds: float = SETTLE_SECONDS,
    ) -> None:
        self._settling = settling
        self._files = files
        self._fronts = fronts
        self._histories = histories
        self._book = book
        self._bus = bus
        self._settle_seconds = settle_seconds
        self._flights: SingleFlight[Job, Job] = SingleFlight()
        self._waiting: dict[asyncio.Task[None], Job] = {}
        self._states: dict[Job, WarmState] = {}
        self._stale: set[Job] = set()
        self._timers: dict[Job, asyncio.TimerHandle] = {}
        self._refreshes = Background()
        self._records = asyncio.Lock()
        self._stopping = False

    @property
    def records(self) -> asyncio.Lock:
        """The lock that is held while a record is written."""
        return self._records

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

    def start(self, job: Job, *, seen: Inputs | None = None) -> None:
        """Warm the job, or join the flight that is under way. Its last event is ``ready`` or ``failed``.

        If a command with other variables began that flight, the job waits for its end, and then gets a flight of its
        own.

        ``seen`` are inputs that were read just now. If the history has an environment for these inputs, the job gets
        that one, as long as it exists, and nothing else is looked at. A request for an environment passes no ``seen``:
        everything is looked at.
        """
        if self._stopping:
            self._tell(job, FailedEvent(problem=STOPPING))
            return
        if not job.offline:
            # A project in the book is kept warm, by the network. An offline job does not ask for that.
            self._book.want(job.project, job.options)
        if job not in self._flights:
            self._begin(job)
        task = asyncio.create_task(self._wait_for_own(job, seen), name=f"warm {job.project}")
        self._waiting[task] = job
        task.add_done_callback(self._landed)

    async def is_ready(self, job: Job) -> bool:
        """Whether the job's environment is ready, and its record says, as to `run`, that no input has changed."""
        state = self.state(job)
        if job in self._flights or not isinstance(state, Ready):
            return False
        return await asyncio.to_thread(self._files.ready, job) == state.environment.path

    def say_again(self, job: Job) -> bool:
        """Tell who listens that the job is ready, as the flight did that made it so; False if it is not any more.

        The fronts have followed that flight. They are looked at again all the same, and nothing waits for that.
        """
        state, recorded = self.state(job), self._recorded(job)
        if job in self._flights or not isinstance(state, Ready) or recorded.lock_file is None:
            return False
        if not job.offline:
            self._book.want(job.project, job.options)
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

        Inputs that failed before are left alone: only a request for the environment tries them again.
        """
        if job in self._flights:
            self._stale.add(job)
            return
        try:
            inputs = await self._settling.read(job)
            current = await asyncio.to_thread(self._still_right, job, inputs)
            if self._book.get(job.project) is None:
                self._states.pop(job, None)  # forgotten meanwhile: a change seen before that must not bring it back
            elif current is None and not self._settling.failed_before(job, inputs):
                self.start(job, seen=inputs)
            elif current is None:
                logger.debug("%s: still the inputs that failed", job.project)
            elif job not in self._flights:
                await self._keep_record(job, inputs, current, self._recorded(job))
                await self._follow(job, current, inputs.located.lock_file)
                self._states[job] = Ready(environment=current)
        except ProblemError as error:
            self._fail(job, error)

    def _still_right(self, job: Job, inputs: Inputs) -> EnvironmentInfo | None:
        """The environment of the job, if it was made from exactly these inputs; otherwise None."""
        recorded = self._recorded(job)
        if recorded.inputs != inputs.digest:
            return None
        return self._files.environment(recorded, job.project)

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
        """Delete the record of a project that is no longer in the book. Nothing writes the record again after this."""
        async with self._records:
            await asyncio.to_thread(self._files.forget, project)

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
            made = await asyncio.to_thread(self._made_before, job, seen) if seen else None
            if made is None or seen is None:
                made, seen = await self._settling.make(job, Progress(lambda message: self._tell(job, message)))
            await self._finish(job, made, seen)
        except ProblemError as error:
            self._fail(job, error)
        except Exception as error:
            if refusal_of(error, "go on") is None:
                logger.exception("warming %s", job.project)
            self._fail(job, error)
        return job

    def _made_before(self, job: Job, inputs: Inputs) -> MadeEnvironment | None:
        """The environment that these inputs gave before; None if the history has none, or if it is gone."""
        before = self._histories.before(job, inputs.digest)
        if before is None or not self._files.has_variables(before.variables, job.environ):
            return None
        recorded = RecordedEnvironment(
            options=job.options, lock_file=str(inputs.located.lock_file), environment=before.environment
        )
        environment = self._files.environment(recorded, job.project)
        if environment is None:
            return None
        return MadeEnvironment(environment=environment, variables=before.variables, notices=before.notices)

    async def _finish(self, job: Job, made: MadeEnvironment, inputs: Inputs) -> None:
        environment = made.environment
        recorded = RecordedEnvironment(
            options=job.options,
            lock_file=str(inputs.located.lock_file),
            inputs=inputs.digest,
            environment=environment.id,
            last_used=time.time(),
            notices=made.notices,
            variables=made.variables,
        )
        if self._book.get(job.project) is None:
            self._book.record(job.project, recorded)  # it was an offline job, which puts nothing into the book
        await self._keep_record(job, inputs, environment, recorded)  # first of all: programs wait for the record
        self._book.record(job.project, recorded)
        followed = self._follow(job, environment, inputs.located.lock_file)
        await asyncio.gather(followed, self._keep_history(job, inputs, made))
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

    def _recorded(self, job: Job) -> RecordedEnvironment:
        """What the book has for the job's options; without an environment if the project was forgotten."""
        project = self._book.get(job.project)
        return (project.environment(job.options) if project else None) or RecordedEnvironment(options=job.options)

    async def _keep_record(
        self, job: Job, inputs: Inputs, environment: EnvironmentInfo, recorded: RecordedEnvironment
    ) -> None:
        # Shielded: a thread cannot be cancelled, so the lock must not be released before the thread is done.
        complete = await asyncio.shield(asyncio.ensure_future(self._write_record(job, inputs, environment, recorded)))
        if not complete:
            self._come_back(job)

    async def _write_record(
        self, job: Job, inputs: Inputs, environment: EnvironmentInfo, recorded: RecordedEnvironment
    ) -> bool:
        async with self._records:
            if self._book.get(job.project) is None:
                return True  # forgotten meanwhile
            write = partial(self._files.write_record, notices=recorded.notices, variables=recorded.variables)
            return await asyncio.to_thread(write, job, inputs, Path(environment.path))

    async def _keep_history(self, job: Job, inputs: Inputs, made: MadeEnvironment) -> None:
        await asyncio.shield(asyncio.ensure_future(self._write_history(job, inputs, made)))  # as for the record

    async def _write_history(self, job: Job, inputs: Inputs, made: MadeEnvironment) -> None:
        async with self._records:
            if self._book.get(job.project) is None:
                return  # forgotten meanwhile
            granted = Granted(
                environment=made.environment.id,
                inputs=inputs.digest,
                notices=made.notices,
                variables=made.variables,
                kept=made.kept,
            )
            await asyncio.to_thread(self._histories.granted, job, granted)

    def _come_back(self, job: Job) -> None:
        self._stop_timer(job)
        loop = asyncio.get_running_loop()
        self._timers[job] = loop.call_later(self._settle_seconds, self._refresh_soon, job)

    def _refresh_soon(self, job: Job) -> None:
        self._timers.pop(job, None)
        self._refreshes.start(f"refreshing {job.project}", self.refresh(job))

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
