"""Worker processes for staging wheels: started on demand, ended when idle, rebuilt after a crash."""

import asyncio
import contextlib
import logging
import multiprocessing
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import ParamSpec, TypeVar

from storectl_daemon.entries import worker_process
from storectl_daemon.errors import DaemonError

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

IDLE_SECONDS = 10.0


class WorkerError(DaemonError):
    """A worker process died while it ran a job; ``facts['job']`` names the job."""

    default_code = "E_WORKER"


class Workers:
    """A pool of at most ``limit`` processes. Spawned, never forked: the daemon has threads."""

    def __init__(self, limit: int, *, idle_seconds: float = IDLE_SECONDS) -> None:
        self.limit = limit
        self._idle_seconds = idle_seconds
        self._pool: ProcessPoolExecutor | None = None
        self._running = 0
        self._expected = 0
        self._idle_timer: asyncio.TimerHandle | None = None
        self._alone = asyncio.Lock()

    @property
    def started(self) -> bool:
        """Whether there is a pool now."""
        return self._pool is not None

    def expect(self, module: str) -> None:
        """Start a process, unless all are there already, for a job that will come and needs this module.

        For the event loop. If the process dies or cannot be started, the job that comes reports that.
        """
        if self._pool is not None and self._expected >= self.limit:
            return
        loop = asyncio.get_running_loop()
        try:
            started = self._submit(worker_process.load, module)
        except (BrokenProcessPool, OSError):
            return
        self._expected += 1
        self._hold()
        started.add_done_callback(lambda _: _from_thread(loop, self._release))

    async def run(self, job: str, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """The function's result, computed in a worker. Function and arguments must be picklable.

        A caller that is cancelled still waits for a job that has begun, so that no files are removed while the job uses
        them. Raises WorkerError if any process of the pool died; ``run_alone`` tells whether this job was the cause.
        """
        self._hold()
        pool = self._pool
        try:
            work = self._submit(function, *args, **kwargs)
            pool = self._pool
            return await _finish(work)
        except BrokenProcessPool as error:
            if pool is not None:
                self._discard(pool)
            raise _died(job) from error
        finally:
            self._release()

    async def run_alone(self, job: str, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """The function's result, computed in a process of its own, one such job at a time. See ``run`` for the rest.

        If that process dies, this job was the cause.
        """
        async with self._alone:
            pool = _pool(1)
            try:
                return await _finish(pool.submit(function, *args, **kwargs))
            except BrokenProcessPool as error:
                raise _died(job) from error
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """Begin a job, in a new pool if there is none. Raises OSError if the system lets no process be started."""
        pool = self._pool or self._build()
        try:
            return pool.submit(function, *args, **kwargs)
        except OSError:
            self._discard(pool)  # it would never start another process
            raise

    def _build(self) -> ProcessPoolExecutor:
        self._pool = _pool(self.limit)
        self._expected = 0
        return self._pool

    def _hold(self) -> None:
        self._running += 1
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None

    def _release(self) -> None:
        self._running -= 1
        if not self._running and self._pool is not None:
            self._idle_timer = asyncio.get_running_loop().call_later(self._idle_seconds, self.close)

    def _discard(self, pool: ProcessPoolExecutor) -> None:
        """Forget a broken pool; several jobs may report the same one."""
        if self._pool is pool:
            logger.warning("a worker process died, or cannot be started; the pool is built anew")
            self._pool = None
        pool.shutdown(wait=False, cancel_futures=True)

    def close(self) -> None:
        """End the processes. Running jobs are finished first; waiting ones are dropped."""
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None


def _pool(processes: int) -> ProcessPoolExecutor:
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(processes, mp_context=context, initializer=worker_process.start)


def _from_thread(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed: the count matters no more
        loop.call_soon_threadsafe(call)


def _died(job: str) -> WorkerError:
    hint = "It may have run out of memory; try again, and report it if it happens again."
    return WorkerError(f"a worker process died while it worked on {job}", hint=hint, job=job)


async def _finish(work: "Future[T]") -> T:
    """The result. If the caller is cancelled, it still waits until the work has stopped or can never begin."""
    future = asyncio.wrap_future(work)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        if not work.cancel():
            await asyncio.wait({future})
        if not future.cancelled() and future.done():
            future.exception()  # retrieved, so that asyncio does not log it
        raise
