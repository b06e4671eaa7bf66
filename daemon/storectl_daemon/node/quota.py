"""Quotas: how much one account may have in a node store that nobody else keeps, and how much it may fetch in a day.

Above the high-water mark of the file system nothing is fetched for anybody; what is there is still served.
"""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from storectl_daemon.errors import FetchError
from storectl_daemon.node.kept import Kept
from storectl_daemon.node.policy import NodeQuota
from storectl_store.digest import Digest
from storectl_store.disk.durability import disk_errors
from storectl_store.entries.layout import StoreLayout

_DAY_S = 86400


class QuotaError(FetchError):
    """The account has as much as it may have, or the store is as full as it may be; ``facts['uid']``."""

    default_code = "E_QUOTA"
    default_hint = "your own daemon fetches it into your own store; `storectl store du` shows what is kept"


@dataclass(slots=True, kw_only=True)
class Quotas:
    """``sizes`` gives the unpacked sizes of entries, in bytes. ``clock`` is in seconds."""

    quota: NodeQuota
    layout: StoreLayout
    kept: Kept
    sizes: Callable[[Iterable[Digest]], Mapping[Digest, int]]
    clock: Callable[[], float] = time.time
    _running: Counter[int] = field(default_factory=Counter)
    _fetched: Counter[int] = field(default_factory=Counter)
    _published: Counter[int] = field(default_factory=Counter)
    _day: int = 0

    @contextmanager
    def room(self, uid: int, size: int) -> Iterator[Callable[[int], None]]:
        """Within the block this account fetches ``size`` bytes, or nobody knows how many (0).

        The value is to be called with each number of bytes received so far: it raises QuotaError once that is too much.
        Raises QuotaError if there is no room.
        """
        self._check(uid, size)
        self._running[uid] += size
        received = 0

        def count(now: int) -> None:
            nonlocal received
            self._fetched[uid] += max(0, now - received)
            received = now
            self._check_fetched(uid, 0)

        try:
            yield count
        finally:
            self._running[uid] -= size

    def publish(self, uid: int) -> None:
        """This account has one more environment made. Raises QuotaError if it has had enough of them today."""
        self._next_day()
        if self._published[uid] >= self.quota.environments:
            raise QuotaError(f"account {uid} has had {self.quota.environments} environments made today", uid=uid)
        self._published[uid] += 1

    def _next_day(self) -> None:
        if (day := int(self.clock() // _DAY_S)) != self._day:
            self._day = day
            self._fetched.clear()
            self._published.clear()

    def _check(self, uid: int, size: int) -> None:
        self._check_fetched(uid, size)
        if self.quota.own is not None:
            own = sum(self.sizes(self.kept.own(uid)).values()) + self._running[uid]
            if own + size > self.quota.own:
                raise QuotaError(
                    f"account {uid} alone keeps {own} bytes here, of {self.quota.own} that it may", uid=uid
                )
        with disk_errors(f"look at the file system of {self.layout.root}"):
            found = os.statvfs(self.layout.root)
        for what, free, whole in (("bytes", found.f_bavail, found.f_blocks), ("inodes", found.f_favail, found.f_files)):
            if whole and 100 * (whole - free) > self.quota.high_water * whole:
                raise QuotaError(f"the file system of the store has {self.quota.high_water} % of its {what} in use")

    def _check_fetched(self, uid: int, size: int) -> None:
        self._next_day()
        limit = self.quota.fetched
        if limit is not None and self._fetched[uid] + size > limit:
            raise QuotaError(
                f"account {uid} has fetched {self._fetched[uid]} bytes today, of {limit} that it may", uid=uid
            )
