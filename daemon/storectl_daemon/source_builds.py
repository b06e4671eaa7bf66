"""What of a closure has to be built: sources and local projects, all at once, each with its recipe."""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from packaging.utils import NormalizedName

from storectl_daemon.building.build_options import BuildOptions
from storectl_daemon.building.builder import Builder, BuildError
from storectl_daemon.building.known_builds import MadeWheel
from storectl_daemon.building.order import Access, Building
from storectl_daemon.errors import OfflineError
from storectl_daemon.options import Job
from storectl_daemon.progress import Progress
from storectl_store.errors import ProblemError
from storectl_store.selection.pin import LocalProject, SourcePin
from storectl_store.selection.target import Interpreter

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceBuilds:
    """The builds of one job. ``versions`` are those that its lock file selects."""

    builder: Builder
    job: Job
    interpreter: Interpreter
    access: Access
    options: BuildOptions
    versions: Mapping[NormalizedName, str]
    progress: Progress

    async def made(self, pins: Sequence[SourcePin], projects: Sequence[LocalProject]) -> list[MadeWheel]:
        """Their wheels; the first error ends all of it."""
        builds: list[Coroutine[Any, Any, MadeWheel | None]] = [
            *(self.builder.wheel(pin, self.interpreter, self.progress, self._how(pin)) for pin in pins),
            *(self._editable(project) for project in projects if project.packaged),
        ]
        return [made for made in await all_of(builds) if made is not None]

    async def _editable(self, local: LocalProject) -> MadeWheel | None:
        """The editable wheel of a local project; None, and a warning, for one that the environment can do without."""
        try:
            return await self.builder.editable(local, self.interpreter, self.progress, self._how(local))
        except (BuildError, OfflineError) as error:
            if not local.optional:
                raise
            self.progress.warn(f"without the project itself: {error.message}")
            return None

    def _how(self, item: SourcePin | LocalProject) -> Building:
        recipe = self.options.recipe_of(item, self.versions)
        return Building(access=self.access, environ=self.job.environ, offline=self.job.offline, recipe=recipe)


async def all_of(work: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Every result, in order; at the first error the rest is cancelled, and that error is raised by itself."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(step) for step in work]
    except BaseExceptionGroup as errors:
        problems = errors.subgroup(ProblemError)
        raise _first(problems or errors) from None
    return [task.result() for task in tasks]


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    first = errors.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
