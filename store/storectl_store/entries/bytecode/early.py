"""Early bytecode: of modules that programs will want first, made while other wheels are still being unpacked.

Each file is there for programs as soon as it is whole: at its path in the entry's site-packages, below
``tmp/<session>/early.<boot id>/<prefix>/``. It is not durable, and a power cut may leave half of it. So it is no part
of the entry, and programs of another boot never look there (``storectl_shim._storectl_pack``). ``take`` hands it over
to who compiles the whole entry and places it for good.

Which modules come first is a guess, from the text of their imports (``storectl_shim.reach``). Before a program starts,
they are compiled in the order of its imports, by processes that give way to everything else; all of them if nothing is
known of the program, otherwise those that it reaches. When it has started it compiles what it comes to by itself. From
then on ordinary processes begin with what it imports last, and go towards it.
"""

import logging
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from storectl_shim.reach import in_order
from storectl_store.digest import Digest
from storectl_store.entries.bytecode.process import CompilerProcess, Files, bytecode_path, compile_request
from storectl_store.entries.layout import StoreLayout
from storectl_store.entries.manifest import Manifest
from storectl_store.errors import ProblemError
from storectl_store.selection.target import Interpreter
from storectl_store.wheel.checked import Part

logger = logging.getLogger(__name__)

CHUNK = 256 * 1024
"""Bytes of source in one job. Programs find each file as soon as it is made, not at the end of a job."""
LINGER = 2.0
"""Seconds for which a process without work waits for the next entry."""
_POLL = 0.2
_SHARE = 20
"""After the modules were put in order, so many times as long passes before that is done again."""


@dataclass(slots=True, kw_only=True, eq=False)
class _Entry:
    """An entry whose bytecode is made early.

    ``sizes`` has the bytes of source of each module, ``tops`` the names that can be imported without a dot; ``imports``
    what was found in their text, None before that.
    """

    digest: Digest
    folder: Path
    place: Path
    sizes: Mapping[str, int]
    tops: frozenset[str]
    imports: dict[str, Sequence[str]] | None = None
    files: Files = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """A job: find out what the modules of the entry import."""

    entry: _Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chunk:
    """A job: compile these modules of the entry."""

    entry: _Entry
    modules: list[str]


