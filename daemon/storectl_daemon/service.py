"""The parts of a running daemon, as the API uses them."""

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, assert_never

from storectl_daemon.compiling.compiling import Compiling
from storectl_daemon.errors import UnknownProjectError
from storectl_daemon.jobs.events import EventBus
from storectl_daemon.jobs.options import DEFAULT_OPTIONS, Job, Options, options_of
from storectl_daemon.jobs.variables import KnownVariables
from storectl_daemon.models import (
    EnvironmentInfo,
    FailedProject,
    Health,
    IdleProject,
    InterpreterInfo,
    InterpreterRequest,
    LinkPlaced,
    LinkRemoved,
    LinkRequest,
    LinkState,
    ProjectState,
    ReadyProject,
    WarmingProject,
)
from storectl_daemon.process.memory import resident_bytes
from storectl_daemon.projects.ahead import Ahead
from storectl_daemon.projects.book import Project, ProjectBook, RecordedEnvironment
from storectl_daemon.projects.files import ProjectFiles
from storectl_daemon.projects.fronts import Front, Fronts
from storectl_daemon.projects.inputs import Located, input_paths, locate
from storectl_daemon.projects.stillness import Stillness
from storectl_daemon.projects.watch import WatchedProject, Watcher
from storectl_daemon.projects.worktrees import Neighbour
from storectl_daemon.published import PublishedEnvironments, known_environment
from storectl_daemon.warming.generations import Generations
from storectl_daemon.warming.states import Failed, Idle, Ready, Warming
from storectl_daemon.warming.warm import Warmer
from storectl_store.collecting.holds import Holds
from storectl_store.digest import EnvironmentId
from storectl_store.entries.store import Store
from storectl_store.errors import ProblemError
from storectl_store.projects.input_state import InputKind
from storectl_store.version import installed_version

