"""What accounts keep alive in a node store: their roots, on disk and in memory, and what they have just fetched.

Only this daemon writes roots, so what it has in memory is right. What an account has fetched and nobody keeps yet is
charged to that account: else it could fill the store without ever naming a root.
"""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable

from storectl_daemon.errors import DaemonError
from storectl_store.collecting.node_roots import NodeRoot, read_roots, remove_root, renew_root
from storectl_store.digest import Digest, EnvironmentId
from storectl_store.entries.layout import StoreLayout

MOST_ROOTS = 1000
"""Most roots of one account."""


class RootsError(DaemonError):
    """The account keeps as many environments as one may, or names one that cannot be kept."""

    default_code = "E_QUOTA"
    default_hint = "`storectl store du` shows what is kept; what is not used for 90 days goes by itself"


class Kept:
    """The roots of all accounts. For one event loop; making it may block."""

    def __init__(self, layout: StoreLayout, *, clock: Callable[[], float] = time.time) -> None:
        self._layout = layout
        self._clock = clock
        self._writing = asyncio.Lock()
        self._roots: defaultdict[int, dict[EnvironmentId, NodeRoot]] = defaultdict(dict)
        self._keepers: defaultdict[Digest, Counter[int]] = defaultdict(Counter)
        self._fetched: defaultdict[int, set[Digest]] = defaultdict(set)
        for root in read_roots(layout).roots:
            self._remember(root)

    def of(self, uid: int) -> list[NodeRoot]:
        """The roots of an account, by environment."""
        roots = self._roots.get(uid, {})
        return [roots[each] for each in sorted(roots)]

    def holds(self, uid: int, environment: EnvironmentId) -> bool:
        """Whether the account keeps this environment."""
        return environment in self._roots.get(uid, {})

    async def put(self, uid: int, environment: EnvironmentId, project: str, digests: Iterable[Digest]) -> None:
        """Keep an environment and its entries for an account.

        Raises RootsError if it cannot be kept, StoreError if the disk refuses.
        """
        if len(self._roots.get(uid, {})) >= MOST_ROOTS and not self.holds(uid, environment):
            raise RootsError(f"account {uid} keeps {MOST_ROOTS} environments already")
        try:
            root = NodeRoot(
                uid=uid,
                environment=environment,
                project=project,
                seen=int(self._clock()),
                digests=frozenset(digests),
            )
        except ValueError as error:
            raise RootsError(
                f"this cannot be kept: {error}", code="E_REQUEST", hint="name a project, no path"
            ) from error
        async with self._writing:
            if await asyncio.to_thread(renew_root, self._layout, root):
                self._forget(uid, environment)
                self._remember(root)

    async def remove(self, uid: int, environment: EnvironmentId) -> bool:
        """Keep an environment no longer for an account. Returns whether it was kept."""
        async with self._writing:
            removed = await asyncio.to_thread(remove_root, self._layout, uid, environment)
            self._forget(uid, environment)
        return removed

    def fetched(self, uid: int, digest: Digest) -> None:
        """Note that this account has had an entry made."""
        self._fetched[uid].add(digest)

    def own(self, uid: int) -> set[Digest]:
        """The entries that only this account keeps, or has had made while nobody keeps them."""
        mine: set[Digest] = set().union(*(root.digests for root in self.of(uid)))
        unkept = {digest for digest in self._fetched.get(uid, ()) if digest not in self._keepers}
        return {digest for digest in mine if len(self._keepers[digest]) == 1} | unkept

    def _remember(self, root: NodeRoot) -> None:
        self._roots[root.uid][root.environment] = root
        for digest in root.digests:
            self._keepers[digest][root.uid] += 1

    def _forget(self, uid: int, environment: EnvironmentId) -> None:
        root = self._roots.get(uid, {}).pop(environment, None)
        for digest in root.digests if root is not None else ():
            keepers = self._keepers[digest]
            keepers[uid] -= 1
            if not keepers[uid]:
                del keepers[uid]
            if not keepers:
                del self._keepers[digest]
