"""Bytecode of entries: compiled by the interpreter it is for, in worker processes, after an entry is visible.

The side manifest (``bytecode_files``) is written last: an entry has bytecode for a cache tag if and only if that file
exists. Bytecode without it, left by a crash, is whole and is written again.
"""

import json
import os
import queue
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from storectl_store.digest import Digest
from storectl_store.disk.durability import disk_errors
from storectl_store.entries.bytecode_files import CompiledEntry, CompiledFile, drop_bytecode, place_bytecode
from storectl_store.entries.layout import StoreLayout
from storectl_store.entries.manifest import Manifest
from storectl_store.errors import ProblemError
from storectl_store.selection.target import Interpreter
from storectl_store.system_errors import refusal_of
from storectl_store.wheel.checked import Part

_WORKER = Path(__file__).with_name("worker.py")
_CHUNK = 512 * 1024  # bytes of source in one job: about half a second, so that all workers end together
_START_LIMIT = 30.0  # seconds for an interpreter to start
_JOB_LIMIT = 300.0  # seconds for a job: source can be made to compile for ever
_PROCEED_EVERY = 0.5  # seconds
_Files = dict[str, CompiledFile]

Compiled = Callable[[Digest, int], None]
"""Called with an entry's digest and the number of bytes of its source that have just been compiled."""


def _always() -> None:
    """Let the work go on."""


def _untold(_digest: Digest, _size: int) -> None:
    """Ignore progress: the caller did not ask for it."""


class InterpreterError(ProblemError):
    """The interpreter does not run, or is no longer the one it was. ``facts['executable']`` is its path."""

    default_code = "E_INTERPRETER"


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
) -> None:
    """Compile those of these entries that have no bytecode for the interpreter. All of it appears together, at the end.

    ``manifests`` is read one manifest at a time. ``tmp`` is a folder of this process on the file system of the store.
    ``proceed`` is called in this thread every half second or more often; if it raises, the work ends, and the workers
    with it. ``compiled`` is called in this thread too, with an entry and the bytes of its source that have just been
    compiled. An entry over which a worker dies stays without bytecode.

    Calls that share a ``turn`` (a lock) compile one after the other. The next one starts while the one before makes its
    files durable, which is mostly waiting.

    Raises InterpreterError if no worker starts, StoreFullError if the disk does not take the bytecode.
    """
    jobs: list[_Job] = []
    states: list[_Progress] = []
    for owner, manifest in enumerate(manifests):
        folder = layout.entry(manifest.name, manifest.digest) / Part.SITE_PACKAGES
        done = has_bytecode(layout, manifest.digest, interpreter.cache_tag)
        jobs += (own := [] if done else list(_jobs(folder, owner, manifest, tmp)))
        states.append(_Progress(digest=manifest.digest, folder=folder, waiting=len(own)))
    whole: list[CompiledEntry] = []
    try:
        with turn or nullcontext():
            for job, files in _run(jobs, interpreter, processes=processes, proceed=proceed):
                state = states[job.owner]
                state.waiting -= 1
                state.crashed |= files is None
                state.files.update(files or {})
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


def _jobs(folder: Path, owner: int, manifest: Manifest, tmp: Path) -> Iterator[_Job]:
    """The modules of an entry, in chunks.

    An entry without modules gives one empty job, so that every entry comes back.
    """
    chunk: list[str] = []
    size = 0
    for file in manifest.files:
        if file.part is Part.SITE_PACKAGES and file.path.endswith(".py"):
            chunk.append(file.path)
            size += file.size
        if size >= _CHUNK:
            yield _Job(owner=owner, request=_request(folder, chunk, tmp), size=size)
            chunk, size = [], 0
    yield _Job(owner=owner, request=_request(folder, chunk, tmp) if chunk else b"", size=size)


