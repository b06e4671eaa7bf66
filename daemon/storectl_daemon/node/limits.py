"""Limits of one account, so that no account can keep the others from being served.

connections   at once, by account and in all; the last places are for accounts that have hardly any
requests      a second, from a bucket that holds two seconds' worth
fetches       at once: further wheels of the account wait for these
"""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from storectl_daemon.errors import DaemonError
from storectl_daemon.node.policy import NodeLimits
from storectl_daemon.process.peer import peer_uid
from storectl_daemon.serving.peers import Gate

MOST_CONNECTIONS = 512
KEPT_FOR_OTHERS = 64
"""So many of all connections are for accounts that have none or one."""

_BURST = 2.0
"""What a bucket holds, in seconds of its rate."""


class BusyError(DaemonError):
    """The account asks for more than its limits allow."""

    default_code = "E_BUSY"
    default_hint = "try again in a moment"


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float


class Buckets:
    """One bucket of requests for each account."""

    def __init__(self, rate: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._most = _BURST * rate
        self._clock = clock
        self._buckets: dict[int, _Bucket] = {}

    def take(self, uid: int) -> None:
        """Take one request. Raises BusyError if there is none."""
        bucket = self._filled(uid)
        if bucket.left < 1:
            raise BusyError(f"account {uid} has asked for more than {self._rate} things a second")
        bucket.left -= 1

    def has(self, uid: int) -> bool:
        """Whether there is a request for this account."""
        return self._filled(uid).left >= 1

    def _filled(self, uid: int) -> _Bucket:
        now = self._clock()
        bucket = self._buckets.get(uid)
        if bucket is None:
            self._forget(now)
            bucket = self._buckets[uid] = _Bucket(self._most, now)
        bucket.left = min(self._most, bucket.left + (now - bucket.at) * self._rate)
        bucket.at = now
        return bucket

    def _forget(self, now: float) -> None:
        """Forget the buckets that are full again: a new one is the same."""
        for uid in [uid for uid, bucket in self._buckets.items() if now - bucket.at > _BURST]:
            del self._buckets[uid]


class NodeGate(Gate):
    """Lets in connections of every account, within the limits. What may be asked for, the roles say."""

    def __init__(self, limits: NodeLimits, buckets: Buckets) -> None:
        super().__init__(limit=limits.connections)
        self._buckets = buckets

    def enter(self, connection: socket.socket) -> int | None:
        """Count a connection in; see ``Gate``. An account that has used up its requests waits outside."""
        try:
            uid = peer_uid(connection)
        except OSError:
            return None
        mine = self._open.get(uid, 0)
        room = MOST_CONNECTIONS if mine < 2 else MOST_CONNECTIONS - KEPT_FOR_OTHERS
        if mine >= self._limit or self.connections >= room or not self._buckets.has(uid):
            return None
        self._open[uid] = mine + 1
        return uid

    def leave(self, uid: int) -> None:
        """Count a connection of this account out, once it is closed."""
        super().leave(uid)
        if not self._open[uid]:
            del self._open[uid]


class Turns:
    """Fetches of each account: a few at a time, in the order in which they are asked for."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._turns: dict[int, tuple[asyncio.Semaphore, int]] = {}

    @asynccontextmanager
    async def turn(self, uid: int) -> AsyncIterator[None]:
        """Wait for a turn of this account, and have it until the block ends."""
        semaphore, users = self._turns.get(uid, (asyncio.Semaphore(self._most), 0))
        self._turns[uid] = semaphore, users + 1
        try:
            async with semaphore:
                yield
        finally:
            semaphore, users = self._turns[uid]
            self._turns[uid] = semaphore, users - 1
            if users == 1:
                del self._turns[uid]
