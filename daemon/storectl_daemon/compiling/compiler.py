"""Bytecode for entries, made by the interpreter that will read it."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

from storectl_daemon.models import STOPPING
from storectl_daemon.process.batches import Batcher
from storectl_daemon.process.single_flight import SingleFlight
from storectl_store.collecting.holds import Holds
from storectl_store.digest import Digest
from storectl_store.entries.bytecode.compile import Compiled, compile_entries, has_bytecode
from storectl_store.entries.store import Store
from storectl_store.errors import ProblemError
from storectl_store.selection.target import Interpreter

BATCH = 32 << 20
"""Bytes of source in a batch: seconds of work, so that the start of the interpreters hardly counts."""
AT_ONCE = 2
"""Batches under way: one is compiled while the one before is made durable."""
_THREADS = 8
"""Batches that compile or wait for their turn. Further ones wait in a queue of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """An entry without bytecode, and its bytes of source."""

    digest: Digest
    source_size: int


class Compiler:
    """Compiles entries, once for each digest and cache tag. Entries that arrive while a batch runs form the next.

    The caller holds the writer's lock; ``session`` is its folder. A batch is compiled in ``processes`` processes.
    """

    def __init__(self, store: Store, *, holds: Holds, session: Path, processes: int) -> None:
        self._store = store
        self._holds = holds
        self._session = session
        self._processes = processes
        self._flights: SingleFlight[tuple[Digest, str], None] = SingleFlight()
        self._batches: dict[str, Batcher[_Wanted, None]] = {}
        self._stopping = False
        self._turn = threading.Lock()
        # Batches take seconds, and wait for each other. In the threads of everything else they would delay all of that.
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="compiling")

    def has(self, digest: Digest, interpreter: Interpreter) -> bool:
        """Whether the entry has the interpreter's bytecode."""
        return has_bytecode(self._store.layout, digest, interpreter.cache_tag)

    async def ensure(
        self, digest: Digest, interpreter: Interpreter, *, source_size: int, heard: Callable[[int], None] | None = None
    ) -> None:
        """Compile the entry if that has not been done. Raises a ProblemError if the interpreter cannot run.

        ``heard`` is called with the bytes of its source that have been compiled so far, also if an earlier caller began
        this.
        """
        if self.has(digest, interpreter):
            return
        batches = self._batches.setdefault(interpreter.identity, self._batcher(interpreter))
        wanted = _Wanted(digest=digest, source_size=source_size)
        await self._flights.do((digest, interpreter.cache_tag), lambda: batches.submit(wanted), progress=heard)

    def _batcher(self, interpreter: Interpreter) -> Batcher[_Wanted, None]:
        async def run(batch: Sequence[_Wanted]) -> Sequence[None]:
            sofar: Counter[Digest] = Counter()

            def compiled(digest: Digest, size: int) -> None:
                sofar[digest] += size
                self._flights.report((digest, interpreter.cache_tag), sofar[digest])

            await self.compile_batch([wanted.digest for wanted in batch], interpreter, compiled)
            return [None] * len(batch)

        return Batcher(run, at_once=AT_ONCE, weigh=attrgetter("source_size"), enough=BATCH)

    async def compile_batch(self, digests: Sequence[Digest], interpreter: Interpreter, compiled: Compiled) -> None:
        """Compile the entries, in processes of the interpreter itself. An entry that is gone meanwhile is left out."""
        loop = asyncio.get_running_loop()

        def tell(digest: Digest, size: int) -> None:
            loop.call_soon_threadsafe(compiled, digest, size)

        await loop.run_in_executor(self._threads, self._compile, digests, interpreter, tell)

    def _compile(self, digests: Sequence[Digest], interpreter: Interpreter, tell: Compiled) -> None:
        with self._holds.keep(digests):  # by this thread, which goes on if its caller is cancelled
            compile_entries(
                self._store.layout,
                self._store.readable(digests),
                interpreter,
                processes=self._processes,
                tmp=self._session,
                proceed=self._proceed,
                compiled=tell,
                turn=self._turn,
            )

    def _proceed(self) -> None:
        """Raise if compiling has to stop. The compiler calls this again and again; it can be stopped only here."""
        if self._stopping:
            raise ProblemError(STOPPING.detail, code=STOPPING.code, hint=STOPPING.hint)

    def stop(self) -> None:
        """The daemon is ending: stop compiling within a second, at any point."""
        self._stopping = True

    async def aclose(self) -> None:
        """Wait for what is running, and let the threads go. Nothing may be compiled any more."""
        for batches in self._batches.values():
            await batches.aclose()
        self._threads.shutdown()
