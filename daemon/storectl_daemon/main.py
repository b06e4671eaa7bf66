"""The daemon's start: the one place that reads the environment and builds the parts.

Exit codes: 0 after an orderly end, 1 for a problem, 3 if another daemon serves the store.
"""

import argparse
import asyncio
import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from socket import socket
from typing import TYPE_CHECKING, TypeVar

from storectl_daemon.compiling.compiler import Compiler, ShimBytecode
from storectl_daemon.compiling.compiling import Compiling
from storectl_daemon.entries.identification import Identification
from storectl_daemon.entries.pipeline import Pipeline
from storectl_daemon.entries.steps import StoreSteps
from storectl_daemon.entries.workers import Workers
from storectl_daemon.environments import Environments
from storectl_daemon.errors import DaemonError
from storectl_daemon.indexes.network import Network
from storectl_daemon.jobs.events import Event, EventBus
from storectl_daemon.jobs.options import Job
from storectl_daemon.jobs.progress import Progress
from storectl_daemon.jobs.variables import KnownVariables
from storectl_daemon.models import CompiledEvent, ProgressEvent
from storectl_daemon.packing.packing import Packing, records_folder
from storectl_daemon.packing.read_ahead import ReadAhead
from storectl_daemon.process.lifecycle import Background, IdleWatch, notify, rest
from storectl_daemon.process.loading import Loaded
from storectl_daemon.process.logs import configure_logs
from storectl_daemon.process.memory import for_good, give_memory_back, keep_memory_together
from storectl_daemon.process.settings import Settings, daemon_variables
from storectl_daemon.projects.book import ProjectBook, projects_with_records
from storectl_daemon.projects.files import DiskProjectFiles
from storectl_daemon.projects.inputs import Inputs
from storectl_daemon.projects.stillness import Stillness
from storectl_daemon.projects.watch import Watcher
from storectl_daemon.service import Service, sights_of
from storectl_daemon.serving.door import Door
from storectl_daemon.serving.peers import Gate
from storectl_daemon.serving.presence import Presence
from storectl_daemon.serving.server import CONNECTIONS_PER_USER, Http, Server
from storectl_daemon.serving.sockets import SocketBusyError
from storectl_daemon.warming.publishing import Publishing
from storectl_daemon.warming.settling import Built, Settling
from storectl_daemon.warming.warm import Warmer
from storectl_shim import locations
from storectl_shim.locations import NoHomeError
from storectl_store.disk.durability import store_error
from storectl_store.entries.recovery import recover
from storectl_store.entries.store import Store
from storectl_store.entries.trash import empty_trash
from storectl_store.entries.writer import Writer
from storectl_store.environments.made_by import shown_digests
from storectl_store.environments.outlines.kept import Outlines
from storectl_store.errors import ProblemError, StoreBusyError

if TYPE_CHECKING:
    from storectl_daemon.interpreters.book import InterpreterBook
    from storectl_daemon.repair.repairer import Repairer
    from storectl_daemon.warming.build import EnvironmentBuild

logger = logging.getLogger(__name__)

Taken = TypeVar("Taken")

EXIT_BUSY = 3
HANDOVER_S = 3.0
"""Seconds to wait for the store: a daemon that was told to stop may still be ending its workers."""

_UMASK = 0o022
"""The store's files have the same modes, whatever umask the daemon was started with. Private files set their own."""

REST_S = 1.0
"""Seconds after a warm before its memory is given back: the client that waited now asks for the environment."""

_HANDOVER_POLL_S = 0.05


