"""Compiling after an environment is ready: its programs already start, and compile what they need by themselves.

What programs import first is begun while other wheels are fetched, and is there for them before it is durable
(``storectl_store.entries.bytecode.early``). All of it is done behind that, by processes that give way unless a command
waits for bytecode.
"""

import asyncio
import logging
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial

from storectl_daemon.compiling.compiler import AT_ONCE, BATCH, Compiler
from storectl_daemon.jobs.events import Event, EventBus
from storectl_daemon.jobs.options import Job
from storectl_daemon.jobs.progress import Progress
from storectl_daemon.models import CompiledEvent
from storectl_daemon.process.lifecycle import Background
from storectl_store.digest import Digest
from storectl_store.entries.manifest import Manifest
from storectl_store.environments.outlines.outline import Outline
from storectl_store.errors import ProblemError
from storectl_store.selection.target import Interpreter

logger = logging.getLogger(__name__)

OutlinesOf = Callable[[Sequence[Digest], Sequence[str]], list[Outline]]
"""The outlines of entries, for interpreters with these extension suffixes."""


class Compiling:
    """Compiles for jobs in tasks of its own. A ``compiled`` event tells when nothing is left to do for a job."""

    def __init__(self, compiler: Compiler, outlines: OutlinesOf, bus: EventBus) -> None:
        self._compiler = compiler
        self._outlines = outlines
        self._bus = bus
        self._background = Background()
        self._running: Counter[Job] = Counter()
        self._programs: defaultdict[Job, list[Sequence[str]]] = defaultdict(list)

    @property
    def busy(self) -> bool:
        """Whether anything is being compiled."""
        return self._background.busy

    def busy_with(self, job: Job) -> bool:
        """Whether a ``compiled`` event of this job is still to come."""
        return self._running[job] > 0

    @contextmanager
    def waited_for(self, job: Job, *, bytecode: bool, imports: Sequence[str]) -> Iterator[None]:
        """Within the block a command waits for the job: for all ``bytecode``, or to start what imports these names."""
        programs = [imports] if imports and not bytecode else []
        self._programs[job] += programs
        try:
            with self._compiler.waited_for() if bytecode else nullcontext():
                yield
        finally:
            for program in programs:
                self._programs[job].remove(program)
            if not self._programs[job]:
                del self._programs[job]

    def arrived(self, job: Job, manifest: Manifest, interpreter: Interpreter) -> None:
        """An entry is in the store, others of the job's environment are still to come: begin with it."""
        self._compiler.arrived([manifest], interpreter, self._names(job))

    def _names(self, job: Job) -> list[str]:
        """What the programs import that wait for the job."""
        return [name for program in self._programs.get(job, ()) for name in program]

    async def start(self, job: Job, digests: Sequence[Digest], interpreter: Interpreter, progress: Progress) -> None:
        """Begin to compile the entries that have no bytecode, and return. If all have it, nothing happens."""
        missing = await asyncio.to_thread(self._without_bytecode, digests, interpreter)
        if not missing:
            return
        progress.begin("compile", len(missing), bytes_total=sum(entry.source_size for entry in missing))
        self._running[job] += 1
        names = self._names(job)
        if names:
            self._compiler.expect_program(interpreter)
        work = self._compile(job, missing, interpreter, progress, names)
        self._background.start(f"compiling for {job.project}", work)

    def _without_bytecode(self, digests: Sequence[Digest], interpreter: Interpreter) -> list[Outline]:
        missing = [digest for digest in digests if not self._compiler.has(digest, interpreter)]
        return self._outlines(missing, interpreter.extension_suffixes) if missing else []

    async def _compile(
        self, job: Job, entries: Sequence[Outline], interpreter: Interpreter, progress: Progress, names: Sequence[str]
    ) -> None:
        async def compile_one(entry: Outline) -> None:
            heard = partial(progress.compiling, entry.name)
            await self._compiler.ensure(entry.digest, interpreter, source_size=entry.source_size, heard=heard)
            heard(entry.source_size)
            progress.step("compile", entry.name)

        try:
            if names:
                await self._compiler.hurry(names, [entry.digest for entry in entries], interpreter)
            await self._compiler.early_done(interpreter)
            under_way: deque[list[asyncio.Task[None]]] = deque()
            async with asyncio.TaskGroup() as group:
                for batch in _batches(entries):
                    if len(under_way) == AT_ONCE:
                        await asyncio.wait(under_way.popleft())
                    under_way.append([group.create_task(compile_one(entry)) for entry in batch])
        except* ProblemError as errors:
            logger.warning("%s: not compiled: %s", job.project, errors.exceptions[0])
            progress.warn(f"some modules stay without bytecode, and load slowly: {errors.exceptions[0]}")
        finally:
            self._running[job] -= 1
            if not self._running[job]:
                del self._running[job]
                self._bus.publish(Event(job=job, message=CompiledEvent()))

    async def stop(self) -> None:
        """Cancel everything and wait for the end."""
        await self._background.stop()


def _batches(entries: Sequence[Outline]) -> Iterator[list[Outline]]:
    """The entries in order, in batches that share a durability barrier.

    The compiler would cut all of them into the same batches. Handed in one after the other, they leave room in between
    for the entries of another project.
    """
    batch: list[Outline] = []
    size = 0
    for entry in entries:
        batch.append(entry)
        size += entry.source_size
        if size >= BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
