"""From the inputs of a project to its environment: read, choose, select, look up, make present, publish, compile.

If the environment and all its entries exist already, nothing is started, fetched or written.
"""

import asyncio
import hashlib
import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from packaging.utils import NormalizedName

from storectl_daemon.building.builder import Builder
from storectl_daemon.building.pip_variables import NOWHERE, locked_places
from storectl_daemon.building.project_options import build_options_of
from storectl_daemon.compiling.compiling import Compiling
from storectl_daemon.entries.pipeline import Pipeline, biggest_first
from storectl_daemon.errors import OfflineError
from storectl_daemon.indexes.access import Access, Network
from storectl_daemon.indexes.look_up import file_of
from storectl_daemon.interpreters.book import InterpreterBook
from storectl_daemon.jobs.options import Job, Options
from storectl_daemon.jobs.progress import Progress
from storectl_daemon.models import EnvironmentInfo, WarmEvent
from storectl_daemon.projects.inputs import Inputs, asked_for, doubts, read_states
from storectl_daemon.projects.ownership import check_local, check_unlocked
from storectl_daemon.projects.version_files import Around, look_around
from storectl_daemon.published import PublishedEnvironments
from storectl_daemon.warming.closure import Closure
from storectl_daemon.warming.publishing import Publishing
from storectl_daemon.warming.settling import MadeEnvironment
from storectl_daemon.warming.source_builds import SourceBuilds, all_of
from storectl_store.collecting.holds import Hold, Holds
from storectl_store.digest import Digest, EnvironmentId
from storectl_store.entries.stage import StagedEntry
from storectl_store.entries.store import Store
from storectl_store.environments.outlines.kept import Outlines
from storectl_store.errors import EnvironmentBuildError
from storectl_store.projects.input_state import InputKind, InputState, stronger
from storectl_store.projects.local_inputs import check_is_project, local_inputs
from storectl_store.selection.lock_file import LockFile
from storectl_store.selection.options import DEV
from storectl_store.selection.pin import IndexPin, Pin, Selection, SourcePin
from storectl_store.selection.reading import read_lock_file
from storectl_store.selection.requires_python import requires_python_of
from storectl_store.selection.select import select
from storectl_store.selection.target import Interpreter
from storectl_store.selection.uv.groups import AskedGroups

_KEPT_SELECTIONS = 16  # of 300 pins each, 3 MB
_MOST_NAMES = 20
_NAMES_ITS_INDEXES = frozenset({"requirements", "pipfile", "poetry", "pdm"})
"""Lock files whose tools use the indexes named in them for build requirements, too."""


def _contents(lock_file: LockFile) -> str:
    """A digest over the lock file, with its path, and over the pyproject.toml beside it."""
    parts = f"{lock_file.path}\0{lock_file.digest}\0".encode("utf-8", "surrogateescape")
    return hashlib.sha256(parts + (lock_file.pyproject or b"")).hexdigest()