if TYPE_CHECKING:
    from storectl_daemon.collecting.collector import Collector
    from storectl_daemon.repair.repairer import Repairer
    from storectl_daemon.warming.bisection import Bisection
    from storectl_daemon.warming.comparing import Comparing
    from storectl_store.interpreters.book import InterpreterBook

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One daemon. ``started`` is a time of the monotonic clock; ``stop`` asks for the end and returns at once.

    If the store is gone, ``check_store`` begins the end and raises StoreGoneError. ``socket`` returns the path on which
    the daemon listens. ``repairer``, ``comparing``, ``bisection`` and ``collector`` are loaded by the first request
    that needs them. The variables in ``own_environ`` are the daemon's own.
    """

    store: Store
    environments: PublishedEnvironments
    book: ProjectBook
    files: ProjectFiles
    fronts: Fronts
    warmer: Warmer
    generations: Generations
    comparing: "Callable[[], Awaitable[Comparing]]"
    compiling: Compiling
    watcher: Watcher
    bus: EventBus
    stillness: Stillness
    holds: Holds
    interpreters: Callable[[], Awaitable["InterpreterBook"]]
    variables: KnownVariables
    home: str | None
    socket: Callable[[], Path]
    check_store: Callable[[], None]
    started: float
    stop: Callable[[], None]
    repairer: "Callable[[], Awaitable[Repairer]]"
    bisection: "Callable[[], Awaitable[Bisection]]"
    ahead: Ahead
    collector: "Callable[[], Awaitable[Collector]]"
    own_environ: Mapping[str, str]

    @property
    def busy(self) -> bool:
        """Whether anything is being made."""
        return self.warmer.busy or self.compiling.busy

    def health(self) -> Health:
        """The state of this daemon. Raises StoreGoneError if its store is gone."""
        self.check_store()
        return Health(
            version=installed_version(),
            pid=os.getpid(),
            store=str(self.store.layout.root),
            socket=str(self.socket()),
            uptime_s=round(time.monotonic() - self.started, 3),
            rss_bytes=resident_bytes(),
        )

    async def job_at(
        self, start: str, options: Options, *, offline: bool = False, environ: Mapping[str, str] | None = None
    ) -> Job:
        """The job for a command that is run in this folder. Raises NoLockFileError if there is no project.

        ``environ`` are the variables of the command that asks. If it is None, the variables count that a command last
        sent for the project.
        """
        home = self.home if environ is None else environ.get("HOME", self.home)
        await self.stillness.wait_for(Path(start))
        trusting = environ if environ is not None else {"HOME": self.home or ""}
        located = await asyncio.to_thread(locate, Path(start), options.lock_file, home=home, environ=trusting)
        known = self.variables
        sent = known.of(located.project) if environ is None else known.note(located.project, environ)
        return Job(project=located.project, options=options, offline=offline, environ=sent)

    def job_of_key(self, path: str, key: str) -> Job:
        """The job of the project in this folder whose options have this key.

        Raises UnknownProjectError if the project is not registered, or has had no such options.
        """
        project = self.known(path, exactly=True)
        options = (recorded.options for recorded in project.environments)
        found = next((each for each in options if each.key == key), None)
        if found is None and key != DEFAULT_OPTIONS.key:
            raise UnknownProjectError(
                f"{project.path} has had no environment with these options", hint="storectl warm makes one"
            )
        return Job(project=project.path, options=found or DEFAULT_OPTIONS, environ=self.variables.of(project.path))

    async def register(self, path: str, *, environ: Mapping[str, str] | None) -> Project:
        """Watch the project at or above the folder, and begin to warm it."""
        job = await self.job_at(path, DEFAULT_OPTIONS, environ=environ)
        project = self.book.add(job.project)
        self.watcher.projects_changed()
        self.warmer.start(job)
        await self.book.written()
        return project

    async def unregister(self, path: str) -> None:
        """Forget the project. Raises UnknownProjectError if it is not registered."""
        project = self.known(path, exactly=True)
        await self.forget(project.path)

    async def forget(self, project: Path) -> None:
        """Forget all that is known of the project in this folder, with its record."""
        self.book.remove(project)
        self.warmer.forget(project)
        self.watcher.forget(project)
        self.variables.forget(project)
        self.ahead.forget(project)
        await self.warmer.forget_record(project)
        await self.book.written()

    async def register_in_worktree(self, found: Neighbour) -> None:
        """Watch a project in a new worktree, and warm it as its neighbour is, if its lock file is checked out there."""
        try:
            job = await self.job_at(str(found.folder), found.options)
        except ProblemError as error:
            logger.info("%s is not made ready: %s", found.folder, error)
            return
        if job.project != found.folder:
            return  # the lock file is that of a folder above
        if (sent := self.variables.sent(found.project.path)) is not None:
            job = replace(job, environ=self.variables.note(job.project, sent))
        logger.info("making %s ready as %s is", job.project, found.project.path)
        self.warmer.start(job, why="worktree")  # its end has the watcher ask what to watch

    async def forget_in_worktree(self, project: Path) -> None:
        """Forget a project whose worktree git has removed."""
        if self.book.get(project) is not None:
            logger.info("%s is forgotten: its worktree is gone", project)
            await self.unregister(str(project))

    async def link(self, request: LinkRequest) -> LinkPlaced:
        """Make a front. Raises UnknownEnvironmentError, FrontRefusedError or FrontBusyError."""
        options = options_of(request)
        with self.holds.keep([EnvironmentId(request.environment)]):  # first held, then looked for
            environment = known_environment(self.environments, request.environment)
            place = partial(self.fronts.place, Path(request.path), options, Path(environment.path), force=request.force)
            told = await asyncio.to_thread(place)
        self.book.want(Path(request.path).parent, options)
        return LinkPlaced(told=tuple(told))

    async def unlink(self, path: str) -> LinkRemoved:
        """Take a front away. Raises FrontRefusedError if storectl has not made it."""
        return LinkRemoved(left=tuple(await asyncio.to_thread(self.fronts.remove, Path(path))))

    async def links(self, project: str) -> list[LinkState]:
        """The fronts of the project in this folder, and how they differ from what they were made from."""
        return await asyncio.to_thread(lambda: [self._link_state(front) for front in self.fronts.of(Path(project))])

    def _link_state(self, front: Front) -> LinkState:
        differs = self.fronts.difference(front)
        return LinkState(
            path=str(front.path),
            environment=front.environment or None,
            added=differs.added,
            removed=differs.removed,
            changed=differs.changed,
        )

    def known(self, path: str, *, exactly: bool = False) -> Project:
        """The registered project with this folder, or around it. Raises UnknownProjectError if there is none."""
        folder = Path(os.path.realpath(path))
        project = self.book.get(folder) if exactly else self.book.containing(folder)
        if project is None:
            raise UnknownProjectError(
                f"{folder} is in no project that is known",
                hint="`storectl warm` or `storectl watch add` makes it known.",
                path=str(folder),
            )
        return project

    def state_of(self, project: Project) -> ProjectState:
        """The state of the project: with the default options, or else with those that were used last."""
        recorded = project.main
        job = Job(project=project.path, options=recorded.options if recorded else DEFAULT_OPTIONS)
        state = self.warmer.state(job)
        if isinstance(state, Ready) and self.environments.record(state.environment.id) is None:
            state = Idle()  # it was collected
        environment = state.environment or (self.files.environment(recorded, project.path) if recorded else None)
        facts: dict[str, Any] = {
            "path": str(project.path),
            "lock_file": environment.lock_file if environment else None,
            "environment": environment,
            "watched": self.watcher.watches(project.path),
        }
        match state:
            case Ready():
                return ReadyProject(**facts)
            case Warming(progress=progress):
                return WarmingProject(**facts, progress=progress)
            case Failed(problem=problem):
                return FailedProject(**facts, problem=problem)
            case Idle():
                return IdleProject(**facts)
        assert_never(state)

    def all_environments(self) -> Iterator[EnvironmentInfo]:
        """Every published environment, with a project that uses it if there is one."""
        users = {
            recorded.environment: (project, recorded) for project in self.book for recorded in project.environments
        }
        for environment_id in self.environments.ids():
            project, recorded = users.get(environment_id, (None, None))
            info = self.environments.info(
                environment_id,
                project=str(project.path) if project else None,
                lock_file=recorded.lock_file if recorded else None,
            )
            if info is not None:
                yield info

    async def interpreter(self, request: InterpreterRequest) -> InterpreterInfo:
        """The interpreter that the request means. Raises TargetError if there is none."""
        book = await self.interpreters()
        chosen = await asyncio.to_thread(
            book.choose, request.python, requires_python=None, pinned=request.pinned, environ=request.environ
        )
        return InterpreterInfo(executable=chosen.executable, version=chosen.version)

    async def follow_warms(self) -> None:
        """After each warm, have the watcher ask again what to watch: a project, or an input of one, may be new."""
        with self.bus.subscribe(lambda event: not event.droppable) as events:
            async for _event in events:
                self.watcher.projects_changed()

    async def refresh(self, project: Path) -> None:
        """Look at the project again, for every set of options that was used: its inputs may have changed.

        Options with an overlay are left out. An overlay was locked on top of the project as it was; a command that
        wants one again brings a new one.
        """
        known = self.book.get(project)
        if known is None:
            return
        fronts = await asyncio.to_thread(self.fronts.of, project)
        wanted = {recorded.options: recorded for recorded in known.environments if not recorded.options.overlay}
        for options in dict.fromkeys([*wanted, *(front.options for front in fronts)]):
            recorded = wanted.get(options) or RecordedEnvironment(options=options)
            made = await asyncio.to_thread(self.files.environment, recorded, project)
            environ = self.variables.of(project, python=made.interpreter.executable if made else None)
            await self.warmer.refresh(Job(project=project, options=options, environ=environ))


def watched_projects(
    book: ProjectBook, extra_inputs: Callable[[Path], Mapping[Path, InputKind]]
) -> Iterator[WatchedProject]:
    """What to watch: the inputs of every registered project, and the lock files that options name."""
    for project in book:
        named = tuple(
            Path(recorded.options.lock_file) for recorded in project.environments if recorded.options.lock_file
        )
        located = Located(project=project.path, lock_file=project.path / "uv.lock")
        extra = extra_inputs(project.path)
        yield WatchedProject(
            path=project.path,
            inputs=input_paths(located, (*named, *extra)),
            listed=frozenset(path for path, kind in extra.items() if kind == "names"),
        )
