"""From the inputs of a project to its environment: read, choose, select, look up, make present, publish, compile.

If the environment and all its entries exist already, nothing is started, fetched or written.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from storectl_daemon.building.pip_variables import NOWHERE, locked_places
from storectl_daemon.building.project_options import build_options_of
from storectl_daemon.compiling.compiling import Compiling
from storectl_daemon.entries.layering import Layering
from storectl_daemon.entries.pipeline import Pipeline
from storectl_daemon.errors import OfflineError
from storectl_daemon.indexes.access import Access, Network
from storectl_daemon.indexes.look_up import file_of
from storectl_daemon.jobs.options import Job, Options
from storectl_daemon.jobs.progress import Progress
from storectl_daemon.models import EnvironmentInfo, WarmEvent
from storectl_daemon.process.together import all_of
from storectl_daemon.projects.inputs import Inputs, asked_for, doubts, input_paths
from storectl_daemon.projects.ownership import check_unlocked
from storectl_daemon.published import PublishedEnvironments
from storectl_daemon.warming.arrivals import Arrivals, present
from storectl_daemon.warming.closure import Closure
from storectl_daemon.warming.nodes import NodeLayers
from storectl_daemon.warming.publishing import Publishing
from storectl_daemon.warming.reading import (
    Reading,
    extra_inputs,
    lists_of_trust,
    made_for,
    read_as_kept,
    read_now,
    read_overlay,
    states_of_layers,
    to_be_kept,
)
from storectl_daemon.warming.selections import Selections
from storectl_daemon.warming.settling import MadeEnvironment
from storectl_store.collecting.holds import Hold, Holds
from storectl_store.digest import EnvironmentId
from storectl_store.entries.staged import StagedEntry
from storectl_store.entries.store import Store
from storectl_store.environments.outlines.kept import Outlines
from storectl_store.errors import EnvironmentBuildError
from storectl_store.interpreters.book import InterpreterBook
from storectl_store.projects.kept_inputs import KeptInputs
from storectl_store.projects.ownership import check_local
from storectl_store.projects.version_files import Around
from storectl_store.selection.lock_file import LockFile
from storectl_store.selection.origins import direct_urls
from storectl_store.selection.pin import IndexPin, Pin, Selection, SourcePin
from storectl_store.selection.target import Interpreter

if TYPE_CHECKING:
    from storectl_daemon.building.build_options import BuildOptions
    from storectl_daemon.building.builder import Builder
    from storectl_daemon.building.known_builds import BuiltWheel

_MOST_NAMES = 20
_NAMES_ITS_INDEXES = frozenset({"requirements", "pipfile", "poetry", "pdm"})
"""Lock files whose tools use the indexes named in them for build requirements, too."""


class Means(NamedTuple):
    """What an environment is made with."""

    access: Access
    progress: Progress
    hold: Hold


class EnvironmentMaker:
    """Makes environments. ``builder`` loads what builds: most lock files need none of it."""

    def __init__(
        self,
        *,
        store: Store,
        layering: Layering,
        nodes: NodeLayers,
        outlines: Outlines,
        environments: PublishedEnvironments,
        interpreters: InterpreterBook,
        network: Network,
        pipeline: Pipeline,
        builder: "Callable[[], Awaitable[Builder]]",
        compiling: Compiling,
        publishing: Publishing,
        holds: Holds,
    ) -> None:
        self._store = store
        self._layering = layering
        self._layers = layering.layers
        self._nodes = nodes
        self._outlines = outlines
        self._environments = environments
        self._interpreters = interpreters
        self._access = network.access
        self._pipeline = pipeline
        self._builder = builder
        self._compiling = compiling
        self._selections = Selections()
        self._publishing = publishing
        self._holds = holds

    async def __call__(self, job: Job, inputs: Inputs, progress: Progress) -> MadeEnvironment:
        """The environment of the job, held. Raises a ProblemError if there can be none."""
        self._tell_of_layers(progress)
        with _closed_on_failure(self._holds.keep()) as hold:
            async with self._access(job.project, job.environ) as access:
                if self._store.empty:  # everything has to be fetched
                    access.begin()
                reading, interpreter = await asyncio.to_thread(self._read, job, inputs)
                return await self._made(job, reading, interpreter, Means(access, progress, hold))

    async def again(self, job: Job, kept: KeptInputs, progress: Progress) -> MadeEnvironment:
        """The environment that was made from these inputs, made again, and held.

        If the store has all of its wheels, it is the same. Otherwise they are fetched as the kept lock file says, and
        what was built is built again, perhaps into another wheel. Raises a ProblemError if that cannot be; OfflineError
        names the wheels that are missing.
        """
        await asyncio.to_thread(self._layering.renew, job.environ)
        self._tell_of_layers(progress)
        digests = [wheel.digest for wheel in kept.wheels]
        with _closed_on_failure(self._holds.keep(digests)) as hold:  # first held, then looked for
            interpreter = await asyncio.to_thread(self._interpreters.inspect, kept.executable)
            missing = await asyncio.to_thread(self._missing, kept)
            if missing and job.offline:
                raise _offline(missing)
            if missing:
                reading = await asyncio.to_thread(lambda: made_for(read_as_kept(job, kept), interpreter))
                async with self._access(job.project, job.environ) as access:
                    return await self._made(job, reading, interpreter, Means(access, progress, hold))
            path = await self._publishing.publish(digests, interpreter, kept.direct_urls, progress, hold)
            environment = self._info(EnvironmentId(path.name), job.project, kept.lock_file)
            await self._compiling.start(job, digests, interpreter, progress)
            return MadeEnvironment(environment=environment, hold=hold)

    def _tell_of_layers(self, progress: Progress) -> None:
        """Say which layers are not used, and why. They were looked at when the inputs were read."""
        for problem in self._layering.problems:
            progress.warn(f"{problem.code}: {problem.message}")

    def _missing(self, kept: KeptInputs) -> list[str]:
        """Name and version of each of the wheels that is not in the store. May block."""
        wheels = (wheel for wheel in kept.wheels if not self._layers.seems_whole(wheel.name, wheel.digest))
        return [f"{wheel.name} {wheel.version}" for wheel in wheels]

    async def _made(self, job: Job, reading: Reading, interpreter: Interpreter, means: Means) -> MadeEnvironment:
        async def complete(pin: Pin) -> None:
            await self._nodes.fetch(pin, means.progress)
            manifest = await self._pipeline.ensure(pin, means.progress, means.access)
            self._compiling.arrived(job, manifest, interpreter)
            await asyncio.to_thread(self._outlines.add, [manifest], interpreter.extension_suffixes)

        async with Arrivals(self._layers, complete, progress=means.progress, hold=means.hold) as arrivals:
            return await self._made_of(job, reading, interpreter, means, arrivals)

    async def _made_of(
        self, job: Job, reading: Reading, interpreter: Interpreter, means: Means, arrivals: Arrivals
    ) -> MadeEnvironment:
        located, lock_file = reading.located, reading.lock_file
        access, progress, hold = means
        layers = await asyncio.to_thread(states_of_layers, self._layers)  # as they are before anything is looked for
        options = await asyncio.to_thread(build_options_of, lock_file, job.environ)
        begin = _later if job.offline or job.options.overlay else arrivals.begin
        closure = await self._closure(job, lock_file, interpreter, access, progress, begin=begin)
        overlay = await asyncio.to_thread(read_overlay, job)
        if overlay is not None:
            plain = replace(job, options=Options())
            closure = closure.below(await self._closure(plain, overlay, interpreter, access, progress, begin=begin))
        hold.add(pin.wheel.digest for pin in closure.pins)  # first held, then looked for
        await asyncio.to_thread(check_local, lock_file.included, closure.local_projects, job.environ)
        for warning in (*doubts(located, job.options.lock_file), *closure.warnings):
            progress.warn(warning)
        if job.offline:
            await asyncio.to_thread(self._check_present, closure.pins)
        lock_files = [lock_file, *([overlay] if overlay else [])]
        asked = await asyncio.to_thread(asked_for, located)
        extra = await asyncio.to_thread(extra_inputs, lock_files, closure, (*options.files, *asked))
        extra |= reading.around.inputs
        deciding = (located.project, *input_paths(located), *extra, *(Path(p.path) for p in closure.local_projects))
        extra |= await asyncio.to_thread(lists_of_trust, deciding, job.environ)
        wheels = await self._built(
            job, lock_file, interpreter, closure=closure, options=options, means=means, arrivals=arrivals
        )
        pins = (*closure.pins, *(wheel.pin for wheel in wheels))
        path = await self._environment_of(pins, interpreter, arrivals, progress, hold)
        made, digests = EnvironmentId(path.name), [pin.wheel.digest for pin in pins]
        await self._nodes.keep(made, digests, interpreter, project=located.project, report=progress)
        extra |= {
            name: state for root in self._environments.layers_of(path) for name, state in layers.get(root, {}).items()
        }
        environment = await asyncio.to_thread(self._info, made, located.project, located.lock_file)
        await self._compiling.start(job, digests, interpreter, progress)
        return MadeEnvironment(
            environment=environment,
            extra_inputs=extra,
            variables={name: digest for wheel in wheels for name, digest in wheel.variables.items()},
            notices=closure.notices,
            kept=to_be_kept(reading, interpreter, pins),
            hold=hold,
        )

    async def _built(
        self,
        job: Job,
        lock_file: LockFile,
        interpreter: Interpreter,
        *,
        closure: Closure,
        options: "BuildOptions",
        means: Means,
        arrivals: Arrivals,
    ) -> "list[BuiltWheel]":
        """The wheels of the closure's sources and local projects."""
        if not closure.source_pins and not any(project.packaged for project in closure.local_projects):
            return []
        from storectl_daemon.warming.source_builds import SourceBuilds  # noqa: PLC0415 - only a build needs it

        access, progress, hold = means
        builds = SourceBuilds(
            builder=await self._builder(),
            job=job,
            interpreter=interpreter,
            access=access,
            options=options,
            versions=closure.versions,
            environment_of=lambda made: self._environment_of(
                (*closure.pins, *made), interpreter, arrivals, progress, hold
            ),
            places=closure.places if lock_file.kind in _NAMES_ITS_INDEXES else NOWHERE,
            progress=progress,
            hold=hold,
        )
        return await builds.wheels(closure.source_pins, closure.local_projects)

    async def pins(self, job: Job, inputs: Inputs) -> tuple[Pin, ...]:
        """The wheels that the job's lock file selects, except those to be built. Raises a ProblemError on failure."""
        reading, interpreter = await asyncio.to_thread(self._read, job, inputs)
        async with self._access(job.project, job.environ) as access:
            return (
                await self._closure(job, reading.lock_file, interpreter, access, Progress(_unheard), begin=_later)
            ).pins

    async def staged(self, job: Job, pin: Pin) -> StagedEntry:
        """The wheel of this pin, fetched on behalf of the job and unpacked into a stage, even if the store has it."""
        async with self._access(job.project, job.environ) as access:
            return await self._pipeline.staged(pin, access)

    def _check_present(self, pins: Sequence[Pin]) -> None:
        """Raise OfflineError if a wheel would have to be fetched; it names all of these."""
        here = present(self._layers, pins)
        missing = [
            f"{pin.name} {pin.version}"
            for pin in pins
            if pin.wheel.digest not in here and not pin.wheel.url.startswith("file:")
        ]
        if missing:
            raise _offline(missing)

    def _read(self, job: Job, inputs: Inputs) -> tuple[Reading, Interpreter]:
        """The lock file, and the interpreter that it and the folders around it ask for. May block."""
        reading = read_now(job, inputs)
        interpreter = self.interpreter_for(job, reading.lock_file, reading.around)
        return made_for(reading, interpreter), interpreter

    def interpreter_for(self, job: Job, lock_file: LockFile, around: Around) -> Interpreter:
        """The interpreter that the lock file and the folders around it ask for. Raises TargetError. May block."""
        return self._interpreters.choose(
            job.options.python,
            requires_python=self._selections.requires_python(lock_file, job.options) or around.requires_python,
            pinned=around.pinned,
            environ=job.environ,
        )

    async def selection(self, job: Job, lock_file: LockFile, interpreter: Interpreter) -> Selection:
        """What the lock file selects for the job. Remembered: a branch may come back."""
        return await self._selections.select(job, lock_file, interpreter)

    async def _closure(
        self,
        job: Job,
        lock_file: LockFile,
        interpreter: Interpreter,
        access: Access,
        progress: Progress,
        *,
        begin: Callable[[Sequence[Pin]], Awaitable[None]],
    ) -> Closure:
        """What the lock file selects. ``begin`` gets pins as soon as they are known, before the rest is looked up."""
        selection = await self.selection(job, lock_file, interpreter)
        await begin(selection.pins)
        progress.begin("resolve", len(selection.index_pins))

        unknown: list[str] = []

        async def look_up(pin: IndexPin) -> Pin | SourcePin | None:
            try:
                found = await _resolved(pin, interpreter, access, job)
            except OfflineError:
                if not job.offline:
                    raise
                unknown.append(f"{pin.name} {pin.version}")
                return None
            finally:
                progress.step("resolve", pin.name)
            if isinstance(found, Pin):
                await begin([found])
            return found

        found = await all_of([look_up(pin) for pin in selection.index_pins])
        if unknown:
            raise _offline(unknown)
        pins = (*selection.pins, *(pin for pin in found if isinstance(pin, Pin)))
        source_pins = (*selection.source_pins, *(pin for pin in found if isinstance(pin, SourcePin)))
        return Closure(
            pins=await access.identified(pins, offline=job.offline),
            source_pins=await access.identified_sources(source_pins, offline=job.offline),
            local_projects=selection.local_projects,
            places=locked_places(selection.index_pins),
            warnings=selection.warnings,
            notices=(selection.stale,) if selection.stale else (),
        )

    async def _environment_of(
        self, pins: Sequence[Pin], interpreter: Interpreter, arrivals: Arrivals, progress: Progress, hold: Hold
    ) -> Path:
        async def know_the_shim() -> None:
            await self._publishing.shim.of(interpreter)  # publishing needs it, and the interpreter has to be run for it

        await all_of([know_the_shim(), arrivals.all(pins)])
        digests = [pin.wheel.digest for pin in pins]
        await self._nodes.publish(digests, interpreter, direct_urls(pins), progress)
        return await self._publishing.publish(digests, interpreter, direct_urls(pins), progress, hold)

    def _info(self, environment: EnvironmentId, project: Path, lock_file: Path) -> EnvironmentInfo:
        info = self._environments.info(environment, project=str(project), lock_file=str(lock_file))
        if info is None:
            raise EnvironmentBuildError(f"the environment {environment} is gone again", hint="Warm the project again.")
        return info


@contextmanager
def _closed_on_failure(hold: Hold) -> Iterator[Hold]:
    """The hold, for who gets what is made. If nothing is made, it is let go of."""
    try:
        yield hold
    except BaseException:
        hold.close()
        raise


async def _later(pins: Sequence[Pin]) -> None:
    """Begin nothing yet: it is still to be decided which of these pins are needed."""


def _unheard(event: WarmEvent) -> None:
    """Ignore the event: reading a lock file reports no progress."""


async def _resolved(pin: IndexPin, interpreter: Interpreter, access: Access, job: Job) -> Pin | SourcePin:
    found = await access.resolve(pin, interpreter, offline=job.offline)
    if not pin.digests:
        await asyncio.to_thread(check_unlocked, file_of(found).url, job.environ)
    return found


def _offline(missing: Sequence[str]) -> OfflineError:
    listed = ", ".join(missing[:_MOST_NAMES]) + (
        f" and {len(missing) - _MOST_NAMES} more" if len(missing) > _MOST_NAMES else ""
    )
    return OfflineError(
        f"not in the store, and the network is not to be used: {listed}",
        hint="warm the project once without --offline",
        missing=list(missing),
    )