class EnvironmentMaker:
    """Makes environments."""

    def __init__(
        self,
        *,
        store: Store,
        outlines: Outlines,
        environments: PublishedEnvironments,
        interpreters: InterpreterBook,
        network: Network,
        pipeline: Pipeline,
        builder: Builder,
        compiling: Compiling,
        publishing: Publishing,
        holds: Holds,
    ) -> None:
        self._store = store
        self._outlines = outlines
        self._environments = environments
        self._interpreters = interpreters
        self._access = network.access
        self._pipeline = pipeline
        self._builder = builder
        self._compiling = compiling
        self._selections: OrderedDict[tuple[str, Options, str], Selection] = OrderedDict()
        self._required: dict[tuple[str, AskedGroups], str | None] = {}
        self._publishing = publishing
        self._holds = holds

    async def __call__(self, job: Job, inputs: Inputs, progress: Progress) -> MadeEnvironment:
        """The environment of the job, held. Raises a ProblemError if there can be none."""
        hold = self._holds.keep()
        try:
            async with self._access(job.project, job.environ) as access:
                if self._store.empty:  # everything has to be fetched
                    access.begin()
                return await self._made(job, inputs, access, progress, hold)
        except BaseException:
            hold.close()
            raise

    async def _made(self, job: Job, inputs: Inputs, access: Access, progress: Progress, hold: Hold) -> MadeEnvironment:
        lock_file, around, interpreter = await asyncio.to_thread(self._read, job, inputs)
        options = await asyncio.to_thread(build_options_of, lock_file, job.environ)
        closure = await self._closure(job, lock_file, interpreter, access, progress)
        overlay = await asyncio.to_thread(_overlay, job)
        if overlay is not None:
            plain = replace(job, options=Options())
            closure = closure.below(await self._closure(plain, overlay, interpreter, access, progress))
        hold.add(pin.wheel.digest for pin in closure.pins)  # first held, then looked for
        await asyncio.to_thread(check_local, lock_file.included, closure.local_projects, job.environ)
        for warning in (*doubts(inputs.located, job.options.lock_file), *closure.warnings):
            progress.warn(warning)
        if job.offline:
            await asyncio.to_thread(self._check_present, closure.pins)
        lock_files = [lock_file, *([overlay] if overlay else [])]
        asked = await asyncio.to_thread(asked_for, inputs.located)
        extra = await asyncio.to_thread(_extra_inputs, lock_files, closure, (*options.files, *asked))
        extra |= around.inputs
        builds = SourceBuilds(
            builder=self._builder,
            job=job,
            interpreter=interpreter,
            access=access,
            options=options,
            versions=closure.versions,
            environment_of=lambda made: self._environment_of(
                (*closure.pins, *made), interpreter, access, progress, hold
            ),
            places=closure.places if lock_file.kind in _NAMES_ITS_INDEXES else NOWHERE,
            progress=progress,
            hold=hold,
        )
        wheels = await builds.wheels(closure.source_pins, closure.local_projects)
        pins = (*closure.pins, *(wheel.pin for wheel in wheels))
        path = await self._environment_of(pins, interpreter, access, progress, hold)
        environment = await asyncio.to_thread(self._info, EnvironmentId(path.name), inputs)
        await self._compiling.start(job, [pin.wheel.digest for pin in pins], interpreter, progress)
        return MadeEnvironment(
            environment=environment,
            extra_inputs=extra,
            variables={name: digest for wheel in wheels for name, digest in wheel.variables.items()},
            notices=closure.notices,
            hold=hold,
        )

    async def pins(self, job: Job, inputs: Inputs) -> tuple[Pin, ...]:
        """The wheels that the job's lock file selects, except those to be built. Raises a ProblemError on failure."""
        lock_file, _around, interpreter = await asyncio.to_thread(self._read, job, inputs)
        async with self._access(job.project, job.environ) as access:
            return (await self._closure(job, lock_file, interpreter, access, Progress(_unheard))).pins

    async def staged(self, job: Job, pin: Pin) -> StagedEntry:
        """The wheel of this pin, fetched on behalf of the job and unpacked into a stage, even if the store has it."""
        async with self._access(job.project, job.environ) as access:
            return await self._pipeline.staged(pin, access)

    def _check_present(self, pins: Sequence[Pin]) -> None:
        """Raise OfflineError if a wheel would have to be fetched; it names all of these."""
        present = self._present(pins)
        missing = [
            f"{pin.name} {pin.version}"
            for pin in pins
            if pin.wheel.digest not in present and not pin.wheel.url.startswith("file:")
        ]
        if missing:
            raise _offline(missing)

    def _read(self, job: Job, inputs: Inputs) -> tuple[LockFile, Around, Interpreter]:
        """The lock file, what the folders around it say, and the interpreter that these two ask for. May block."""
        further = map(Path, job.options.further_lock_files)
        lock_file = read_lock_file(inputs.located.lock_file, further, variables=job.environ)
        around = _look_around(job, lock_file)
        return lock_file, around, self.interpreter_for(job, lock_file, around)

    def interpreter_for(self, job: Job, lock_file: LockFile, around: Around) -> Interpreter:
        """The interpreter that the lock file and the folders around it ask for. Raises TargetError. May block."""
        return self._interpreters.choose(
            job.options.python,
            requires_python=self._requires_python(lock_file, job.options) or around.requires_python,
            pinned=around.pinned,
            environ=job.environ,
        )

    def _requires_python(self, lock_file: LockFile, options: Options) -> str | None:
        """What the lock file and its groups require. Remembered: to find it out means to parse the whole file."""
        asked = AskedGroups(
            named=options.groups | {DEV} if options.dev else options.groups,
            defaults=options.default_groups and not options.only_groups,
            every=options.all_groups,
            left_out=options.no_groups,
        )
        question = _contents(lock_file), asked
        if question not in self._required:
            if len(self._required) >= _KEPT_SELECTIONS:
                self._required.clear()
            self._required[question] = requires_python_of(lock_file, asked)
        return self._required[question]

    async def selection(self, job: Job, lock_file: LockFile, interpreter: Interpreter) -> Selection:
        """What the lock file selects for the job. Remembered: a branch may come back."""
        question = _contents(lock_file), job.options, interpreter.identity
        known = self._selections.get(question)
        if known is None:
            known = await asyncio.to_thread(lambda: select(lock_file, job.options.target(interpreter)))
            self._selections[question] = known
            if len(self._selections) > _KEPT_SELECTIONS:
                self._selections.popitem(last=False)
        return known

    async def _closure(
        self, job: Job, lock_file: LockFile, interpreter: Interpreter, access: Access, progress: Progress
    ) -> Closure:
        selection = await self.selection(job, lock_file, interpreter)
        progress.begin("resolve", len(selection.index_pins))

        unknown: list[str] = []

        async def look_up(pin: IndexPin) -> Pin | SourcePin | None:
            try:
                return await _resolved(pin, interpreter, access, job)
            except OfflineError:
                if not job.offline:
                    raise
                unknown.append(f"{pin.name} {pin.version}")
                return None
            finally:
                progress.step("resolve", pin.name)

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
        self, pins: Sequence[Pin], interpreter: Interpreter, access: Access, progress: Progress, hold: Hold
    ) -> Path:
        await self._make_present(pins, interpreter, access, progress)
        digests = [pin.wheel.digest for pin in pins]
        return await self._publishing.publish(digests, interpreter, direct_urls_of(pins), progress, hold)

    async def _make_present(
        self, pins: Sequence[Pin], interpreter: Interpreter, access: Access, progress: Progress
    ) -> None:
        """Return when the entries of all pins are in the store."""
        present = await asyncio.to_thread(self._present, pins)
        missing = [pin for pin in pins if pin.wheel.digest not in present]
        progress.begin("fetch", len(missing), bytes_total=sum(pin.wheel.size or 0 for pin in missing))
        progress.begin("unpack", len(missing))

        async def complete(pin: Pin) -> None:
            manifest = await self._pipeline.ensure(pin, progress, access)
            await asyncio.to_thread(self._outlines.add, [manifest], interpreter.extension_suffixes)

        async def know_the_shim() -> None:
            await self._publishing.shim.of(interpreter)  # publishing needs it, and the interpreter has to be run for it

        if missing:
            await all_of([know_the_shim(), *(complete(pin) for pin in biggest_first(missing))])

    def _present(self, pins: Sequence[Pin]) -> set[Digest]:
        """The pins whose entries are in the store, as far as a look at the folder of each tells."""
        return {pin.wheel.digest for pin in pins if self._store.seems_whole(pin.name, pin.wheel.digest)}

    def _info(self, environment: EnvironmentId, inputs: Inputs) -> EnvironmentInfo:
        located = inputs.located
        info = self._environments.info(environment, project=str(located.project), lock_file=str(located.lock_file))
        if info is None:
            raise EnvironmentBuildError(f"the environment {environment} is gone again", hint="Warm the project again.")
        return info


