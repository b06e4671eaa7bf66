"""What jobs were granted: in the book, in the records that programs read, in the histories of projects."""

import asyncio
import time
from collections.abc import Awaitable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from storectl_daemon.jobs.options import Job
from storectl_daemon.models import EnvironmentInfo
from storectl_daemon.projects.book import ProjectBook, RecordedEnvironment
from storectl_daemon.projects.files import ProjectFiles
from storectl_daemon.projects.histories import Granted, Histories
from storectl_daemon.projects.inputs import Inputs
from storectl_daemon.projects.settled_head import settled_head
from storectl_daemon.warming.settling import MadeEnvironment
from storectl_store.collecting.holds import Hold
from storectl_store.projects.git_refs import Head

T = TypeVar("T")


class Grants:
    """Reads and writes what was granted. Call its methods on the event loop, but for those that may block.

    ``writing`` is held while a record or a history is written.
    """

    def __init__(self, *, files: ProjectFiles, histories: Histories, book: ProjectBook) -> None:
        self._files = files
        self._histories = histories
        self._book = book
        self.writing = asyncio.Lock()

    def want(self, job: Job) -> None:
        """Put the job into the book. An offline job is not put there: what is in the book uses the network."""
        if not job.offline:
            self._book.want(job.project, job.options)

    def is_known(self, project: Path) -> bool:
        """Whether the project is in the book."""
        return self._book.get(project) is not None

    def recorded(self, job: Job) -> RecordedEnvironment:
        """What the book has for the job's options; without an environment if the project was forgotten."""
        project = self._book.get(job.project)
        return (project.environment(job.options) if project else None) or RecordedEnvironment(options=job.options)

    def ready(self, job: Job) -> str | None:
        """The environment that the record has for the job, if the record still holds; None otherwise. May block."""
        return self._files.ready(job)

    def still_right(self, job: Job, inputs: Inputs) -> EnvironmentInfo | None:
        """The environment of the job, if it was granted for exactly these inputs; otherwise None. May block."""
        recorded = self.recorded(job)
        if recorded.inputs != inputs.digest:
            return None
        return self._files.environment(recorded, job.project)

    def made_before(self, job: Job, inputs: Inputs, hold: Hold) -> MadeEnvironment | None:
        """The environment that these inputs gave before, held; None if there was none, or if it is gone. May block."""
        before = self._histories.before(job, inputs.digest)
        if before is None or not self._files.has_variables(before.variables, job.environ):
            return None
        recorded = RecordedEnvironment(
            options=job.options, lock_file=str(inputs.located.lock_file), environment=before.environment
        )
        hold.add([before.environment])  # first held, then looked for
        environment = self._files.environment(recorded, job.project)
        if environment is None:
            return None
        return MadeEnvironment(environment=environment, variables=before.variables, notices=before.notices)

    async def grant(self, job: Job, made: MadeEnvironment, inputs: Inputs) -> bool:
        """Write the grant into the record and the book. Returns whether the record is complete."""
        recorded = RecordedEnvironment(
            options=job.options,
            lock_file=str(inputs.located.lock_file),
            inputs=inputs.digest,
            environment=made.environment.id,
            last_used=time.time(),
            notices=made.notices,
            variables=made.variables,
            rolled_back=made.rolled_back,
        )
        if not self.is_known(job.project):
            self._book.record(job.project, recorded)  # it was an offline job, which puts nothing into the book
        complete = await self._keep(job, inputs, made.environment, recorded)  # first of all: programs wait for it
        self._book.record(job.project, recorded)
        return complete

    async def renew(self, job: Job, inputs: Inputs, environment: EnvironmentInfo) -> bool:
        """Bring the record of what was granted up to date. Returns whether it is complete."""
        return await self._keep(job, inputs, environment, self.recorded(job))

    async def tell_history(self, job: Job, made: MadeEnvironment, inputs: Inputs) -> None:
        """Write the grant into the history, unless it came from there."""
        granted = Granted(
            environment=made.environment.id,
            inputs=inputs.digest,
            notices=made.notices,
            variables=made.variables,
            kept=made.kept,
        )
        if made.rolled_back is None and await asyncio.to_thread(self._histories.is_news, job, granted):
            head = await asyncio.to_thread(settled_head, job.project, environ=job.environ)
            await _to_its_end(self._write_history(job, granted, head))

    def end_rollback(self, job: Job) -> None:
        """Have the next warm of the job give it what its inputs give."""
        recorded = self.recorded(job)
        if recorded.rolled_back is not None:
            self._book.record(job.project, replace(recorded, rolled_back=None, inputs=None))

    async def forget(self, project: Path) -> None:
        """Delete record and history of a project that is no longer in the book. Nothing writes them after this."""
        async with self.writing:
            await asyncio.to_thread(self._files.forget, project)

    async def _keep(
        self, job: Job, inputs: Inputs, environment: EnvironmentInfo, recorded: RecordedEnvironment
    ) -> bool:
        return await _to_its_end(self._write_record(job, inputs, environment, recorded))

    async def _write_record(
        self, job: Job, inputs: Inputs, environment: EnvironmentInfo, recorded: RecordedEnvironment
    ) -> bool:
        async with self.writing:
            if not self.is_known(job.project):
                return True  # forgotten meanwhile
            return await asyncio.to_thread(self._files.write_record, job, inputs, Path(environment.path), recorded)

    async def _write_history(self, job: Job, granted: Granted, head: Head) -> None:
        async with self.writing:
            if self.is_known(job.project):  # otherwise it was forgotten meanwhile
                await asyncio.to_thread(self._histories.granted, job, granted, head)


async def _to_its_end(work: Awaitable[T]) -> T:
    """Have it done, even if who waits is cancelled: a thread goes on, so its lock must not be released before."""
    return await asyncio.shield(asyncio.ensure_future(work))
