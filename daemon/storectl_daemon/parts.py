"""The parts of a daemon, each built once: what makes entries, what makes environments, the service, the server."""

import asyncio
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from storectl_daemon.collecting.assembly import Collecting
from storectl_daemon.compiling.compiler import Compiler
from storectl_daemon.compiling.compiling import Compiling
from storectl_daemon.compiling.shim_bytecode import ShimBytecode
from storectl_daemon.entries.identification import Identification
from storectl_daemon.entries.layering import Layering
from storectl_daemon.entries.pipeline import Pipeline
from storectl_daemon.entries.workers import Workers
from storectl_daemon.indexes.access import Network
from storectl_daemon.jobs.events import EventBus
from storectl_daemon.jobs.options import Job
from storectl_daemon.jobs.progress import Progress
from storectl_daemon.jobs.variables import KnownVariables
from storectl_daemon.packing.packing import Packing, records_folder
from storectl_daemon.prefetching.prefetch import Prefetcher, Surroundings
from storectl_daemon.process.lifecycle import IdleWatch
from storectl_daemon.process.loading import Loaded
from storectl_daemon.process.settings import Settings
from storectl_daemon.projects.ahead import Ahead, uses
from storectl_daemon.projects.book import ProjectBook, projects_with_records
from storectl_daemon.projects.files import ProjectFiles
from storectl_daemon.projects.fronts import Fronts
from storectl_daemon.projects.histories import Histories
from storectl_daemon.projects.inputs import Inputs
from storectl_daemon.projects.stillness import Stillness
from storectl_daemon.projects.watch import Watcher
from storectl_daemon.projects.worktrees import FollowedWorktrees, Neighbour
from storectl_daemon.published import PublishedEnvironments
from storectl_daemon.service import Service, watched_projects
from storectl_daemon.serving.endpoint import Endpoint
from storectl_daemon.serving.peers import Gate
from storectl_daemon.serving.server import CONNECTIONS_PER_USER, Http, Server
from storectl_daemon.serving.watchdog import Watchdog
from storectl_daemon.warming.generations import Generations
from storectl_daemon.warming.grants import Grants
from storectl_daemon.warming.publishing import Publishing
from storectl_daemon.warming.settling import MadeEnvironment, Settling
from storectl_daemon.warming.unasked import Unasked
from storectl_daemon.warming.warm import Warmer
from storectl_shim import locations
from storectl_store.collecting.holds import Holds
from storectl_store.entries.layers import Layers
from storectl_store.entries.store import Store
from storectl_store.entries.writer import Writer
from storectl_store.environments.outlines.kept import Outlines
from storectl_store.environments.spare_view import Spares

if TYPE_CHECKING:
    from collections.abc import Callable

    from storectl_daemon.building.builder import Builder
    from storectl_daemon.prefetching.making import CommitMaker
    from storectl_daemon.repair.repairer import Repairer
    from storectl_daemon.warming.bisection import Bisection
    from storectl_daemon.warming.comparing import Comparing
    from storectl_daemon.warming.make import EnvironmentMaker
    from storectl_store.interpreters.book import InterpreterBook


class Resources:
    """What makes entries. Processes, threads and connections begin when they are needed."""

    def __init__(self, settings: Settings, store: Store, session: Path) -> None:
        identification = Identification(store.catalogue, session=session)
        self.workers = Workers(settings.workers)
        self.network = Network(store, identification, home=Path(settings.home or "/"))
        self.layers = Layers(store)
        self.layering = Layering(self.layers, settings.environ)
        self.layering.renew({})
        self.pipeline = Pipeline(store, self.workers, session=session, layers=self.layers)
        self.holds = Holds()
        self.compiler = Compiler(
            store, holds=self.holds, session=session, processes=settings.workers, layers=self.layers
        )

    async def aclose(self) -> None:
        """End all of them, once nothing uses them any more."""
        await self.pipeline.aclose()
        await self.compiler.aclose()
        self.workers.close()
        await self.network.aclose()


