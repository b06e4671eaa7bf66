"""What ``git fetch`` brought is made ready before anybody checks it out: when, how much, and behind whom.

One project after the other, a second after its last fetch, and only while nothing is being warmed. A warm ends what is
under way; it is taken up again after the warm. Nobody is told of a commit that cannot be made ready, because nobody has
asked for it: the log has it.
"""

import asyncio
import logging
import shutil
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storectl_daemon.errors import FetchError
from storectl_daemon.jobs.options import Job
from storectl_daemon.jobs.variables import KnownVariables
from storectl_daemon.prefetching.admission import Allowance
from storectl_daemon.prefetching.conditions import NotNowError, check_moment
from storectl_daemon.prefetching.fetched import Fetched, fetched_around
from storectl_daemon.prefetching.git_calls import GitError
from storectl_daemon.prefetching.refs import Candidate
from storectl_daemon.prefetching.settings import wanted_branches
from storectl_daemon.process.lifecycle import rest
from storectl_daemon.process.memory import give_memory_back
from storectl_daemon.process.settings import SettingsError
from storectl_daemon.projects.ahead import Ahead, MadeAhead
from storectl_daemon.projects.book import ProjectBook
from storectl_daemon.projects.files import ProjectFiles
from storectl_store.collecting.holds import Holds
from storectl_store.entries.layout import StoreLayout
from storectl_store.errors import ProblemError, StoreError
from storectl_store.projects.prefetched import Prefetched, note_prefetched

if TYPE_CHECKING:
    from storectl_daemon.prefetching.commit_files import Answers
    from storectl_daemon.prefetching.making import CommitMaker, Outcome

logger = logging.getLogger(__name__)

QUIET_SECONDS = 1.0
"""How long no ref must have changed: a fetch of several remotes changes them one after the other."""

_LOOK_SECONDS = 0.02
"""How often a prefetch that is under way looks whether somebody waits for a warm."""

