"""The builds that a closure needs: of sources and local projects, all at once, each with its recipe."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import NormalizedName

from storectl_daemon.building.build_options import BuildOptions
from storectl_daemon.building.builder import Builder, BuildError
from storectl_daemon.building.known_builds import BuiltWheel
from storectl_daemon.building.order import BuildContext
from storectl_daemon.building.pip_variables import LockedPlaces
from storectl_daemon.errors import OfflineError
from storectl_daemon.indexes.access import Access
from storectl_daemon.jobs.options import Job
from storectl_daemon.jobs.progress import Progress
from storectl_daemon.process.together import all_of
from storectl_store.collecting.holds import Hold
from storectl_store.selection.pin import LocalProject, Pin, SourcePin
from storectl_store.selection.target import Interpreter


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceBuilds:
    """The builds of one job. ``versions`` are those that its lock file selects, ``places`` the indexes that it names.

    ``environment_of`` publishes the environment of the closure with some more wheels. ``hold`` keeps what is built.
    """

    builder: Builder
    job: Job
    interpreter: Interpreter
    access: Access
    options: BuildOptions
    versions: Mapping[NormalizedName, str]
    places: LockedPlaces
    environment_of: Callable[[Sequence[Pin]], Awaitable[Path]]
    progress: Progress
    hold: Hold

    async def wheels(self, pins: Sequence[SourcePin], projects: Sequence[LocalProject]) -> list[BuiltWheel]:
        """The wheels of these sources and projects. The first error ends all builds and is raised.

        What is built without isolation is built last, because it uses the others.
        """
        items: list[SourcePin | LocalProject] = [*pins, *(project for project in projects if project.packaged)]
        last = [item for item in items if item.name in self.options.unisolated]
        made = await self._all(item for item in items if item not in last)
        if last:
            environment = await self.environment_of([wheel.pin for wheel in made])
            made += await self._all(last, environment)
        return made

    async def _all(
        self, items: Iterable[SourcePin | LocalProject], environment: Path | None = None
    ) -> list[BuiltWheel]:
        found = await all_of([self._one(item, environment) for item in items])
        return [made for made in found if made is not None]

    async def _one(self, item: SourcePin | LocalProject, environment: Path | None) -> BuiltWheel | None:
        """The wheel; None, with a warning, for a local project that the environment can do without."""
        how = BuildContext(
            access=self.access,
            environ=self.job.environ,
            offline=self.job.offline,
            recipe=self.options.recipe_of(item, self.versions, environment),
            places=self.places,
            hold=self.hold,
        )
        if isinstance(item, SourcePin):
            return await self.builder.wheel(item, self.interpreter, self.progress, how)
        try:
            return await self.builder.editable(item, self.interpreter, self.progress, how)
        except (BuildError, OfflineError) as error:
            if not item.optional:
                raise
            self.progress.warn(f"without the project itself: {error.message}")
            return None
