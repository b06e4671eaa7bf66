"""Bytecode for entries, made by the interpreter that will read it."""

import asyncio
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

from storectl_daemon.models import STOPPING
from storectl_daemon.process.batches import Batcher
from storectl_daemon.process.single_flight import SingleFlight
from storectl_shim._storectl_pack import boot_id
from storectl_store.collecting.holds import Holds
from storectl_store.digest import Digest
from storectl_store.entries.bytecode.compile import Compiled, compile_entries, has_bytecode
from storectl_store.entries.bytecode.early import EarlyBytecode
from storectl_store.entries.bytecode.process import Files
from storectl_store.entries.layers import Layers
from storectl_store.entries.manifest import Manifest
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

    The caller holds the writer's lock; ``session`` is its folder. A batch is compiled in ``processes`` processes. They
    give way to all others, unless somebody waits for bytecode. An entry that only one of ``layers`` has is another
    account's, and stays as it is.
    """

    def __init__(
        self, store: Store, *, holds: Holds, session: Path, processes: int, layers: Layers | None = None
    ) -> None:
        self._store = store
        self._layers = layers or Layers(store)
        self._holds = holds
        self._session = session
        self._processes = processes
        self._flights: SingleFlight[tuple[Digest, str], None] = SingleFlight()
        self._batches: dict[str, Batcher[_Wanted, None]] = {}
        self._early: dict[str, EarlyBytecode] = {}
        self._boot = boot_id()
        self._waited_for = 0
        self._stopping = False
        self._turn = threading.Lock()
        # Batches take seconds, and wait for each other. In the threads of everything else they would delay all of that.
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="compiling")

    def has(self, digest: Digest, interpreter: Interpreter) -> bool:
        """Whether the entry has the interpreter's bytecode, or nobody here can give it any."""
        own = has_bytecode(self._store.layout, digest, interpreter.cache_tag)
        return own or self._layers.layer_of(digest) is not None

    @contextmanager
    def waited_for(self) -> Iterator[None]:
        """Within the block somebody waits for bytecode."""
        self._waited_for += 1
        try:
            yield
        finally:
            self._waited_for -= 1

    @property
    def hurried(self) -> bool:
        """Whether somebody waits for bytecode."""
        return self._waited_for > 0

    def arrived(self, manifests: Sequence[Manifest], interpreter: Interpreter, names: Sequence[str] = ()) -> None:
        """Begin to compile what programs will import first of these entries. They find it before it is durable.

        ``names`` are what a program imports that waits for them, if that is known.
        """
        early = self._early_for(interpreter)
        if early is None:
            return
        early.expect(names)
        for manifest in manifests:
            if (manifest.digest, interpreter.cache_tag) not in self._flights:
                early.arrived(manifest)

    def expect_program(self, interpreter: Interpreter) -> None:
        """A program may start in a moment: it looks for early bytecode once, and there has to be a place for it."""
        self._early_for(interpreter)

    async def hurry(self, names: Sequence[str], digests: Sequence[Digest], interpreter: Interpreter) -> None:
        """A program starts now that imports the modules of these names, as far as they are in these entries."""
        early = self._early_for(interpreter)
        if early is not None:
            unknown = [digest for digest in digests if not early.knows(digest)]
            if unknown:
                self.arrived(await asyncio.to_thread(list, self._store.readable(unknown)), interpreter)
            early.hurry(names)

    async def early_done(self, interpreter: Interpreter) -> None:
        """Return when what programs will import first is compiled, or somebody waits for all bytecode."""
        early = self._early.get(interpreter.identity)
        if early is not None:
            await asyncio.get_running_loop().run_in_executor(self._threads, early.wait, lambda: self.hurried)

    def _early_for(self, interpreter: Interpreter) -> EarlyBytecode | None:
        """None if the system does not tell one boot from another, or the daemon is ending."""
        if not self._boot or self._stopping:
            return None
        if interpreter.identity not in self._early:
            self._early[interpreter.identity] = EarlyBytecode(
                self._store.layout,
                interpreter,
                session=self._session,
                boot=self._boot,
                processes=self._processes,
            )
        return self._early[interpreter.identity]

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
        early = self._early.get(interpreter.identity)
        layout = self._store.layout

        def earlier(digest: Digest) -> Files:
            return early.take(digest) if early is not None else {}

        with self._holds.keep(digests):  # by this thread, which goes on if its caller is cancelled
            compile_entries(
                layout,
                self._store.readable(digests),
                interpreter,
                processes=self._processes,
                tmp=self._session,
                proceed=self._proceed,
                compiled=tell,
                turn=self._turn,
                hurried=lambda: self.hurried,
                earlier=earlier,
            )
        for digest in digests if early is not None else ():
            shutil.rmtree(layout.early_bytecode(self._session, self._boot, digest), ignore_errors=True)

    def _proceed(self) -> None:
        """Raise if compiling has to stop. The compiler calls this again and again; it can be stopped only here."""
        if self._stopping:
            raise ProblemError(STOPPING.detail, code=STOPPING.code, hint=STOPPING.hint)

    def stop(self) -> None:
        """The daemon is ending: stop compiling within a second, at any point."""
        self._stopping = True
        for early in self._early.values():
            early.stop()

    async def aclose(self) -> None:
        """Wait for what is running, and let the threads go. Nothing may be compiled any more."""
        for early in self._early.values():
            await asyncio.to_thread(early.join)
        for batches in self._batches.values():
            await batches.aclose()
        self._threads.shutdown()
