"""The projects that use an environment: the environment is made again by warming them."""

from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path

from storectl_daemon.jobs.events import EventBus, concerns
from storectl_daemon.jobs.options import Job, Options
from storectl_daemon.jobs.variables import KnownVariables
from storectl_daemon.models import FailedEvent, ReadyEvent
from storectl_daemon.projects.book import ProjectBook
from storectl_daemon.repair.examined import Order
from storectl_daemon.warming.warm import Warmer
from storectl_store.digest import Digest, EnvironmentId
from storectl_store.entries.layout import StoreLayout
from storectl_store.environments.made_by import environment_records
from storectl_store.errors import ProblemError


class Users:
    """Projects and the environments that they were given last. For the event loop."""

    def __init__(
        self, layout: StoreLayout, book: ProjectBook, warmer: Warmer, bus: EventBus, variables: KnownVariables
    ) -> None:
        self._layout = layout
        self._book = book
        self._warmer = warmer
        self._bus = bus
        self._variables = variables

    @property
    def idle(self) -> bool:
        """Whether nothing is being made, so that nothing is half finished."""
        return not self._warmer.busy

    def environments(self) -> set[EnvironmentId]:
        """The ids of all environments that projects were given."""
        return {
            recorded.environment
            for project in self._book
            for recorded in project.environments
            if recorded.environment is not None
        }

    def jobs_of(self, environment_ids: Collection[str], order: Order) -> list[Job]:
        """The last jobs that these environments were made for."""
        return [
            self._job(project.path, recorded.options, order)
            for project in self._book
            for recorded in project.environments
            if recorded.environment in environment_ids
        ]

    def all_jobs(self, order: Order) -> list[Job]:
        """The jobs for everything that projects have asked for."""
        return [
            self._job(project.path, recorded.options, order)
            for project in self._book
            for recorded in project.environments
        ]

    def nobodys_job(self, order: Order) -> Job:
        """A job for a thing that no project is known to use: it fetches on behalf of the command that asks."""
        return Job(project=self._layout.root, offline=order.offline, environ=order.environ)

    def showing(self, digest: Digest) -> list[Path]:
        """The folders of the environments that show this entry. Blocking."""
        records = environment_records(self._layout)
        return [self._layout.environment(record.id) for record in records if digest in record.digests]

    async def refresh(self, project: Path, order: Order) -> None:
        """Have the record of the project written anew, provided that its inputs have not changed."""
        for job in self.all_jobs(order):
            if job.project == project and not job.options.overlay:
                await self._warmer.refresh(job)

    async def warm(self, jobs: Sequence[Job]) -> str:
        """Make the environments of these jobs, one after the other. Raises the first problem once all were tried."""
        problems = []
        for job in jobs:
            try:
                await self._warmed(job)
            except ProblemError as problem:
                problems.append(problem)
        if problems:
            raise problems[0]
        return f"made again for {', '.join(sorted({str(job.project) for job in jobs}))}"

    async def _warmed(self, job: Job) -> None:
        with self._bus.subscribe(partial(concerns, job)) as events:
            self._warmer.start(job)
            async for event in events:
                if isinstance(event.message, ReadyEvent):
                    return
                if isinstance(event.message, FailedEvent):
                    problem = event.message.problem
                    raise ProblemError(problem.detail, code=problem.code, hint=problem.hint)

    def _job(self, project: Path, options: Options, order: Order) -> Job:
        environ = self._variables.sent(project)
        return Job(
            project=project,
            options=options,
            offline=order.offline,
            environ=order.environ if environ is None else environ,
        )
