"""Settling: inputs are read while nothing changes them, and an environment counts if they are the same afterwards.

A ``git switch`` takes files away and puts others in their place, one by one. It holds ``index.lock`` meanwhile. That
lock is waited for, but only for a limited time: an editor may hold it for an hour. If a project has lost its
``pyproject.toml``, it is looked at again after a moment. Nothing is ever made from a file that is missing.

The states between the steps of a rebase are of no use to anyone. A command that asks gets what is there now. Everything
else waits for the end of the rebase, or until it stops.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from storectl_daemon.jobs.options import Job
from storectl_daemon.jobs.progress import Progress
from storectl_daemon.models import EnvironmentInfo
from storectl_daemon.projects.inputs import Inputs, same_states
from storectl_daemon.projects.stillness import Stillness
from storectl_store.collecting.holds import Hold, Holds
from storectl_store.errors import LockFileError, MissingProjectError, NoLockFileError, ProblemError
from storectl_store.projects.input_state import InputKind, InputState, stronger
from storectl_store.projects.kept_inputs import KeptInputs

AGAIN_SECONDS = 0.25
"""Seconds to wait before each new look for a missing file."""

_ROUNDS = 8
_LOOKS = 4
_LOOKS_WITH_GIT = 40
"""Looks for a missing file as long as git is at work: ten seconds."""


def _nothing_held() -> Hold:
    return Holds().keep()


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeEnvironment:
    """An environment that exists.

    ``extra_inputs`` are the inputs beyond the usual ones, as they were before anything was made from them.
    ``variables`` are digests, by name, of the command's variables that its builds looked at
    (``project_record.variable_digest``). ``notices`` are sentences that each start of a program shows, such as that
    the lock file is older than the project. ``kept`` is what its history keeps, None if it was not made anew.
    ``rolled_back`` is the number of the generation that the user wants instead of what the inputs give.

    ``hold`` keeps the environment; whoever gets this closes it, once a record names the environment.
    """

    environment: EnvironmentInfo
    extra_inputs: Mapping[Path, InputState | None] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    notices: tuple[str, ...] = ()
    kept: KeptInputs | None = None
    rolled_back: int | None = None
    hold: Hold = field(default_factory=_nothing_held, compare=False, repr=False)


Make = Callable[[Job, Inputs, Progress], Awaitable[MadeEnvironment]]
"""Makes the environment of a job from its inputs. Raises a ProblemError if it cannot be made."""

Read = Callable[[Job, Mapping[Path, InputKind] | None], Inputs]
"""Finds and reads the inputs of a job; may block. Raises a SelectionError if they cannot be read.

The mapping has the inputs beyond the usual ones; None stands for those that the project's record names.
"""


class Settling:
    """Remembers for each job the inputs beyond the usual ones, and which inputs failed."""

    def __init__(self, make: Make, read: Read, stillness: Stillness, *, again_seconds: float = AGAIN_SECONDS) -> None:
        self._make = make
        self._read_files = read
        self._stillness = stillness
        self._again_seconds = again_seconds
        self._extra: dict[Job, Mapping[Path, InputKind]] = {}
        self._failed: dict[Job, str] = {}

    def extra_inputs(self, project: Path) -> Mapping[Path, InputKind]:
        """Inputs beyond the usual ones that environments of the project were made from, each with what of it counts."""
        found: dict[Path, InputKind] = {}
        for kinds in (kinds for job, kinds in self._extra.items() if job.project == project):
            found |= {path: stronger(kind, found.get(path)) for path, kind in kinds.items()}
        return found

    def failed_before(self, job: Job, inputs: Inputs) -> bool:
        """Whether exactly these inputs gave no environment the last time."""
        return self._failed.get(job) == inputs.digest

    def forget(self, job: Job) -> None:
        """Drop what is remembered of the job."""
        self._extra.pop(job, None)
        self._failed.pop(job, None)

    async def is_under_way(self, job: Job) -> bool:
        """Whether git is in the middle of an act, such as a rebase, and goes on with it by itself."""
        return await self._stillness.is_under_way(job.project)

    async def wait_for_end(self, job: Job) -> None:
        """Return when git has finished such an act, or has stopped in it."""
        await self._stillness.wait_for_end(job.project)

    async def read(self, job: Job) -> Inputs:
        """The inputs, read once nothing changes them. A missing lock file is looked for again before it is an error."""
        await self._stillness.wait_for(job.project)
        try:
            return await self._read_now(job)
        except NoLockFileError:
            await asyncio.sleep(self._again_seconds)
            await self._stillness.wait_for(job.project)
            return await self._read_now(job)

    async def make(self, job: Job, progress: Progress) -> tuple[MadeEnvironment, Inputs]:
        """Make the environment until its inputs are the same before and after. Raises a ProblemError on failure."""
        with ExitStack() as dropped:
            made, inputs = await self._make_settled(job, progress, dropped)
            dropped.pop_all()  # the caller closes the hold of this one
            return made, inputs

    async def _make_settled(self, job: Job, progress: Progress, dropped: ExitStack) -> tuple[MadeEnvironment, Inputs]:
        """As ``make``. ``dropped`` lets go of what was made last."""
        before = await self.read(job)
        looks = 0
        for _ in range(_ROUNDS):
            dropped.close()
            outcome = await self._attempt(job, before, progress)
            while isinstance(outcome, MissingProjectError) and await self._is_to_come(job, looks):
                looks += 1
                before = await self.read(job)
                outcome = await self._attempt(job, before, progress)
            if isinstance(outcome, MadeEnvironment):
                dropped.callback(outcome.hold.close)
            after = await self.read(job)
            if before.same_contents(after):
                if isinstance(outcome, ProblemError):
                    self._failed[job] = after.digest
                    raise outcome
                if same_states(outcome.extra_inputs, after.files):
                    self._failed.pop(job, None)
                    return outcome, after
            await self.wait_for_end(job)  # the first attempt was for who asked; a rebase may change them many times
            before = await self.read(job)
        raise LockFileError(f"{job.project}: its lock file keeps changing", hint="Wait for what writes it.")

    async def _is_to_come(self, job: Job, looks: int) -> bool:
        """Wait a moment. Returns whether the missing file may be there now."""
        if looks >= (_LOOKS_WITH_GIT if await self._stillness.is_disturbed(job.project) else _LOOKS):
            return False
        await asyncio.sleep(self._again_seconds)
        return True

    async def _read_now(self, job: Job) -> Inputs:
        inputs = await asyncio.to_thread(self._read_files, job, self._extra.get(job))
        self._extra.setdefault(job, inputs.extra)
        return inputs

    async def _attempt(self, job: Job, inputs: Inputs, progress: Progress) -> MadeEnvironment | ProblemError:
        try:
            made = await self._make(job, inputs, progress)
        except ProblemError as error:
            return error
        self._extra[job] = {path: state.kind if state else "file" for path, state in made.extra_inputs.items()}
        return made
