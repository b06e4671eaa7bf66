"""The bus inside the daemon: what happens to which project, for everyone who listens."""

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
        """Whether a slow listener may miss it: a later one says the same better."""
        return isinstance(self.message, ProgressEvent)


def concerns(job: Job, event: Event) -> bool:
    """Whether the event is of this job. What ends a flight that had other variables is no answer for it."""
    passing = event.droppable or isinstance(event.message, CompiledEvent)
    return event.job == job and (passing or event.job.environ == job.environ)


class Subscription:
    """The events of one listener, in order. Beyond ``_BACKLOG`` waiting ones the oldest droppable one goes."""

    def __init__(self, accepts: Callable[[Event], bool]) -> None:
        self._accepts = accepts
        self._waiting: deque[Event] = deque()
        self._arrived = asyncio.Event()
        self._closed = False

    def offer(self, event: Event) -> None:
        """Take the event if it is of interest."""
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
        """Forget what has arrived and was not taken yet."""
        self._waiting.clear()

    def close(self) -> None:
        """End the iteration after what has arrived."""
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
    """Publish never waits; it must be called on the event loop."""

    def __init__(self) -> None:
        self._subscriptions: set[Subscription] = set()
        self._closed = False

    def publish(self, event: Event) -> None:
        """Give the event to every listener."""
        for subscription in self._subscriptions:
            subscription.offer(event)

    @contextmanager
    def subscribe(self, accepts: Callable[[Event], bool] = lambda _event: True) -> Iterator[Subscription]:
        """A listener for the events that ``accepts`` says yes to, until the block ends."""
        subscription = Subscription(accepts)
        if self._closed:
            subscription.close()
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    def close(self) -> None:
        """End every stream; the daemon is stopping."""
        self._closed = True
        for subscription in self._subscriptions:
            subscription.close()
