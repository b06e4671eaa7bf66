"""Bytecode of entries: compiled by the interpreter it is for, in worker processes, after an entry is visible.

The side manifest (``bytecode_files``) is written last: an entry has bytecode for a cache tag if and only if that file
exists. Bytecode without it, left by a crash, is whole and is written again.
"""

import os
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from storectl_store.digest import Digest
from storectl_store.disk.durability import disk_errors
from storectl_store.entries.bytecode.process import CompilerProcess, Files, bytecode_path, compile_request
from storectl_store.entries.bytecode_files import CompiledEntry, CompiledFile, drop_bytecode, place_bytecode
from storectl_store.entries.layout import StoreLayout
from storectl_store.entries.manifest import Manifest, ManifestFile
from storectl_store.selection.target import Interpreter
from storectl_store.wheel.checked import Part

_CHUNK = 512 * 1024  # bytes of source in one job: about half a second, so that all workers end together
_PROCEED_EVERY = 0.5  # seconds

Compiled = Callable[[Digest, int], None]
"""Called with an entry's digest and the number of bytes of its source that have just been compiled."""


_NOTHING: Mapping[str, CompiledFile] = MappingProxyType({})


def _always() -> None:
    """Let the work go on."""


def _hurried() -> bool:
    """Take processor time as any other process."""
    return True


def _none_earlier(_digest: Digest) -> Mapping[str, CompiledFile]:
    """Compile all."""
    return _NOTHING


