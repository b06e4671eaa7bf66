"""Settling: inputs are read when nothing changes them, and an environment counts if they are the same afterwards.

A ``git switch`` takes files away and puts others in their place, one by one. It holds ``index.lock`` meanwhile: that is
waited for, though not for ever, as an editor may hold it for an hour. A project that has lost its ``pyproject.toml`` is
looked at again after a moment; nothing is ever made from what is missing.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from storectl_daemon.jobs.options import Job
from storectl_daemon.jobs.progress import Progress
from storectl_daemon.models import EnvironmentInfo
from storectl_daemon.projects.inputs import Inputs, same_states
from storectl_daemon.projects.stillness import Stillness
from storectl_store.environments.input_state import InputKind, InputState, stronger
from storectl_store.errors import LockFileError, MissingProjectError, NoLockFileError, ProblemError

AGAIN_SECONDS = 0.25
"""How long what is missing is waited for, before each new look."""

_ROUNDS = 8
_LOOKS = 4
_LOOKS_WITH_GIT = 40
"""Looks for what is missing as long as git is at work: ten seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """An environment that is there.

    ``extra_inputs`` are the inputs beyond the usual ones, as they were before anything was made from them. ``variables``
    are those of the command that its builds looked at: digests by name, as ``project_record.variable_digest`` makes
    them. ``notices`` are sentences for whoever runs a program in it, every time: the lock file is older than the project.
    """

    environment: EnvironmentInfo
    extra_inputs: Mapping[Path, InputState | None] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    notices: tuple[str, ...] = ()


class Build(Protocol):
    """Makes environments."""

    async def __call__(self, job: Job, inputs: Inputs, progress: Progress) -> Built:
        """The environment of a job, made from its inputs; a ProblemError says why not."""
        ...


class InputFiles(Protocol):
    """Reads the inputs of projects; it may block."""

    def read(self, job: Job, extra: Mapping[Path, InputKind] | None) -> Inputs:
        """Find and read the inputs of a job; a SelectionError says why not. None: those beyond the usual are recorded."""


class Settling:
    """Knows for each job what it was made from beyond the usual inputs, and which inputs failed."""

    def __init__(
        self, build: Build, files: InputFiles, stillness: Stillness, *, again_seconds: float = AGAIN_SECONDS
    ) -> None:
        self._build = build
        self._files = files
        self._stillness = stillness
        self._again_seconds = again_seconds
        self._extra: dict[Job, Mapping[Path, InputKind]] = {}
        self._failed: dict[Job, str] = {}

    def extra_inputs(self, project: Path) -> Mapping[Path, InputKind]:
        """Inputs beyond the usual ones that environments of the project were made from, with what of each counts."""
        found: dict[Path, InputKind] = {}
        for kinds in (kinds for job, kinds in self._extra.items() if job.project == project):
            found |= {path: stronger(kind, found.get(path)) for path, kind in kinds.items()}
        return found

    def failed_before(self, job: Job, inputs: Inputs) -> bool:
        """Whether just these inputs gave no environment the last time."""
        return self._failed.get(job) == inputs.digest

    def forget(self, job: Job) -> None:
        """Drop what is known of the job."""
        self._extra.pop(job, None)
        self._failed.pop(job, None)

    async def read(self, job: Job) -> Inputs:
        """The inputs, when nothing changes them. A lock file that is missing is looked for again before it is an error."""
        await self._stillness.wait_for(job.project)
        try:
            return await self._read_now(job)
        except NoLockFileError:
            await asyncio.sleep(self._again_seconds)
            await self._stillness.wait_for(job.project)
            return await self._read_now(job)

    async def build(self, job: Job, progress: Progress) -> tuple[Built, Inputs]:
        """Build until the inputs are afterwards what they were before; a ProblemError says why there is nothing."""
        before = await self.read(job)
        looks = 0
        for _ in range(_ROUNDS):
            outcome = await self._attempt(job, before, progress)
            while isinstance(outcome, MissingProjectError) and await self._is_to_come(job, looks):
                looks += 1
                before = await self.read(job)
                outcome = await self._attempt(job, before, progress)
            after = await self.read(job)
            if before.same_contents(after):
                if isinstance(outcome, ProblemError):
                    self._failed[job] = after.digest
                    raise outcome
                if same_states(outcome.extra_inputs, after.files):
                    self._failed.pop(job, None)
                    return outcome, after
            before = after
        raise LockFileError(f"{job.project}: its lock file keeps changing", hint="Wait for what writes it.")

    async def _is_to_come(self, job: Job, looks: int) -> bool:
        """Wait a moment; whether what is missing may be there by now."""
        if looks >= (_LOOKS_WITH_GIT if await self._stillness.is_disturbed(job.project) else _LOOKS):
            return False
        await asyncio.sleep(self._again_seconds)
        return True

    async def _read_now(self, job: Job) -> Inputs:
        inputs = await asyncio.to_thread(self._files.read, job, self._extra.get(job))
        self._extra.setdefault(job, inputs.extra)
        return inputs

    async def _attempt(self, job: Job, inputs: Inputs, progress: Progress) -> Built | ProblemError:
        try:
            built = await self._build(job, inputs, progress)
        except ProblemError as error:
            return error
        self._extra[job] = {path: state.kind if state else "file" for path, state in built.extra_inputs.items()}
        return built