class Making:
    """What makes environments. ``maker`` is loaded by the first warm."""

    def __init__(self, settings: Settings, store: Store, session: Path, resources: Resources) -> None:
        self._settings, self._store, self._session, self._resources = settings, store, session, resources
        layers = resources.layers
        self._outlines = Outlines(layers, store.catalogue)
        holds = resources.holds
        self.environments = PublishedEnvironments(store.layout, layers)
        self.bus = EventBus()
        self.book = ProjectBook(store.layout.projects_file, otherwise=partial(projects_with_records, store.layout))
        self.ahead = Ahead(store.layout.ahead, uses=partial(uses, store.layout))
        self.files = ProjectFiles(
            store.layout, self.environments, home=settings.home, ahead=self.ahead, layering=resources.layering
        )
        self.fronts = Fronts(store.layout)
        self.histories = Histories(store)
        self.stillness = Stillness()
        self.compiling = Compiling(resources.compiler, self._outlines.get, self.bus)
        self.publishing = Publishing(
            store=layers,
            outlines=self._outlines,
            environments=self.environments,
            shim=ShimBytecode(store.catalogue),
            holds=holds,
            spares=Spares(store.layout),
        )
        self.bisection = Loaded(self._load_bisection, name="bisections")
        self.maker = Loaded(self._load_maker, name="the maker of environments")
        settling = Settling(self._made, self.files.read, self.stillness)
        grants = Grants(files=self.files, histories=self.histories, book=self.book)
        self.warmer = Warmer(
            settling=settling,
            grants=grants,
            fronts=self.fronts,
            bus=self.bus,
            holds=holds,
            unasked=Unasked(self.ahead),
        )
        self.generations = Generations(
            store=layers,
            environments=self.environments,
            histories=self.histories,
            grants=grants,
            holds=holds,
            maker=self.maker.get,
        )
        self._commits = Loaded(self._load_commits, name="the maker of commits")

    def _load_bisection(self) -> "Bisection":
        from storectl_daemon.warming.bisection import Bisection  # noqa: PLC0415 - few daemons need it
        from storectl_daemon.warming.mixtures import Mixtures  # noqa: PLC0415 - few daemons need it

        mixtures = Mixtures(
            environments=self.environments,
            publishing=self.publishing,
            outlines=self._outlines,
            interpreters=_load_interpreters(self._store),
        )
        return Bisection(generations=self.generations, mixtures=mixtures, holds=self._resources.holds)

    def _load_maker(self) -> "EnvironmentMaker":
        from storectl_daemon.warming.make import EnvironmentMaker  # noqa: PLC0415 - only a build needs it
        from storectl_daemon.warming.nodes import NodeLayers  # noqa: PLC0415 - as above

        return EnvironmentMaker(
            store=self._store,
            layering=self._resources.layering,
            nodes=NodeLayers(self._resources.layers),
            outlines=self._outlines,
            environments=self.environments,
            interpreters=_load_interpreters(self._store),
            network=self._resources.network,
            pipeline=self._resources.pipeline,
            builder=Loaded(self._load_builder, name="the builder").get,
            compiling=self.compiling,
            publishing=self.publishing,
            holds=self._resources.holds,
        )

    def _load_builder(self) -> "Builder":
        from storectl_daemon.building.builder import Builder  # noqa: PLC0415 - few lock files need it

        logs = Path(locations.state_folder(self._settings.environ)) / "builds"
        resources = self._resources
        return Builder(
            store=self._store, pipeline=resources.pipeline, session=self._session, logs=logs, layers=resources.layers
        )

    def _load_commits(self) -> "Callable[..., CommitMaker]":
        from storectl_daemon.prefetching.making import CommitMaker  # noqa: PLC0415 - only a fetch needs it

        return partial(
            CommitMaker,
            network=self._resources.network,
            pipeline=self._resources.pipeline,
            compiler=self._resources.compiler,
            publishing=self.publishing,
            session=self._session,
        )

    async def commit_maker(self) -> "CommitMaker":
        """What makes ready what was fetched."""
        return (await self._commits.get())(maker=await self.maker.get())

    async def _made(self, job: Job, inputs: Inputs, progress: Progress) -> MadeEnvironment:
        maker = await self.maker.get()
        return await maker(job, inputs, progress)


