"""Environments that projects had earlier: those that are there, and those that are made again from what was kept."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from storectl_daemon.jobs.options import Job
from storectl_daemon.jobs.progress import Progress
from storectl_daemon.models import EnvironmentInfo
from storectl_daemon.published import PublishedEnvironments
from storectl_store.collecting.holds import Hold
from storectl_store.entries.store import Store
from storectl_store.projects.history import Generation
from storectl_store.projects.kept_inputs import read_kept

if TYPE_CHECKING:
    from storectl_daemon.warming.make import EnvironmentMaker


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """Gives the environments of generations. ``maker`` is loaded only if one has to be made again."""

    store: Store
    environments: PublishedEnvironments
    maker: Callable[[], Awaitable["EnvironmentMaker"]]

    async def environment(self, job: Job, generation: Generation, progress: Progress, hold: Hold) -> EnvironmentInfo:
        """The environment of the generation, held. Its wheels are fetched again if they are gone.

        Raises a ProblemError if it cannot be made.
        """
        hold.add([generation.environment])  # first held, then looked for
        there = await asyncio.to_thread(
            self.environments.info, generation.environment, project=str(job.project), lock_file=None
        )
        if there is not None:
            return there
        kept = await asyncio.to_thread(read_kept, self.store.layout, job.project, generation.snapshot)
        made = await (await self.maker()).again(job, kept, progress)
        hold.add([made.environment.id])
        made.hold.close()
        return made.environment
