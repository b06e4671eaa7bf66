"""Making a commit ready: its wheels and their bytecode, and its environment if nothing of it has to be built.

    inputs of the commit --select--> pins --known servers only--> entries
    all pins are there, and what is local needs no backend    --> environment
                                                        entries --> bytecode

Whatever cannot be had this way is left out, with its reason. The environment is then left to the warm that follows the
checkout, which finds the wheels.
"""

import asyncio
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from storectl_daemon.building.known_builds import KnownBuilds
from storectl_daemon.building.order import BuildContext, wheel_order
from storectl_daemon.building.project_options import build_options_of
from storectl_daemon.compiling.compiler import Compiler
from storectl_daemon.entries.pipeline import Pipeline
from storectl_daemon.errors import DaemonError
from storectl_daemon.indexes.access import Access, Network
from storectl_daemon.jobs.options import Job
from storectl_daemon.jobs.progress import Progress
from storectl_daemon.models import WarmEvent
from storectl_daemon.prefetching.admission import NOTHING_KNOWN, Allowance, Budget, Known, known_to
from storectl_daemon.prefetching.commit_files import Answers, CommitFiles
from storectl_daemon.prefetching.git_calls import Git, GitError
from storectl_daemon.prefetching.inputs import counting_variables, outside_files, read_commit
from storectl_daemon.prefetching.local_code import InMemory, editable_of
from storectl_daemon.prefetching.wheels import Reasons, Wheels, known_pins
from storectl_daemon.warming.make import EnvironmentMaker
from storectl_daemon.warming.publishing import Publishing
from storectl_store.collecting.holds import Hold
from storectl_store.digest import Digest, EnvironmentId
from storectl_store.errors import ProblemError, StoreError
from storectl_store.projects.version_files import look_around
from storectl_store.selection.lock_file import LockFile
from storectl_store.selection.origins import direct_urls
from storectl_store.selection.pin import LocalProject, Pin, Selection, SourcePin
from storectl_store.selection.reading import read_lock_file
from storectl_store.selection.target import Interpreter

if TYPE_CHECKING:
    from storectl_daemon.network.address import Address

