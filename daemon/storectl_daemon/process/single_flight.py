"""Single flight: one piece of work per key, for all callers that ask at the same time.

Once the work is done, nothing is remembered: neither its value nor its error.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

Listener = Callable[[Any], None]

_log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class _Flight(Generic[V]):
    task: asyncio.Task[V]
    waiters: int = 0
    abandoned: bool = False
    listeners: list[Listener] = field(default_factory=list)
    reported: list[Any] = field(default_factory=list)  # the latest report, or nothing


class SingleFlight(Generic[K, V]):
    """Work in progress, by key. For one event loop; not for threads.

    If a caller is cancelled, the work goes on for the other callers; when the last one has left, the work is cancelled.
    A caller that comes while cancelled work is still ending waits for that end and starts anew, so that two runs for
    one key never overlap.
    """

    def __init__(self) -> None:
        self._flights: dict[K, _Flight[V]] = {}

    def __contains__(self, key: K) -> bool:
        """Whether work for this key is in progress."""
        flight = self._flights.get(key)
        return flight is not None and not flight.task.done()

    async def do(self, key: K, factory: Callable[[], Coroutine[Any, Any, V]], *, progress: Listener | None = None) -> V:
        """The value of the work for ``key``: joins work in progress, otherwise starts it with ``factory``.

        ``progress`` gets at once the latest ``report`` for the key, if there was one, and then every later one. If the
        work raises, every caller gets the error.
        """
        flight = await self._join(key, factory)
        flight.waiters += 1
        if progress is not None:
            self._listen(flight, progress)
        try:
            await asyncio.wait([flight.task])
            return flight.task.result()
        finally:
            await self._leave(flight, progress)

    def report(self, key: K, value: Any) -> None:
        """Report to every caller of ``key`` how far the work is. Without such work nothing happens."""
        flight = self._flights.get(key)
        if flight is None:
            return
        flight.reported[:] = [value]
        for listener in tuple(flight.listeners):
            _tell(listener, value)

    async def _join(self, key: K, factory: Callable[[], Coroutine[Any, Any, V]]) -> _Flight[V]:
        while (flight := self._flights.get(key)) is not None and not flight.task.done():
            if not flight.abandoned:
                return flight
            await asyncio.wait([flight.task])
        return self._start(key, factory)

    def _start(self, key: K, factory: Callable[[], Coroutine[Any, Any, V]]) -> _Flight[V]:
        flight: _Flight[V] = _Flight(task=asyncio.create_task(factory()))
        self._flights[key] = flight

        def land(task: asyncio.Task[V]) -> None:
            if self._flights.get(key) is flight:
                del self._flights[key]
            if not task.cancelled():
                task.exception()  # retrieved, so that asyncio does not log it

        flight.task.add_done_callback(land)
        return flight

    def _listen(self, flight: _Flight[V], progress: Listener) -> None:
        flight.listeners.append(progress)
        for value in flight.reported:
            _tell(progress, value)

    async def _leave(self, flight: _Flight[V], progress: Listener | None) -> None:
        flight.waiters -= 1
        if progress is not None:
            with contextlib.suppress(ValueError):
                flight.listeners.remove(progress)
        if flight.waiters == 0 and not flight.task.done():
            flight.abandoned = True
            flight.task.cancel()
            await asyncio.wait([flight.task])


def _tell(listener: Listener, value: Any) -> None:
    try:
        listener(value)
    except Exception:  # noqa: BLE001  # an error of one listener must not fail the work of all
        _log.exception("a progress listener failed")