def _request(folder: Path, files: Sequence[str], tmp: Path) -> bytes:
    """The line that ``worker.py`` reads."""
    value = {"folder": os.fspath(folder), "files": files, "tmp": os.fspath(tmp), "optimize": [0]}
    return json.dumps(value).encode() + b"\n"


def _run(
    jobs: Sequence[_Job], interpreter: Interpreter, *, processes: int, proceed: Callable[[], None]
) -> Iterator[tuple[_Job, _Files | None]]:
    """Every job with its compiled files, or None if the worker died over it, in the order in which the jobs end."""
    crew = _Crew(interpreter=interpreter)
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
    pending: queue.SimpleQueue[_Job] = field(default_factory=queue.SimpleQueue)
    done: queue.SimpleQueue[tuple[_Job, _Files | None] | Exception] = field(default_factory=queue.SimpleQueue)
    busy: set["_Worker"] = field(default_factory=set)
    dismissed: threading.Event = field(default_factory=threading.Event)

    def work(self) -> None:
        """Do jobs until none is left. If a worker process dies, start another one for the next job."""
        worker: _Worker | None = None
        try:
            while True:
                job = self.pending.get_nowait()
                worker = worker or _Worker(self.interpreter)
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

    def _compile(self, worker: "_Worker", job: _Job) -> _Files | None:
        self.busy.add(worker)
        try:
            return None if self.dismissed.is_set() else worker.compile(job)
        finally:
            self.busy.discard(worker)

    def next_done(self, proceed: Callable[[], None]) -> tuple[_Job, _Files | None] | Exception:
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


class _Worker:
    """One process of the interpreter that runs ``worker.py``, whose docstring describes the protocol."""

    def __init__(self, interpreter: Interpreter) -> None:
        try:
            self._process = subprocess.Popen(
                [interpreter.executable, "-I", "-S", "-X", "utf8", os.fspath(_WORKER)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd="/",
            )
        except OSError as error:
            if (refusal := refusal_of(error, f"run {interpreter.executable}")) is not None:
                raise refusal from error
            raise _does_not_run(interpreter, error.strerror or str(error)) from error
        cache_tag = self._receive(_START_LIMIT)
        if cache_tag != interpreter.cache_tag:
            self.close()
            status = self._process.returncode
            raise _does_not_run(interpreter, f"exit code {status}" if cache_tag is None else f"it is {cache_tag} now")

    def compile(self, job: _Job) -> _Files | None:
        """The bytecode files of this job by their path in the folder; None if the worker died or took too long."""
        try:
            self._pipe_in.write(job.request)
            self._pipe_in.flush()
        except OSError:
            return None
        result = self._receive(_JOB_LIMIT)
        if result is None:
            return None
        return {path: CompiledFile(staged=staged, sha256=sha256) for path, (staged, sha256) in result["staged"].items()}

    def kill(self) -> None:
        """Kill the process from another thread. The thread that waits for its answer then closes it."""
        self._process.kill()

    def close(self) -> None:
        """End the process: it has answered, or never will."""
        self._process.kill()
        with suppress(OSError):  # what was not sent to a dead worker is still in the pipe's buffer
            self._pipe_in.close()
        self._pipe_out.close()
        self._process.wait()

    def _receive(self, limit: float) -> Any:
        timer = threading.Timer(limit, self._process.kill)
        timer.start()
        try:
            line = self._pipe_out.readline()
        finally:
            timer.cancel()
        return json.loads(line) if line.endswith(b"\n") else None

    @property
    def _pipe_in(self) -> IO[bytes]:
        assert self._process.stdin is not None
        return self._process.stdin

    @property
    def _pipe_out(self) -> IO[bytes]:
        assert self._process.stdout is not None
        return self._process.stdout


def _does_not_run(interpreter: Interpreter, reason: str) -> InterpreterError:
    return InterpreterError(
        f"{interpreter.executable} does not run as {interpreter.cache_tag}: {reason}",
        hint="choose another interpreter with -p, or install this one again",
        executable=interpreter.executable,
    )