def _untold(_digest: Digest, _size: int) -> None:
    """Ignore progress: the caller did not ask for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """Some modules of one entry, as the line that asks a worker for them.

    ``owner`` is the index of the entry in the batch; ``size`` is the size of the modules' source in bytes.

    A request is one line of bytes, because the manifests of a batch are fifty thousand objects, which fragment the
    daemon's memory.
    """

    owner: int
    request: bytes
    size: int = 0


@dataclass(slots=True, kw_only=True)
class _Progress:
    """What the workers have returned for one entry.

    ``crashed``: a worker died over it, so it stays without bytecode.
    """

    digest: Digest
    folder: Path
    waiting: int
    files: dict[str, CompiledFile] = field(default_factory=dict)
    crashed: bool = False

    @property
    def compiled(self) -> CompiledEntry:
        """All bytecode of the entry, to be placed or dropped."""
        return CompiledEntry(digest=self.digest, folder=self.folder, part=Part.SITE_PACKAGES.value, files=self.files)


def has_bytecode(layout: StoreLayout, digest: Digest, cache_tag: str) -> bool:
    """Whether the entry was compiled for interpreters with this cache tag."""
    return os.path.exists(layout.bytecode_manifest_text(digest, cache_tag))


def compile_entries(
    layout: StoreLayout,
    manifests: Iterable[Manifest],
    interpreter: Interpreter,
    *,
    processes: int,
    tmp: Path,
    proceed: Callable[[], None] = _always,
    compiled: Compiled = _untold,
    turn: AbstractContextManager[object] | None = None,
    hurried: Callable[[], bool] = _hurried,
    earlier: Callable[[Digest], Mapping[str, CompiledFile]] = _none_earlier,
) -> None:
    """Compile those of these entries that have no bytecode for the interpreter. All of it appears together, at the end.

    ``manifests`` is read one manifest at a time. ``tmp`` is a folder of this process on the file system of the store.
    ``proceed`` is called in this thread every half second or more often; if it raises, the work ends, and the workers
    with it. ``compiled`` is called in this thread too, with an entry and the bytes of its source that have just been
    compiled. An entry over which a worker dies stays without bytecode.

    Calls that share a ``turn`` (a lock) compile one after the other. The next one starts while the one before makes its
    files durable, which is mostly waiting.

    While ``hurried`` is false, the processes give way to all others; it is asked before each job. ``earlier`` gives
    what has been compiled of an entry before, by its path in the entry's site-packages, to be placed with the rest.

    Raises InterpreterError if no worker starts, StoreFullError if the disk does not take the bytecode.
    """
    jobs, states = _work_of(layout, manifests, interpreter, tmp=tmp, earlier=earlier)
    whole: list[CompiledEntry] = []
    try:
        with turn or nullcontext():
            for job, made in _run(jobs, interpreter, processes=processes, proceed=proceed, hurried=hurried):
                state = states[job.owner]
                state.waiting -= 1
                state.crashed |= made is None
                state.files.update(made or {})
                compiled(state.digest, job.size)
                if state.waiting:
                    continue
                drop_bytecode(state.compiled) if state.crashed else whole.append(state.compiled)
        with disk_errors("write bytecode"):
            place_bytecode(layout, whole, interpreter.cache_tag, tmp)
    except BaseException:
        for state in states:
            drop_bytecode(state.compiled)
        raise


def _work_of(
    layout: StoreLayout,
    manifests: Iterable[Manifest],
    interpreter: Interpreter,
    *,
    tmp: Path,
    earlier: Callable[[Digest], Mapping[str, CompiledFile]],
) -> tuple[list[_Job], list[_Progress]]:
    """What is left to do of each entry, and how far each is; see ``compile_entries``."""
    jobs: list[_Job] = []
    states: list[_Progress] = []
    for owner, manifest in enumerate(manifests):
        folder = layout.entry(manifest.name, manifest.digest) / Part.SITE_PACKAGES
        done = has_bytecode(layout, manifest.digest, interpreter.cache_tag)
        known = {} if done else dict(earlier(manifest.digest))
        missing = [file for file in _modules(manifest) if bytecode_path(file.path, interpreter.cache_tag) not in known]
        jobs += (own := [] if done else list(_jobs(folder, owner, missing, tmp)))
        states.append(_Progress(digest=manifest.digest, folder=folder, waiting=len(own), files=known))
    return jobs, states


def _modules(manifest: Manifest) -> Iterator[ManifestFile]:
    return (file for file in manifest.files if file.part is Part.SITE_PACKAGES and file.path.endswith(".py"))


def _jobs(folder: Path, owner: int, modules: Iterable[ManifestFile], tmp: Path) -> Iterator[_Job]:
    """The modules of an entry in chunks. No modules give one empty job, so that every entry comes back."""
    chunk: list[str] = []
    size = 0
    for file in modules:
        chunk.append(file.path)
        size += file.size
        if size >= _CHUNK:
            yield _Job(owner=owner, request=compile_request(folder, chunk, tmp), size=size)
            chunk, size = [], 0
    yield _Job(owner=owner, request=compile_request(folder, chunk, tmp) if chunk else b"", size=size)


def _run(
    jobs: Sequence[_Job],
    interpreter: Interpreter,
    *,
    processes: int,
    proceed: Callable[[], None],
    hurried: Callable[[], bool],
) -> Iterator[tuple[_Job, Files | None]]:
    """Every job with its compiled files, or None if the worker died over it, in the order in which the jobs end."""
    crew = _Crew(interpreter=interpreter, hurried=hurried)
    for job in jobs:
        if job.request:
            crew.pending.put(job)
        else:
            crew.done.put((job, {}))
    threads = [
        threading.Thread(target=crew.work, name="storectl-compile", daemon=True)
        for _ in range(min(processes, crew.pending.qsize()))
    ]
    for thread in threads:
        thread.start()
    try:
        for _ in jobs:
            result = crew.next_done(proceed)
            if isinstance(result, Exception):
                raise result
            yield result
    finally:
        crew.dismiss()
        for thread in threads:
            thread.join()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Crew:
    """What the threads of one compilation share. Each of them drives one worker process."""

    interpreter: Interpreter
    hurried: Callable[[], bool]
    pending: queue.SimpleQueue[_Job] = field(default_factory=queue.SimpleQueue)
    done: queue.SimpleQueue[tuple[_Job, Files | None] | Exception] = field(default_factory=queue.SimpleQueue)
    busy: set[CompilerProcess] = field(default_factory=set)
    dismissed: threading.Event = field(default_factory=threading.Event)

    def work(self) -> None:
        """Do jobs until none is left. If a worker process dies, start another one for the next job."""
        worker: CompilerProcess | None = None
        try:
            while True:
                job = self.pending.get_nowait()
                worker = self._fitting(worker)
                files = self._compile(worker, job)
                if files is None:
                    worker.close()
                    worker = None
                self.done.put((job, files))
        except queue.Empty:
            pass
        except Exception as error:  # noqa: BLE001  # raised again in the thread that asked
            self.done.put(error)
        finally:
            if worker is not None:
                worker.close()

    def _fitting(self, worker: CompilerProcess | None) -> CompilerProcess:
        """A process that is in a hurry, or gives way, as it has to be now: this one or, as none can change, another."""
        gives_way = not self.hurried()
        if worker is not None and worker.gives_way == gives_way:
            return worker
        if worker is not None:
            worker.close()
        return CompilerProcess(self.interpreter, gives_way=gives_way)

    def _compile(self, worker: CompilerProcess, job: _Job) -> Files | None:
        self.busy.add(worker)
        try:
            return None if self.dismissed.is_set() else worker.compile(job.request)
        finally:
            self.busy.discard(worker)

    def next_done(self, proceed: Callable[[], None]) -> tuple[_Job, Files | None] | Exception:
        """Wait for the next finished job, and call ``proceed`` meanwhile."""
        while True:
            proceed()
            with suppress(queue.Empty):
                return self.done.get(timeout=_PROCEED_EVERY)

    def dismiss(self) -> None:
        """Drop the jobs that no worker has begun, and kill the workers of the others."""
        self.dismissed.set()
        with suppress(queue.Empty):
            while True:
                self.pending.get_nowait()
        for worker in tuple(self.busy):
            worker.kill()
