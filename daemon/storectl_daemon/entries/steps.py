"""The store's own steps, as the daemon runs them: staging in worker processes, the rest in threads."""

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from storectl_daemon.entries.pipeline import Steps
from storectl_daemon.entries.workers import WorkerError, Workers
from storectl_daemon.models import STOPPING
from storectl_store.digest import Digest
from storectl_store.entries.bytecode.compile import Compiled, compile_entries, has_bytecode
from storectl_store.entries.commit import commit
from storectl_store.entries.manifest import Manifest
from storectl_store.entries.stage import StagedEntry, stage_wheel
from storectl_store.entries.store import Store
from storectl_store.entries.trash import delete_tree
from storectl_store.errors import ProblemError
from storectl_store.selection.target import Interpreter
from storectl_store.wheel.checked import Expectation

_COMPILING_THREADS = 8
"""Batches that compile or wait for their turn. Further ones wait in a queue of their own."""


class StoreSteps:
    """What the pipeline and the compiler call. The caller holds the writer's lock; ``session`` is its folder."""

    def __init__(self, store: Store, workers: Workers, *, session: Path, processes: int) -> None:
        self._store = store
        self._workers = workers
        self._session = session
        self._processes = processes
        self._stopping = False
        self._compiling = threading.Lock()
        # Batches take seconds, and wait for each other. In the threads of everything else they would delay all of that.
        self._threads = ThreadPoolExecutor(_COMPILING_THREADS, thread_name_prefix="compiling")

    def pipeline_steps(self) -> Steps:
        """The steps from a pin to an entry."""
        return Steps(
            present=self._store.usable_manifest,
            expect=self._expect_one,
            stage=self._stage,
            commit=self._commit,
            discard=self._discard,
        )

    def stop(self) -> None:
        """The daemon is ending: stop compiling within a second, at any point."""
        self._stopping = True

    def close(self) -> None:
        """Let the threads go. Nothing may be compiled any more."""
        self._threads.shutdown()

    def expect(self) -> None:
        """More than one wheel will be staged: start all workers in the background."""
        for _ in range(self._processes):
            self._expect_one()

    def _expect_one(self) -> None:
        self._workers.expect(stage_wheel.__module__)

    async def _stage(self, wheel: Path, expectation: Expectation, stage: Path, verified: Digest) -> StagedEntry:
        """Stage the wheel. If a worker dies, try once more and alone: it may have died of another wheel."""
        try:
            return await self._workers.run(
                expectation.filename, stage_wheel, wheel, expectation, stage, verified=verified
            )
        except WorkerError:
            await self._discard(stage)
            return await self._workers.run_alone(
                expectation.filename, stage_wheel, wheel, expectation, stage, verified=verified
            )

    async def _commit(self, staged: Sequence[StagedEntry]) -> list[Manifest]:
        done = await asyncio.to_thread(commit, self._store, staged)
        return [committed.manifest for committed in done]

    async def _discard(self, stage: Path) -> None:
        with suppress(OSError):  # recovery sweeps what cannot be deleted now
            await asyncio.to_thread(delete_tree, stage)

    def has_bytecode(self, digest: Digest, cache_tag: str) -> bool:
        """Whether the entry is compiled for interpreters with this tag."""
        return has_bytecode(self._store.layout, digest, cache_tag)

    async def compile_batch(self, digests: Sequence[Digest], interpreter: Interpreter, compiled: Compiled) -> None:
        """Compile the entries, in processes of the interpreter itself. An entry that is gone meanwhile is left out."""
        loop = asyncio.get_running_loop()

        def tell(digest: Digest, size: int) -> None:
            loop.call_soon_threadsafe(compiled, digest, size)

        await loop.run_in_executor(self._threads, self._compile, digests, interpreter, tell)

    def _compile(self, digests: Sequence[Digest], interpreter: Interpreter, tell: Compiled) -> None:
        compile_entries(
            self._store.layout,
            self._store.readable(digests),
            interpreter,
            processes=self._processes,
            tmp=self._session,
            proceed=self._proceed,
            compiled=tell,
            turn=self._compiling,
        )

    def _proceed(self) -> None:
        """Raise if compiling has to stop. The compiler calls this again and again; it can be stopped only here."""
        if self._stopping:
            raise ProblemError(STOPPING.detail, code=STOPPING.code, hint=STOPPING.hint)
