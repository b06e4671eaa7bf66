"""The event bus inside the daemon: every event of a project, for all that subscribe."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from storectl_daemon.jobs.options import Job
from storectl_daemon.models import CompiledEvent, ProgressEvent, WarmEvent

_BACKLOG = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One message about one job."""

    job: Job
    message: WarmEvent

    @property
    def droppable(self) -> bool:
        """Whether a slow listener may miss it, because a later event replaces it."""
        return isinstance(self.message, ProgressEvent)


def concerns(job: Job, event: Event) -> bool:
    """Whether the event answers this job. The end of a flight with other variables does not."""
    passing = event.droppable or isinstance(event.message, CompiledEvent)
    return event.job == job and (passing or event.job.environ == job.environ)


class Subscription:
    """The events of one listener, in order. If more than ``_BACKLOG`` wait, the oldest droppable one is dropped."""

    def __init__(self, accepts: Callable[[Event], bool]) -> None:
        self._accepts = accepts
        self._waiting: deque[Event] = deque()
        self._arrived = asyncio.Event()
        self._closed = False

    def offer(self, event: Event) -> None:
        """Queue the event if ``accepts`` says yes to it."""
        if self._closed or not self._accepts(event):
            return
        if len(self._waiting) >= _BACKLOG:
            self._drop_one()
        self._waiting.append(event)
        self._arrived.set()

    def _drop_one(self) -> None:
        for place, event in enumerate(self._waiting):
            if event.droppable:
                del self._waiting[place]
                return

    def skip(self) -> None:
        """Drop the events that have arrived and were not taken yet."""
        self._waiting.clear()

    def close(self) -> None:
        """End the iteration after the events that have arrived."""
        self._closed = True
        self._arrived.set()

    async def __aiter__(self) -> AsyncIterator[Event]:
        while True:
            while self._waiting:
                yield self._waiting.popleft()
            if self._closed:
                return
            self._arrived.clear()
            await self._arrived.wait()


class EventBus:
    """Gives events to listeners. ``publish`` never waits; it must be called on the event loop."""

    def __init__(self) -> None:
        self._subscriptions: set[Subscription] = set()
        self._closed = False

    def publish(self, event: Event) -> None:
        """Give the event to every listener."""
        for subscription in self._subscriptions:
            subscription.offer(event)

    @contextmanager
    def subscribe(self, accepts: Callable[[Event], bool] = lambda _event: True) -> Iterator[Subscription]:
        """A listener, until the block ends, for the events that ``accepts`` says yes to."""
        subscription = Subscription(accepts)
        if self._closed:
            subscription.close()
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    def close(self) -> None:
        """End every stream, because the daemon is stopping."""
        self._closed = True
        for subscription in self._subscriptions:
            subscription.close()
