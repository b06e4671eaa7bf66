"""How many large wheels are fetched at once: few, so that the first is unpacked and compiled while others arrive.

Wheels that share a line all end at about the same time, and everything else begins then. Two fill most lines. Where
each connection has a limit of its own, more of them bring more: one more is tried once a large wheel is here, or takes
long, and another one if it did.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

LARGE = 1 << 20
"""Bytes from which on a wheel waits for a lane. Smaller ones, and those of unknown size, do not."""
LEAST = 2
WINDOW = 0.5
"""Seconds for which what arrives is counted. It begins anew while small wheels arrive, which have no lane."""
PATIENCE = 3.0
"""Seconds after which one lane more is tried, even if no large wheel has arrived."""
GAIN = 1.15
"""So many times as much has to arrive with one lane more."""


class Lanes:
    """For one event loop. Wheels enter in the order in which they ask; when none is left, all is forgotten."""

    def __init__(self, most: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._active = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._forget()

    def _forget(self) -> None:
        self._limit = min(LEAST, self._most)
        self._tries = True
        self._rate = 0.0  # bytes a second with one lane less; 0 before the first
        self._more_from = self._clock() + PATIENCE
        self._begin_window()

    def _begin_window(self) -> None:
        self._since, self._bytes = self._clock(), 0

    @asynccontextmanager
    async def lane(self, size: int | None) -> AsyncIterator[Callable[[int], None]]:
        """Wait for a lane if the wheel is large. The function gets how many more bytes have arrived."""
        if size is None or size < LARGE:
            yield lambda _: self._begin_window()
            return
        await self._enter()
        try:
            yield self._count
        finally:
            self._active -= 1
            self._more_from = 0.0
            self._admit()

    async def _enter(self) -> None:
        if not self._active:
            self._forget()
        if self._active < self._limit and not self._waiting:
            self._active += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it was let in, and does not come
                self._active -= 1
                self._admit()
            raise

    def _admit(self) -> None:
        while self._waiting and self._active < self._limit:
            turn = self._waiting.popleft()
            if not turn.done():
                self._active += 1
                turn.set_result(None)

    def _count(self, size: int) -> None:
        self._bytes += size
        now = self._clock()
        if now - self._since < WINDOW:
            return
        rate = self._bytes / (now - self._since)
        self._begin_window()
        if now < self._more_from or not (self._tries and self._waiting):
            return
        if rate >= GAIN * self._rate and self._limit < self._most:
            self._rate = rate
            self._limit += 1
            self._admit()
        else:
            self._tries = False
            self._limit = max(LEAST, self._limit - 1)