def main(argv: Sequence[str]) -> int:
    """Serve until told to stop. ``argv`` is without the program's name. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="storectl daemon", description="Serve one store on a Unix socket.")
    parser.add_argument("--log-file", type=Path, help="write the log here instead of to stderr")
    arguments = parser.parse_args(argv)
    try:
        configure_logs(arguments.log_file)
        settings = Settings.from_environ(_only_own())
        return _serve_store(settings)
    except (StoreBusyError, SocketBusyError) as error:
        return _tell(error, EXIT_BUSY)
    except NoHomeError as error:
        return _tell(DaemonError(str(error), code="E_NO_HOME", hint=error.hint), 1)
    except ProblemError as error:
        return _tell(error, 1)
    except OSError as error:
        return _tell(store_error(error, "serve"), 1)


def _only_own() -> dict[str, str]:
    """Remove from this process all variables that are not the daemon's, and return those that are left.

    No child of the daemon is to see the other variables of the shell that started it.
    """
    own = daemon_variables(os.environ)
    os.environ.clear()
    os.environ.update(own)
    os.chdir("/")
    return own


def _tell(error: ProblemError, code: int) -> int:
    """Print one line for a person, and log it if the log is a file. Returns ``code``."""
    if not any(getattr(handler, "stream", None) is sys.stderr for handler in logging.getLogger().handlers):
        logger.error("%s", error)
    sys.stderr.write(f"storectl: {error}\n")
    return code


def _handed_over(take: Callable[[], Taken]) -> Taken:
    """The value of ``take``, tried again for as long as a stopping daemon may need; then its busy error is raised."""
    deadline = time.monotonic() + HANDOVER_S
    while True:
        try:
            return take()
        except (StoreBusyError, SocketBusyError):
            if time.monotonic() > deadline:
                raise
            time.sleep(_HANDOVER_POLL_S)


def _serve_store(settings: Settings) -> int:
    keep_memory_together()
    os.umask(_UMASK)
    store = Store.open(settings.store)
    with _handed_over(partial(Writer.acquire, store.layout)) as writer:
        recovered = recover(store, writer, shown=partial(shown_digests, store.layout))
        if recovered:
            logger.info("recovered the store: %s", recovered)
        with Door(settings.store, settings.sockets, settings.environ) as door:
            _handed_over(door.open)
            daemon = for_good(partial(Daemon, settings, store, writer, door))
            asyncio.run(daemon.run())
    store.close()
    return 0


def _made_something(event: Event) -> bool:
    """Whether the event reports an environment that was published, or all of its bytecode."""
    message = event.message
    if isinstance(message, ProgressEvent):
        return message.phase == "publish" and message.done == message.total
    return isinstance(message, CompiledEvent)


class Daemon:
    """All parts of a daemon. They are built on the event loop on which they run."""

    def __init__(self, settings: Settings, store: Store, writer: Writer, door: Door) -> None:
        self._settings = settings
        self._store = store
        self._writer = writer
        self._session = writer.session
        self._door = door
        self._presence = Presence(door, store, writer, move=self._move, leave=self._leave)
        self._emptying = True

    async def run(self) -> None:
        """Serve until asked to stop, then end everything in order."""
        settings, layout = self._settings, self._store.layout
        self._workers = Workers(settings.workers)
        identification = Identification(self._store.catalogue, session=self._session)
        self._network = Network(self._store, identification, home=Path(settings.home or "/"))
        self._steps = StoreSteps(self._store, self._workers, session=self._session, processes=settings.workers)
        self._pipeline = Pipeline(self._steps.pipeline_steps(), session=self._session)
        self._compiler = Compiler(compile_batch=self._steps.compile_batch, present=self._steps.has_bytecode)
        self._background = Background()
        gate = Gate(limit=CONNECTIONS_PER_USER)
        service = self._service()
        idle = IdleWatch(
            seconds=settings.idle_exit,
            busy=lambda: service.busy or gate.connections > 0,
            leave=self._leave,
        )
        self._read_ahead = ReadAhead(layout)

        def on_answer(environment_id: str) -> None:
            idle.touch()
            self._read_ahead.begin(environment_id)

        self._server = Server(
            gate,
            import_map=service.environments.import_map,
            http=partial(for_good, partial(self._load_http, service, gate, idle)),
            on_answer=on_answer,
            on_stop=partial(self._stop, service),
        )
        self._background.start("staying present", self._presence.run())
        self._background.start("emptying the trash", self._empty_trash())
        self._background.start("watching", service.watcher.run())
        self._background.start("following warms", service.follow_warms())
        self._background.start("idle exit", idle.run())
        self._background.start("giving memory back", self._rest_after_warms(service))
        records = records_folder(settings.environ, layout)
        if records is not None:
            packing = Packing(layout, service.environments, records=records, session=self._session)
            self._background.start("packing", packing.run(busy=lambda: service.busy))
        self._background.start("telling the service manager", self._tell_ready())
        logger.info("serving %s on %s", layout.root, self._door.path)
        await self._server.serve(self._door.socket)
        await self._end()
        logger.info("stopped")

    def _service(self) -> Service:
        settings, layout = self._settings, self._store.layout
        environments, bus = Environments(layout), EventBus()
        book = ProjectBook(layout.projects_file, otherwise=partial(projects_with_records, layout))
        files = DiskProjectFiles(layout, environments, home=settings.home)
        outlines = Outlines(self._store, self._store.catalogue)
        compiling = Compiling(self._compiler, outlines.get, bus)
        shim = ShimBytecode(self._store.catalogue)
        publishing = Publishing(store=self._store, outlines=outlines, environments=environments, shim=shim)
        load = partial(for_good, partial(self._load_build, environments, outlines, compiling, publishing))
        self._build: Loaded[EnvironmentBuild] = Loaded(load, name="the build")

        async def build_noted(job: Job, inputs: Inputs, progress: Progress) -> Built:
            build = await self._build.get()
            return await build(job, inputs, progress)

        stillness = Stillness()
        warmer = Warmer(settling=Settling(build_noted, files, stillness), files=files, book=book, bus=bus)

        async def refresh(project: Path) -> None:
            await service.refresh(project)

        watcher = Watcher(sights=lambda: sights_of(book, warmer.extra_inputs), on_change=refresh)
        repairer = Loaded(lambda: for_good(partial(self._load_repair, service, publishing)), name="the repair")
        service = Service(
            store=self._store,
            environments=environments,
            book=book,
            files=files,
            warmer=warmer,
            compiling=compiling,
            watcher=watcher,
            bus=bus,
            stillness=stillness,
            interpreters=Loaded(self._load_interpreters, name="interpreters").get,
            variables=KnownVariables(settings.home),
            home=settings.home,
            socket=lambda: self._door.path,
            look=self._presence.look,
            started=time.monotonic(),
            stop=self._leave,
            repairer=repairer.get,
        )
        return service

    def _load_http(self, service: Service, gate: Gate, idle: IdleWatch) -> Http:
        from storectl_daemon.serving.app import create_application  # noqa: PLC0415 - map requests need none of it
        from storectl_daemon.serving.http_server import HttpServer  # noqa: PLC0415 - map requests need none of it
        from storectl_daemon.serving.short_way import HEALTH, WARM  # noqa: PLC0415 - map requests need none of it

        def on_request(path: str) -> None:
            idle.touch()
            if path != HEALTH:
                self._build.begin()  # a command will want a build soon
            if path == WARM and self._store.empty:  # everything has to be fetched
                self._network.begin()
                self._steps.expect()

        return HttpServer(create_application(service, on_request=on_request), gate)

    def _load_interpreters(self) -> "InterpreterBook":
        from storectl_daemon.interpreters.book import InterpreterBook  # noqa: PLC0415 - map requests need none of it

        return InterpreterBook(self._store.layout.interpreters)

    def _load_repair(self, service: Service, publishing: Publishing) -> "Repairer":
        from storectl_daemon.repair.assembly import assemble  # noqa: PLC0415 - few daemons need it

        return assemble(service, writer=self._writer, build=self._build, compiler=self._compiler, publishing=publishing)

    def _load_build(
        self, environments: Environments, outlines: Outlines, compiling: Compiling, publishing: Publishing
    ) -> "EnvironmentBuild":
        from storectl_daemon.building.builder import Builder  # noqa: PLC0415 - only a build needs it
        from storectl_daemon.warming.build import EnvironmentBuild  # noqa: PLC0415 - only a build needs it

        settings = self._settings
        builder = Builder(
            store=self._store,
            pipeline=self._pipeline,
            session=self._session,
            logs=Path(locations.state_folder(settings.environ)) / "builds",
        )
        return EnvironmentBuild(
            store=self._store,
            outlines=outlines,
            environments=environments,
            interpreters=self._load_interpreters(),
            access=self._network.access,
            pipeline=self._pipeline,
            builder=builder,
            compiling=compiling,
            publishing=publishing,
        )

    async def _rest_after_warms(self, service: Service) -> None:
        """After each warm, once all is published and compiled, give memory back: it is not needed again soon."""
        with service.bus.subscribe(_made_something) as events:
            async for _event in events:
                await rest(REST_S, lambda: service.busy)
                events.skip()
                await asyncio.to_thread(give_memory_back)

    async def _empty_trash(self) -> None:
        """Delete what lies in the trash. Neither the start nor the end of the daemon waits for this."""
        deleted = await asyncio.to_thread(empty_trash, self._store.layout, lambda: self._emptying)
        if deleted:
            logger.info("deleted %d things from the trash", deleted)

    def _move(self, listening: socket) -> None:
        self._server.move(listening)

    def _leave(self) -> None:
        self._server.ask_to_stop()

    async def _tell_ready(self) -> None:
        await self._server.accepting.wait()
        notify(self._settings.notify_socket, "READY=1")

    async def _stop(self, service: Service) -> None:
        """The first step of the end: refuse new work, and send every stream its last line."""
        logger.info("stopping")
        notify(self._settings.notify_socket, "STOPPING=1")
        self._emptying = False
        self._steps.stop()
        await self._background.stop()
        await service.warmer.stop()
        await service.compiling.stop()
        await service.book.written()
        service.bus.close()

    async def _end(self) -> None:
        self._read_ahead.close()
        await self._pipeline.aclose()
        await self._compiler.aclose()
        self._steps.close()
        self._workers.close()
        await self._network.aclose()