class Parts:
    """All parts of the daemon that listens at the endpoint. Setting ``stop`` begins its end.

    Build them on the event loop on which the daemon runs.
    """

    def __init__(self, settings: Settings, store: Store, writer: Writer, endpoint: Endpoint) -> None:
        self.settings, self.store, self.endpoint = settings, store, endpoint
        self.stop = asyncio.Event()
        self.watchdog = Watchdog(endpoint, store, writer, stop=self.stop.set)
        self.resources = Resources(settings, store, writer.session)
        self.collecting = Collecting(lambda: self.service, settings.environ)
        making = Making(settings, store, writer.session, self.resources)
        self.publishing = making.publishing
        self.worktrees = FollowedWorktrees(projects=making.book, register=self._register, forget=self._forget)
        self.service = self._service(making, writer)
        self.prefetcher = Prefetcher(self._surroundings(making), making.commit_maker)
        self.packing = _packing(settings, store, making.environments, writer.session)
        gate = Gate(limit=CONNECTIONS_PER_USER)
        self.idle = IdleWatch(
            seconds=settings.idle_exit,
            busy=lambda: self.service.busy or self.collecting.busy or self.prefetcher.busy or gate.connections > 0,
            leave=self.stop.set,
        )
        self.server = self._server(gate, making)

    def _service(self, making: Making, writer: Writer) -> Service:
        settings, store, endpoint = self.settings, self.store, self.endpoint
        return Service(
            store=store,
            environments=making.environments,
            book=making.book,
            files=making.files,
            fronts=making.fronts,
            warmer=making.warmer,
            generations=making.generations,
            comparing=Loaded(partial(_load_comparing, settings, store, making), name="comparing").get,
            compiling=making.compiling,
            watcher=Watcher(
                projects=lambda: watched_projects(
                    making.book,
                    lambda project: self.resources.layering.without_layers(making.warmer.extra_inputs(project)),
                ),
                on_change=self._refresh,
                on_worktrees=self.worktrees.follow,
                on_fetch=self._fetched,
            ),
            bus=making.bus,
            stillness=making.stillness,
            holds=self.resources.holds,
            interpreters=Loaded(partial(_load_interpreters, store), name="interpreters").get,
            variables=KnownVariables(settings.home),
            home=settings.home,
            socket=lambda: endpoint.path,
            check_store=self.watchdog.check_store,
            started=time.monotonic(),
            stop=self.stop.set,
            repairer=Loaded(partial(self._load_repair, making, writer), name="the repair").get,
            bisection=making.bisection.get,
            ahead=making.ahead,
            collector=self.collecting.collector.get,
            own_environ=settings.environ,
        )

    # The service is built of parts that call it: they get these, which look for it when they are called.

    async def _refresh(self, project: Path) -> None:
        await self.service.refresh(project)

    async def _register(self, found: Neighbour) -> None:
        await self.service.register_in_worktree(found)

    async def _forget(self, project: Path) -> None:
        await self.service.forget_in_worktree(project)

    def _fetched(self, project: Path) -> None:
        self.prefetcher.fetched(project)

    def _load_repair(self, making: Making, writer: Writer) -> "Repairer":
        from storectl_daemon.repair.assembly import assemble  # noqa: PLC0415 - few daemons need it

        return assemble(
            self.service,
            writer=writer,
            maker=making.maker,
            compiler=self.resources.compiler,
            publishing=making.publishing,
            alone=self.collecting.alone,
        )

    def _surroundings(self, making: Making) -> Surroundings:
        return Surroundings(
            layout=self.store.layout,
            book=making.book,
            files=making.files,
            variables=self.service.variables,
            holds=self.resources.holds,
            ahead=making.ahead,
            environ=self.settings.environ,
            warming=lambda: self.service.warmer.busy,
            busy=lambda: self.service.busy,
        )

    def _server(self, gate: Gate, making: Making) -> Server:
        resources = self.resources

        def load_http() -> Http:
            from storectl_daemon.serving.app import ASKED_ONLY, WARM, Application  # noqa: PLC0415 - for commands only
            from storectl_daemon.serving.http_server import HttpServer  # noqa: PLC0415 - for commands only

            def on_request(path: str) -> None:
                self.idle.touch()
                if path not in ASKED_ONLY:
                    making.maker.begin()  # a command will want an environment soon
                if path == WARM and self.store.empty:  # everything has to be fetched
                    resources.network.begin()
                    resources.pipeline.expect()

            return HttpServer(Application(self.service, on_request=on_request), gate)

        import_map = making.environments.import_map
        return Server(gate, import_map=import_map, http=load_http, on_answer=self.idle.touch, stop=self.stop)


def _packing(settings: Settings, store: Store, environments: PublishedEnvironments, session: Path) -> Packing | None:
    records = records_folder(settings.environ, store.layout)
    return Packing(store.layout, environments, records=records, session=session) if records else None


def _load_comparing(settings: Settings, store: Store, making: Making) -> "Comparing":
    from storectl_daemon.warming.comparing import Comparing  # noqa: PLC0415 - few daemons need it

    return Comparing(
        store=store,
        environments=making.environments,
        histories=making.histories,
        generations=making.generations,
        interpreters=_load_interpreters(store),
        home=settings.home,
    )


def _load_interpreters(store: Store) -> "InterpreterBook":
    from storectl_store.interpreters.book import InterpreterBook  # noqa: PLC0415 - map requests need none of it

    return InterpreterBook(store.layout.interpreters)
