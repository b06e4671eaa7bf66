"""Worker processes for staging wheels: started on demand, ended when idle."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from storectl_daemon.entries.forked_pool import ForkedPool, WorkerDiedError
from storectl_daemon.errors import DaemonError

if TYPE_CHECKING:
    from concurrent.futures import Future

P = ParamSpec("P")
T = TypeVar("T")

IDLE_SECONDS = 10.0


class WorkerError(DaemonError):
    """A worker process died while it ran a job; ``facts['job']`` names the job."""

    default_code = "E_WORKER"


class Workers:
    """A pool of at most ``limit`` processes. They are forks of a process without threads, never of the daemon."""

    def __init__(self, limit: int, *, idle_seconds: float = IDLE_SECONDS) -> None:
        self.limit = limit
        self._idle_seconds = idle_seconds
        self._pool: ForkedPool | None = None
        self._running = 0
        self._idle_timer: asyncio.TimerHandle | None = None
        self._alone = asyncio.Lock()

    @property
    def started(self) -> bool:
        """Whether there is a pool now."""
        return self._pool is not None

    def expect(self, module: str) -> None:
        """Begin to load this module for jobs that will come, unless there is a pool already.

        For the event loop. If that fails, the job that comes reports it.
        """
        if self._pool is not None:
            return
        loop = asyncio.get_running_loop()
        self._pool = ForkedPool(self.limit)
        self._hold()
        loaded = self._pool.load(module)
        loaded.add_done_callback(lambda _: _from_thread(loop, self._release))

    async def run(self, job: str, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """The function's result, computed in a worker. Function and arguments must be picklable.

        A caller that is cancelled still waits for a job that has begun, so that no files are removed while the job uses
        them. Raises WorkerError if the worker died, OSError if the system lets no process be started.
        """
        self._hold()
        self._pool = self._pool or ForkedPool(self.limit)
        try:
            return await _finish(self._pool.submit(function, *args, **kwargs))
        except WorkerDiedError as error:
            raise _died(job) from error
        finally:
            self._release()

    async def run_alone(self, job: str, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """The function's result, computed while no other such job runs, and by processes of its own. See ``run``.

        If its worker dies, this job was the cause.
        """
        async with self._alone:
            pool = ForkedPool(1)
            try:
                return await _finish(pool.submit(function, *args, **kwargs))
            except WorkerDiedError as error:
                raise _died(job) from error
            finally:
                pool.shutdown()

    def _hold(self) -> None:
        self._running += 1
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None

    def _release(self) -> None:
        self._running -= 1
        if not self._running and self._pool is not None:
            self._idle_timer = asyncio.get_running_loop().call_later(self._idle_seconds, self.close)

    def close(self) -> None:
        """End the processes. Running jobs are finished first; waiting ones are dropped."""
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None


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