_MOST_OPTIONS = 4
_MOST_REMEMBERED = 64
_MOST_SEEN = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a prefetch depends on. ``environ`` are the daemon's own variables.

    ``ahead`` is told what was made. ``warming`` is whether a warm is under way, ``busy`` whether anything else is that
    goes before.
    """

    layout: StoreLayout
    book: ProjectBook
    files: ProjectFiles
    variables: KnownVariables
    holds: Holds
    ahead: Ahead
    environ: Mapping[str, str]
    warming: Callable[[], bool]
    busy: Callable[[], bool]


@dataclass(slots=True, kw_only=True)
class _Environment:
    """One environment of a project, and what has been made ready for it: commits, and their inputs."""

    job: Job
    lock_file: Path
    commits: "deque[str]" = field(default_factory=lambda: deque(maxlen=_MOST_REMEMBERED))
    seen: "deque[Answers]" = field(default_factory=lambda: deque(maxlen=_MOST_SEEN))


class Prefetcher:
    """Makes ready what was fetched. ``maker`` is loaded by the first fetch that brings something."""

    def __init__(
        self,
        around: Surroundings,
        maker: "Callable[[], Awaitable[CommitMaker]]",
        *,
        quiet_seconds: float = QUIET_SECONDS,
    ) -> None:
        self._around = around
        self._maker = maker
        self._quiet_seconds = quiet_seconds
        self._waiting: OrderedDict[Path, float] = OrderedDict()
        self._arrived = asyncio.Event()
        self._known: dict[Job, _Environment] = {}
        self._allowances: dict[Path, Allowance] = {}
        self._current: Path | None = None

    @property
    def busy(self) -> bool:
        """Whether anything is being made ready, or is going to be."""
        return self._current is not None or bool(self._waiting)

    def fetched(self, project: Path) -> None:
        """Call this when the refs of the repository around the project may have changed."""
        self._waiting[project] = time.monotonic() + self._quiet_seconds
        self._waiting.move_to_end(project)
        self._arrived.set()

    async def run(self) -> None:
        """Make ready what was fetched, one project after the other, until cancelled."""
        while True:
            project = self._current = await self._next()
            if self._around.busy():
                await rest(self._quiet_seconds, self._around.busy)
            if await self._uninterrupted(self._project(project)):
                self._allowances.pop(project, None)
            else:
                logger.debug("%s: what was fetched waits for a warm", project)
                self.fetched(project)
            self._current = None

    async def _next(self) -> Path:
        """The project that has been quiet for longest, once it has been quiet for long enough."""
        while True:
            while not self._waiting:
                self._arrived.clear()
                await self._arrived.wait()
            project, at = next(iter(self._waiting.items()))
            left = at - time.monotonic()
            if left <= 0:
                del self._waiting[project]
                return project
            await asyncio.sleep(left)

    async def _uninterrupted(self, work: Coroutine[Any, Any, None]) -> bool:
        """Do the work to its end. If a warm begins meanwhile, cancel the work and return False."""
        task = asyncio.create_task(work, name="making ready what was fetched")
        try:
            while not task.done():
                await asyncio.wait({task}, timeout=_LOOK_SECONDS)
                if not task.done() and self._around.warming():
                    return False
        finally:
            task.cancel()
            await asyncio.wait({task})
        error = None if task.cancelled() else task.exception()
        if error is not None:
            logger.error("making ready what was fetched failed", exc_info=error)
        return True

    async def _project(self, project: Path) -> None:
        """Make ready what the repository around this project has that is new."""
        environments = await asyncio.to_thread(self._environments, project)
        if not environments:
            return
        try:
            found = await asyncio.to_thread(self._found, project, environments[0].job.environ)
        except (NotNowError, GitError, OSError, SettingsError) as error:
            logger.info("%s: nothing is fetched ahead: %s", project, error)
            return
        for commit in found.commits:
            for environment in environments:
                if environment.lock_file.is_relative_to(found.top) and commit.commit not in environment.commits:
                    await self._commit(found, commit, environment)

    def _found(self, project: Path, environ: Mapping[str, str]) -> Fetched:
        """The commits to make ready. Raises NotNowError, GitError, SettingsError or OSError if there are none now."""
        branches = wanted_branches(self._around.environ)
        if branches == "none":
            raise NotNowError("the settings say so")
        check_moment({**self._around.environ, **environ}, self._around.layout.root)
        return fetched_around(project, environ, branches)

    def _environments(self, project: Path) -> list[_Environment]:
        """The environments that the project used last, but for overlays: those were locked for it as it was."""
        self._known = {job: each for job, each in self._known.items() if self._around.book.get(job.project)}
        known = self._around.book.get(project)
        found = []
        for recorded in known.environments if known else ():
            made = self._around.files.environment(recorded, project)
            if made is not None and recorded.lock_file is not None and not recorded.options.overlay:
                environ = self._around.variables.of(project, python=made.interpreter.executable)
                job = Job(project=project, options=recorded.options, environ=environ)
                environment = self._known.setdefault(job, _Environment(job=job, lock_file=Path(recorded.lock_file)))
                environment.job, environment.lock_file = job, Path(recorded.lock_file)
                found.append(environment)
        return found[:_MOST_OPTIONS]

    async def _commit(self, found: Fetched, commit: Candidate, environment: _Environment) -> None:
        """Make one commit ready, and remember that this was done, unless it may be otherwise the next time."""
        project = environment.job.project
        try:
            outcome = await self._made(found, commit, environment)
        except StoreError as error:
            logger.info("%s: %s is not made ready: %s", project, commit.name, error.message)
            return
        except (ProblemError, GitError, OSError) as error:
            logger.info("%s: %s is not made ready: %s", project, commit.name, error)
            if not isinstance(error, FetchError):
                environment.commits.append(commit.commit)
            return
        if outcome is None or not outcome.reasons.passing:
            environment.commits.append(commit.commit)
        if outcome is not None and not outcome.reasons.passing:
            environment.seen.append(outcome.answers)

    async def _made(self, found: Fetched, commit: Candidate, environment: _Environment) -> "Outcome | None":
        from storectl_daemon.prefetching.making import Asked  # noqa: PLC0415 - an idle daemon needs none of it

        maker, project = await self._maker(), environment.job.project
        asked = Asked(
            job=environment.job,
            lock_file=environment.lock_file,
            top=found.top,
            git=found.git,
            commit=commit.commit,
        )
        read = await asyncio.to_thread(maker.read, asked, tuple(environment.seen))
        if read is None:
            logger.debug("%s: %s has inputs that were looked at already", project, commit.name)
            return None
        free = partial(_free_bytes, self._around.layout.root)
        allowance, began = self._allowances.setdefault(project, Allowance(free=free)), time.monotonic()
        with self._around.holds.keep() as hold:
            outcome = await maker.make(asked, read, allowance, hold)
            _log(project, commit, outcome)
            await asyncio.to_thread(self._note, project, commit, outcome)
            await self._note_ahead(project, commit, outcome, seconds=time.monotonic() - began)
        await maker.compile(outcome)
        await asyncio.to_thread(give_memory_back)
        return outcome

    def _note(self, project: Path, commit: Candidate, outcome: "Outcome") -> None:
        """Record what was made, so that it is kept. A project that was forgotten meanwhile gets no record."""
        if self._around.book.get(project) is None or not (outcome.environment or outcome.digests):
            return
        made = Prefetched(
            at_ns=time.time_ns(),
            environment=outcome.environment,
            commit=commit.commit,
            ref=commit.name,
            digests=() if outcome.environment else outcome.digests,
        )
        note_prefetched(self._around.layout, project, made)

    async def _note_ahead(self, project: Path, commit: Candidate, outcome: "Outcome", *, seconds: float) -> None:
        """Note an environment for which something was fetched. All others would have been made in a moment."""
        if outcome.environment is not None and outcome.digests and self._around.book.get(project) is not None:
            made = MadeAhead(
                project=project,
                environment=outcome.environment,
                branch=commit.name,
                why="fetch",
                at=time.time(),
                seconds=seconds,
            )
            await self._around.ahead.look()
            self._around.ahead.made(made)


def _log(project: Path, commit: Candidate, outcome: "Outcome") -> None:
    if outcome.environment is not None:
        logger.info("%s: %s is ready: %s", project, commit.name, outcome.environment)
        return
    why = "; ".join(outcome.reasons.texts)
    logger.info("%s: %s has no environment yet, %d new wheels: %s", project, commit.name, len(outcome.digests), why)


def _free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free
