"""Whose environments these are: the projects that asked for them, which a warm makes them again for."""

from collections.abc import Collection, Sequence
from pathlib import Path

from storectl_daemon.events import EventBus
from storectl_daemon.models import FailedEvent, ReadyEvent
from storectl_daemon.options import Job
from storectl_daemon.projects import ProjectBook
from storectl_daemon.warm import Warmer
from storectl_store.digest import Digest
from storectl_store.entries.layout import StoreLayout
from storectl_store.environments.made_by import environment_records
from storectl_store.errors import ProblemError


class Users:
    """Projects and the environments that they were given last. For the event loop."""

    def __init__(self, layout: StoreLayout, book: ProjectBook, warmer: Warmer, bus: EventBus) -> None:
        self._layout = layout
        self._book = book
        self._warmer = warmer
        self._bus = bus

    def environments(self) -> dict[str, list[Job]]:
        """The jobs of each environment that a project was given, by id."""
        found: dict[str, list[Job]] = {}
        for project in self._book:
            for wish in project.wishes:
                if wish.environment is not None:
                    found.setdefault(wish.environment, []).append(Job(project=project.path, options=wish.options))
        return found

    def jobs_of(self, environment_ids: Collection[str]) -> list[Job]:
        """The jobs that these environments were made for last."""
        return [job for identity, jobs in self.environments().items() if identity in environment_ids for job in jobs]

    def all_jobs(self) -> list[Job]:
        """Everything that a project has asked for."""
        return [Job(project=project.path, options=wish.options) for project in self._book for wish in project.wishes]

    def showing(self, digest: Digest) -> list[Path]:
        """The folders of the environments that show this entry. Blocking."""
        records = environment_records(self._layout)
        return [self._layout.environment(record.id) for record in records if digest in record.digests]

    async def refresh(self, project: Path) -> None:
        """Have the record of the project written anew, as far as its inputs are what they were."""
        for job in self.all_jobs():
            if job.project == project:
                await self._warmer.refresh(job)

    async def warm(self, jobs: Sequence[Job], *, offline: bool) -> str:
        """Make the environments of these jobs, one after the other. Raises the first problem, after all were tried."""
        problems = []
        for job in jobs:
            try:
                await self._warmed(Job(project=job.project, options=job.options, offline=offline))
            except ProblemError as problem:
                problems.append(problem)
        if problems:
            raise problems[0]
        return f"made again for {', '.join(sorted({str(job.project) for job in jobs}))}"

    async def _warmed(self, job: Job) -> None:
        with self._bus.subscribe(lambda event: event.job == job) as events:
            self._warmer.start(job)
            async for event in events:
                if isinstance(event.message, ReadyEvent):
                    return
                if isinstance(event.message, FailedEvent):
                    problem = event.message.problem
                    raise ProblemError(problem.detail, code=problem.code, hint=problem.hint)