COMPILED_AT_ONCE = 4 << 20
"""Bytes of source that are compiled before the next look whether somebody waits for the processors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A commit that is to be made ready for one environment of a project: its ``job``, and its ``lock_file``.

    ``top`` is the folder of the checkout.
    """

    job: Job
    lock_file: Path
    top: Path
    git: Git
    commit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was made ready. ``digests`` are those of entries that were fetched; they have no bytecode yet.

    ``environment`` is None if there are ``reasons``. ``answers`` are the inputs of the commit, to be compared with
    those of a later one.
    """

    environment: EnvironmentId | None
    digests: tuple[Digest, ...]
    reasons: Reasons
    answers: Answers
    interpreter: Interpreter


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitInputs:
    """The inputs of a commit. ``current`` is the lock file that is checked out; None if that cannot be read."""

    lock_file: LockFile
    interpreter: Interpreter
    current: LockFile | None
    answers: Answers


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitMaker:
    """Makes commits ready. ``session`` is a folder of this process."""

    maker: EnvironmentMaker
    network: Network
    pipeline: Pipeline
    compiler: Compiler
    publishing: Publishing
    session: Path

    def read(self, asked: Asked, seen: Sequence[Answers]) -> CommitInputs | None:
        """The inputs of the commit; None if those of one that was seen are the same. Blocking.

        Raises a ProblemError or GitError if they cannot be used.
        """
        further = map(Path, asked.job.options.further_lock_files)
        current = None
        with suppress(ProblemError):
            current = read_lock_file(asked.lock_file, further, variables=asked.job.environ)
        variables = counting_variables(asked.job.environ, current)
        with self.files(asked, outside_files(asked.lock_file, asked.top, variables)) as files:
            if any(files.answers_as(known) for known in seen):
                return None
            lock_file, around = read_commit(files, asked.job, asked.lock_file, asked.top, variables)
            answers = dict(files.answers)
        interpreter = self.maker.interpreter_for(asked.job, lock_file, around)
        return CommitInputs(lock_file=lock_file, interpreter=interpreter, current=current, answers=answers)

    async def make(self, asked: Asked, inputs: CommitInputs, allowance: Allowance, hold: Hold) -> Outcome:
        """Fetch what may be fetched, and publish the environment if it is whole; ``hold`` keeps all of it.

        Raises a ProblemError if the commit selects nothing usable, or if the disk refuses.
        """
        selection = await self.maker.selection(asked.job, inputs.lock_file, inputs.interpreter)
        budget = Budget(allowance=allowance)
        async with self.network.access(asked.job.project, asked.job.environ, budget) as access:
            work = _Work(self, asked, inputs, selection=selection, budget=budget, access=access, hold=hold)
            return await work.outcome()

    @contextmanager
    def files(self, asked: Asked, outside: frozenset[Path] = frozenset()) -> Iterator[CommitFiles]:
        """The files of the commit, until the block ends."""
        with asked.git.objects() as objects:
            yield CommitFiles(objects, objects.commit(asked.commit).tree, asked.top, outside=outside)

    async def compile(self, outcome: Outcome) -> None:
        """Compile the entries that were fetched. Raises a ProblemError if the interpreter cannot run."""
        outlines = await asyncio.to_thread(
            self.publishing.outlines.get, outcome.digests, outcome.interpreter.extension_suffixes
        )
        group: list[tuple[Digest, int]] = []
        for outline in outlines:
            group.append((outline.digest, outline.source_size))
            if sum(size for _, size in group) >= COMPILED_AT_ONCE:
                await self._compile(group, outcome.interpreter)
                group = []
        await self._compile(group, outcome.interpreter)

    async def _compile(self, group: Sequence[tuple[Digest, int]], interpreter: Interpreter) -> None:
        ensure = self.compiler.ensure
        await asyncio.gather(*(ensure(digest, interpreter, source_size=size) for digest, size in group))


class _Work:
    """One commit that is being made ready."""

    def __init__(
        self,
        parts: CommitMaker,
        asked: Asked,
        inputs: CommitInputs,
        *,
        selection: Selection,
        budget: Budget,
        access: Access,
        hold: Hold,
    ) -> None:
        self._parts = parts
        self._asked = asked
        self._inputs = inputs
        self._selection = selection
        self._budget = budget
        self._access = access
        self._hold = hold
        self._reasons = Reasons()
        self._progress = Progress(_unheard)
        self._answers = dict(inputs.answers)

    async def outcome(self) -> Outcome:
        """Make what can be made; see ``CommitMaker.make``."""
        parts, selection, interpreter = self._parts, self._selection, self._inputs.interpreter
        wheels = Wheels(
            store=parts.publishing.store,
            pipeline=parts.pipeline,
            outlines=parts.publishing.outlines,
            access=self._access,
            interpreter=interpreter,
            progress=self._progress,
            reasons=self._reasons,
            hold=self._hold,
        )
        known = NOTHING_KNOWN
        if selection.index_pins or not await asyncio.to_thread(self._has_all, selection.pins):
            known = self._budget.known = await self._known()
        looked_up = await wheels.looked_up(selection.index_pins, known)
        pins = [*selection.pins, *(pin for pin in looked_up if isinstance(pin, Pin))]
        sources = [*selection.source_pins, *(pin for pin in looked_up if isinstance(pin, SourcePin))]
        present = await wheels.present(pins)
        try:
            if not self._reasons.texts:
                present += await self._built_before(sources, pins)
            if not self._reasons.texts:
                present += await self._local()
        except StoreError:
            raise  # the disk is full, or the like
        except (ProblemError, GitError, OSError) as error:
            self._reasons.texts.append(str(error))
        environment = None
        if not self._reasons.texts:
            digests, urls = [pin.wheel.digest for pin in present], direct_urls(present)
            path = await parts.publishing.publish(digests, interpreter, urls, self._progress, self._hold)
            environment = EnvironmentId(path.name)
        return Outcome(
            environment=environment,
            digests=tuple(wheels.made),
            reasons=self._reasons,
            answers=self._answers,
            interpreter=interpreter,
        )

    def _has_all(self, pins: Sequence[Pin]) -> bool:
        return all(self._parts.publishing.store.seems_whole(pin.name, pin.wheel.digest) for pin in pins)

    async def _known(self) -> Known:
        """The servers and indexes that the checkout uses, by its own lock file and the configuration."""
        job, current, maker = self._asked.job, self._inputs.current, self._parts.maker
        addresses = await self._configured()
        with suppress(ProblemError):  # a lock file that cannot be used names none
            if current is not None:
                for_project = current.kind == "requirements"
                around = await asyncio.to_thread(look_around, job.project, job.environ, for_project=for_project)
                interpreter = await asyncio.to_thread(maker.interpreter_for, job, current, around)
                selection = await maker.selection(job, current, interpreter)
                pins = await known_pins(self._access, selection.index_pins, interpreter)
                return known_to(selection, pins, addresses, current.variables.values())
        return known_to(Selection(), (), addresses)

    async def _configured(self) -> "tuple[Address, ...]":
        """The addresses that the checkout's configuration names; none if it cannot be read."""
        with suppress(DaemonError):
            return (await self._access.settings()).addresses
        return ()

    async def _built_before(self, sources: Sequence[SourcePin], pins: Sequence[Pin]) -> list[Pin]:
        """The wheels that were built of these sources for the checkout, or for another project. None is built now."""
        if not sources:
            return []
        environ = self._asked.job.environ
        options = await asyncio.to_thread(build_options_of, self._inputs.lock_file, environ)
        versions = {pin.name: pin.version for pin in sources if pin.version is not None}
        versions |= {pin.name: pin.version for pin in pins}
        known_builds, found = KnownBuilds(self._parts.publishing.store), []
        for source in sources:
            if source.name in options.unisolated:
                self._reasons.add(source.name, "it is built in the project's environment")
                continue
            recipe = options.recipe_of(source, versions)
            how = BuildContext(access=self._access, environ=environ, offline=True, recipe=recipe, hold=self._hold)
            order = wheel_order(source, self._inputs.interpreter, how)
            built = await asyncio.to_thread(known_builds.find, order)
            if built is None or not self._is_held(built.pin.wheel.digest):
                self._reasons.add(source.name, "it would have to be built")
            else:
                found.append(replace(built.pin, index=source.index, direct_url=source.direct_url))
        return found

    def _is_held(self, digest: Digest) -> bool:
        """Hold the entry with this digest. Returns whether it is there then."""
        self._hold.add([digest])
        return self._parts.publishing.store.has(digest)

    async def _local(self) -> list[Pin]:
        """The editable wheels of the commit's own projects, in the store."""
        packaged = [project for project in self._selection.local_projects if project.packaged]
        made = await asyncio.to_thread(self._editables, packaged) if packaged else {}
        found = []
        for project in packaged:
            wheel = made[project.path]
            if wheel is None:
                self._reasons.add(project.name, "only its build backend can make it")
                continue
            self._hold.add([wheel.digest])
            await self._parts.pipeline.ensure(wheel.pin, self._progress, wheel)
            found.append(wheel.pin)
        return found

    def _editables(self, projects: Sequence[LocalProject]) -> Mapping[str, InMemory | None]:
        made = {}
        with self._parts.files(self._asked) as files:
            for project in projects:
                copy = Path(tempfile.mkdtemp(prefix="commit.", dir=self._parts.session))
                try:
                    wheel = editable_of(files, project, copy)
                    made[project.path] = InMemory.of(project, wheel) if wheel else None
                finally:
                    shutil.rmtree(copy, ignore_errors=True)
            self._answers |= files.answers
        return made


def _unheard(_event: WarmEvent) -> None:
    """Ignore the event: nobody waits for what is made ahead."""