def _unheard(event: WarmEvent) -> None:
    """Ignore the event: reading a lock file reports no progress."""


def _overlay(job: Job) -> LockFile | None:
    overlay = job.options.overlay
    return None if overlay is None else read_lock_file(Path(overlay), variables=job.environ)


async def _resolved(pin: IndexPin, interpreter: Interpreter, access: Access, job: Job) -> Pin | SourcePin:
    found = await access.resolve(pin, interpreter, offline=job.offline)
    if not pin.digests:
        await asyncio.to_thread(check_unlocked, file_of(found).url, job.environ)
    return found


def _look_around(job: Job, lock_file: LockFile) -> Around:
    """The Python that the folders around ask for. The project around counts only for a requirements file."""
    start = Path(job.options.member) if job.options.member else job.project
    return look_around(start, job.environ, for_project=lock_file.kind == "requirements")


def _extra_inputs(
    lock_files: Sequence[LockFile], closure: Closure, settings: Sequence[Path]
) -> dict[Path, InputState | None]:
    """Inputs beyond the usual ones, as they are before anything is made from them.

    They are what the lock files refer to, an overlay's lock file, settings files, and what local projects are built
    from.
    """
    kinds: dict[Path, InputKind] = {}
    for project in closure.local_projects:
        for path, kind in local_inputs(Path(project.path)).watched.items():
            kinds[path] = stronger(kind, kinds.get(path))
        if project.packaged:
            check_is_project(Path(project.path))
    further = [*settings, *(lock_file.path for lock_file in lock_files[1:])]
    found = read_states(kinds | dict.fromkeys(further, "file"))
    for lock_file in lock_files:
        found |= {Path(path): _read_before(content) for path, content in lock_file.included.items()}
        found |= dict.fromkeys(map(Path, lock_file.absent))
    return found


def _read_before(content: bytes) -> InputState:
    return InputState(sha256=hashlib.sha256(content).hexdigest(), size=len(content))


def direct_urls_of(pins: Sequence[Pin]) -> dict[NormalizedName, str]:
    """The contents of ``direct_url.json``, by project, for everything that comes from no index."""
    return {
        pin.name: json.dumps(pin.direct_url.to_dict(), sort_keys=True) for pin in pins if pin.direct_url is not None
    }


def _offline(missing: Sequence[str]) -> OfflineError:
    listed = ", ".join(missing[:_MOST_NAMES]) + (
        f" and {len(missing) - _MOST_NAMES} more" if len(missing) > _MOST_NAMES else ""
    )
    return OfflineError(
        f"not in the store, and the network is not to be used: {listed}",
        hint="warm the project once without --offline",
        missing=list(missing),
    )
