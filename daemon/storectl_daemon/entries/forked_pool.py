"""A pool of worker processes, all of them forks of one process that has loaded what jobs need.

Each thread of the pool speaks with one worker at a time: see ``worker_process`` for the protocol. A worker that dies
fails only the job that it was running.
"""

import os
import pickle
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_ALONE = ("-I", "-X", "utf8")
"""Flags of the interpreter: it finds modules where this one does (``_START``), and heeds no variables."""
_START = (
    "import sys; sys.path[:] = {path!r}; from storectl_daemon.entries.worker_process import serve; "
    "serve({control}, {modules!r})"
)


class WorkerDiedError(Exception):
    """A worker, or the process that forks workers, has died."""


class ForkedPool:
    """At most ``limit`` workers. They begin with the first job, and end when the pool is shut down.

    Of jobs, function, arguments, value and error have to be picklable.
    """

    def __init__(self, limit: int) -> None:
        self._threads = ThreadPoolExecutor(limit, thread_name_prefix="worker")
        self._lock = threading.Lock()
        self._source: _Source | None = None
        self._modules: list[str] = []
        self._idle: list[_Worker] = []
        self._closed = False

    def load(self, module: str) -> "Future[None]":
        """Start, in the background, the process of which workers are forks. It imports this module.

        Nothing happens if that process is there already. The future raises OSError if it cannot be started.
        """
        self._modules.append(module)
        return self._threads.submit(self._begin)

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """Run the job in a worker. The future raises WorkerDiedError if the worker dies of it.

        It raises OSError if the system lets no process be started.
        """
        return self._threads.submit(self._run, (function, args, kwargs))

    def shutdown(self) -> None:
        """End all workers. Running jobs are finished first, waiting ones are cancelled."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            self._closed = True
            for worker in self._idle:
                worker.close()
            self._idle.clear()
            if self._source is not None:
                self._source.close()

    def _begin(self) -> None:
        with self._lock:
            self._living_source()

    def _run(self, job: tuple[Any, ...]) -> Any:
        worker = self._taken()
        try:
            value, error = worker.do(job)
        except BaseException:
            worker.close()
            raise
        self._give_back(worker)
        if error is not None:
            raise error
        return value

    def _taken(self) -> "_Worker":
        with self._lock:
            if self._idle:
                return self._idle.pop()
            try:
                return self._living_source().fork()
            except WorkerDiedError:
                if self._source is not None:
                    self._source.close()
                self._source = None  # it was killed; the next one is asked once
                return self._living_source().fork()

    def _give_back(self, worker: "_Worker") -> None:
        with self._lock:
            if self._closed:
                worker.close()
            else:
                self._idle.append(worker)

    def _living_source(self) -> "_Source":
        if self._closed:
            raise WorkerDiedError("the pool is shut down")
        if self._source is None:
            self._source = _Source(tuple(self._modules))
        return self._source


class _Source:
    """The process of which all workers are forks. Raises OSError if it cannot be started."""

    def __init__(self, modules: Sequence[str]) -> None:
        self._control, control = socket.socketpair()
        try:
            with control:
                code = _START.format(path=sys.path, control=control.fileno(), modules=modules)
                process = subprocess.Popen([sys.executable, *_ALONE, "-c", code], pass_fds=[control.fileno()])
        except BaseException:
            self._control.close()
            raise
        threading.Thread(target=process.wait, name="reaping", daemon=True).start()

    def fork(self) -> "_Worker":
        """A new worker. Raises WorkerDiedError if this process is gone, OSError if no other can be started."""
        here, there = socket.socketpair()
        try:
            with there:
                socket.send_fds(self._control, [b"f"], [there.fileno()])
            answer = self._control.recv(1)
        except ConnectionError:
            answer = b""
        if answer == b"\0":
            return _Worker(here)
        here.close()
        if not answer:
            raise WorkerDiedError("the process of which workers are forks has died")
        raise OSError(answer[0], os.strerror(answer[0]))

    def close(self) -> None:
        """End this process. Its workers go on."""
        self._control.close()


class _Worker:
    """One worker, at the other end of this socket."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._jobs, self._outcomes = channel.makefile("wb"), channel.makefile("rb")

    def do(self, job: tuple[Any, ...]) -> tuple[Any, BaseException | None]:
        """The value and the error of the job. Raises WorkerDiedError if the worker dies meanwhile."""
        written = pickle.dumps(job)
        try:
            self._jobs.write(written)
            self._jobs.flush()
            outcome: tuple[Any, BaseException | None] = pickle.load(self._outcomes)  # noqa: S301  # our own process
        except (EOFError, ConnectionError, pickle.UnpicklingError) as error:
            raise WorkerDiedError("a worker process has died") from error
        return outcome

    def close(self) -> None:
        """End the worker, even if it is running a job."""
        for file in (self._jobs, self._outcomes, self._channel):
            with suppress(OSError):
                file.close()