class EarlyBytecode:
    """Makes early bytecode for one interpreter, in threads that each drive a process. All methods are for any thread.

    The caller holds the writer's lock; ``session`` is its folder, ``boot`` the boot's id.
    """

    def __init__(
        self, layout: StoreLayout, interpreter: Interpreter, *, session: Path, boot: str, processes: int
    ) -> None:
        self._layout = layout
        self._interpreter = interpreter
        self._session = session
        self._boot = boot
        self._processes = processes
        self._changed = threading.Condition()
        self._entries: dict[Digest, _Entry] = {}
        self._unseen: deque[_Entry] = deque()
        self._left: dict[str, _Entry] = {}  # modules that were looked at, and are not being compiled
        self._waiting: dict[str, _Entry] = {}  # those of them to be compiled, in the order of their imports
        self._imports: dict[str, Sequence[str]] = {}  # of all modules that were looked at
        self._wanted: tuple[str, ...] = ()  # what the program imports that was told of last; empty if it is unknown
        self._unordered = False  # modules have come that are not in the order of the program
        self._order_at = 0.0  # what gives way puts them in order, not before
        self._threads = {True: 0, False: 0}  # that give way, and that do not
        self._busy = 0  # jobs that are being done
        self._patient: list[_Look | _Chunk] = []  # those of them that give way
        self._running: set[CompilerProcess] = set()
        self._stopping = False
        with suppress(OSError):  # it is there before any program looks for it
            self._layout.early_bytecode(session, boot).mkdir(mode=0o700)

    def arrived(self, manifest: Manifest) -> None:
        """Begin with this entry, which is in the store."""
        sizes = {
            file.path: file.size
            for file in manifest.files
            if file.part is Part.SITE_PACKAGES and file.path.endswith(".py")
        }
        folder = self._layout.entry(manifest.name, manifest.digest) / Part.SITE_PACKAGES
        place = self._layout.early_bytecode(self._session, self._boot, manifest.digest)
        with self._changed:
            if sizes and manifest.digest not in self._entries and not self._stopping:
                tops = frozenset(module.partition("/")[0].removesuffix(".py") for module in sizes)
                entry = _Entry(digest=manifest.digest, folder=folder, place=place, sizes=sizes, tops=tops)
                self._entries[manifest.digest] = entry
                self._unseen.append(entry)
                self._start(gives_way=True)

    def knows(self, digest: Digest) -> bool:
        """Whether this entry has arrived, and was not taken."""
        return digest in self._entries

    def expect(self, names: Sequence[str]) -> None:
        """A program waits for its environment that imports the modules of these names; none if nothing is known."""
        with self._changed:
            if self._wanted != tuple(names):
                self._wanted, self._unordered = tuple(names), True
                self._start(gives_way=True)

    def hurry(self, names: Sequence[str]) -> None:
        """A program starts that imports the modules of these names."""
        with self._changed:
            self._wanted, self._unordered = tuple(names), True
            for job in self._patient:  # it may take long, so the same is done again
                if isinstance(job, _Look):
                    self._unseen.append(job.entry)
                else:
                    self._left.update((module, job.entry) for module in job.modules)
            self._start(gives_way=False)

    def wait(self, until: Callable[[], bool]) -> None:
        """Return when nothing is left to do, or ``until`` is true; it is asked several times a second. Blocks."""
        with self._changed:
            while (self._busy or self._has_more()) and not (self._stopping or until()):
                self._changed.wait(_POLL)

    def take(self, digest: Digest) -> Files:
        """What was made of this entry, which is the caller's from now on. No more is made."""
        with self._changed:
            entry = self._entries.pop(digest, None)
            if entry is None:
                return {}
            with suppress(ValueError):
                self._unseen.remove(entry)
            for module in entry.imports or ():
                self._imports.pop(module, None)
            self._left = {module: owner for module, owner in self._left.items() if owner is not entry}
            self._waiting = {module: owner for module, owner in self._waiting.items() if owner is not entry}
            return entry.files

    def stop(self) -> None:
        """Make nothing more, and kill the processes."""
        with self._changed:
            self._stopping = True
            self._unseen.clear()
            self._left.clear()
            self._waiting.clear()
            self._changed.notify_all()
            for process in self._running:
                process.kill()

    def join(self) -> None:
        """Wait until the threads have ended, after ``stop``."""
        with self._changed:
            self._changed.wait_for(lambda: not any(self._threads.values()))

    def _start(self, *, gives_way: bool) -> None:
        """Start the threads that are missing, and wake those that wait. The caller holds the lock."""
        most = self._processes if gives_way else max(1, self._processes - 1)  # one core is the program's
        while self._threads[gives_way] < most and self._has_more():
            self._threads[gives_way] += 1
            threading.Thread(
                target=self._work, kwargs={"gives_way": gives_way}, name="storectl-early", daemon=True
            ).start()
        self._changed.notify_all()

    def _work(self, *, gives_way: bool) -> None:
        process: CompilerProcess | None = None
        try:
            for job in self._jobs(gives_way=gives_way):
                process = process or self._process(gives_way=gives_way)
                if not self._do(process, job):
                    self._close(process)
                    process = None
        except (ProblemError, OSError) as error:
            logger.info("no early bytecode: %s", error)  # compiling all of the entry has the same trouble, and tells
            self.stop()
        finally:
            if process is not None:
                self._close(process)
            with self._changed:
                self._threads[gives_way] -= 1
                self._changed.notify_all()

    def _process(self, *, gives_way: bool) -> CompilerProcess:
        process = CompilerProcess(self._interpreter, gives_way=gives_way)
        with self._changed:
            self._running.add(process)
            if self._stopping:
                process.kill()
        return process

    def _close(self, process: CompilerProcess) -> None:
        with self._changed:
            self._running.discard(process)
        process.close()

    def _jobs(self, *, gives_way: bool) -> Iterator[_Look | _Chunk]:
        """What this thread does. It ends when there is no more, or others take its place."""
        while True:
            with self._changed:
                rest = time.monotonic() + LINGER
                while not (job := self._next(gives_way=gives_way)):
                    left = rest - time.monotonic()
                    if self._stopping or not gives_way or self._threads[False] or left <= 0:
                        return
                    self._changed.wait(left)
                self._busy += 1
                self._patient += [job] if gives_way else []
            try:
                yield job
            finally:
                with self._changed:
                    self._busy -= 1
                    self._patient = [each for each in self._patient if each is not job]
                    self._changed.notify_all()

    def _next(self, *, gives_way: bool) -> _Look | _Chunk | None:
        if gives_way and self._threads[False]:
            return None
        if self._unordered and not (gives_way and self._waiting and time.monotonic() < self._order_at):
            self._arrange()
        if not self._has_more():
            return None
        if self._unseen:
            return _Look(entry=self._unseen.popleft())
        return self._chunk(reversed(self._waiting) if not gives_way else iter(self._waiting))

    def _chunk(self, modules: Iterator[str]) -> _Chunk:
        """The next modules in this order, all of one entry."""
        first = next(modules)
        entry, chunk, size = self._waiting[first], [first], 0
        for module in modules:
            size += entry.sizes[chunk[-1]]
            if size >= CHUNK or self._waiting[module] is not entry:
                break
            chunk.append(module)
        for module in chunk:
            del self._waiting[module], self._left[module]
        return _Chunk(entry=entry, modules=chunk)

    def _do(self, process: CompilerProcess, job: _Look | _Chunk) -> bool:
        """Do the job; false if the process is of no more use. What it was asked for is then left to others."""
        entry = job.entry
        if isinstance(job, _Look):
            imports = process.reached(entry.folder, sorted(_roots(entry.sizes)))
            self._looked(entry, imports or {})
            return imports is not None
        with suppress(FileExistsError):
            os.makedirs(entry.place, mode=0o700)
        modules = [module for module in job.modules if process.gives_way or not self._is_placed(entry, module)]
        files = process.compile(compile_request(entry.folder, modules, self._session, place=entry.place))
        with self._changed:
            if self._entries.get(entry.digest) is entry:
                entry.files.update(files or {})
                return files is not None
        for file in (files or {}).values():  # what was made of it before has been taken meanwhile
            with suppress(FileNotFoundError):
                os.unlink(file.staged)
        return files is not None

    def _is_placed(self, entry: _Entry, module: str) -> bool:
        """Whether a process that gave way has made the bytecode of the module, and perhaps not told of it yet."""
        return os.path.exists(entry.place / bytecode_path(module, self._interpreter.cache_tag))

    def _looked(self, entry: _Entry, imports: dict[str, list[str]]) -> None:
        """Put the modules in line."""
        with self._changed:
            if self._entries.get(entry.digest) is not entry or entry.imports is not None:
                return
            known = {module: module for module in entry.sizes}
            entry.imports = {  # each text is there once: of 300 wheels this takes 4 MB, with a text for each mention 9
                known[module]: tuple(map(sys.intern, names)) for module, names in imports.items() if module in known
            }
            self._imports |= entry.imports
            self._left.update((module, entry) for module in entry.imports if module not in self._left)
            self._unordered = True
            self._changed.notify_all()

    def _has_more(self) -> bool:
        """Whether there is something to do. The caller holds the lock."""
        if not (self._unseen or self._waiting or (self._unordered and self._left)):
            return False
        heads = {name.partition(".")[0] for name in self._wanted}
        return not heads or any(not heads.isdisjoint(entry.tops) for entry in self._entries.values())

    def _arrange(self) -> None:
        """Put the modules that are to be compiled in the order of the program. The caller holds the lock."""
        begin = time.monotonic()
        reached = in_order(self._imports, self._wanted) if self._wanted else self._left
        self._waiting = {module: self._left[module] for module in reached if module in self._left}
        now = time.monotonic()
        self._unordered, self._order_at = False, now + _SHARE * (now - begin)


def _roots(modules: Mapping[str, int]) -> Iterator[str]:
    """The modules that are in no package of the entry: top packages and modules, also those of namespaces."""
    packages = {module.rpartition("/")[0] for module in modules if module.endswith("/__init__.py")}
    for module in modules:
        folder = module.removesuffix("/__init__.py").rpartition("/")[0]
        while folder and folder not in packages:
            folder = folder.rpartition("/")[0]
        if not folder:
            yield module
