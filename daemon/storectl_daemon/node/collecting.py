"""Collecting and verifying a node store, when an admin asks for it.

What keeps something are the roots of all accounts, what is being worked with, and what was published within the grace.
"""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain

from storectl_daemon.messages import Message
from storectl_store.collecting.holds import Holds
from storectl_store.collecting.inventory import read_inventory
from storectl_store.collecting.mark import Marked, mark
from storectl_store.collecting.node_roots import NodeRoot, is_expired, read_roots
from storectl_store.collecting.roots import Root
from storectl_store.collecting.sweep import Sweep
from storectl_store.entries.store import Store
from storectl_store.entries.trash import empty_trash
from storectl_store.entries.verify import Finding, verify
from storectl_store.errors import StoreError

GRACE_S = 3600.0
"""Seconds for which everything stays after it was published."""

_MOST_TOLD = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeCollected(Message):
    """What was taken away. ``spared`` is how many things stayed although nobody keeps them: they are in use."""

    environments: int
    entries: int
    spared: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeVerified(Message):
    """What was found to be wrong, the first hundred of it in words."""

    entries: int
    findings: int
    told: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeCollector:
    """One collect or verification at a time."""

    store: Store
    holds: Holds
    grace: float = GRACE_S
    _alone: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def collect(self) -> NodeCollected:
        """Take away what nobody keeps. Raises StoreError if anything cannot be looked at; then nothing goes."""
        async with self._alone:
            return await asyncio.shield(asyncio.ensure_future(asyncio.to_thread(self._collect)))

    async def verify(self) -> NodeVerified:
        """Compare every file of every entry with its manifest."""
        async with self._alone:
            return await asyncio.to_thread(self._verify)

    def _collect(self) -> NodeCollected:
        with self.holds.remembering():  # first remembered, then read
            marked = self._marked()
            sweep = Sweep(self.store, self.holds)
            environments = sweep.environments([each.id for each in marked.dead_environments])
            entries = sweep.entries(marked.dead_entries_without(environments.environments))
        empty_trash(self.store.layout)
        return NodeCollected(
            environments=len(environments.environments),
            entries=len(entries.entries),
            spared=len(environments.spared) + len(entries.spared),
        )

    def _marked(self) -> Marked:
        found = read_roots(self.store.layout)
        if found.unreadable:
            raise StoreError(
                f"nobody knows what {found.unreadable[0]} keeps, so nothing is taken away",
                hint="delete it: the user's next warm writes it again",
                path=str(found.unreadable[0]),
            )
        now = time.time()
        inventory = read_inventory(self.store)
        counting = (root for root in found.roots if not is_expired(root, now))
        return mark(inventory, chain.from_iterable(map(_roots, counting)), now=now, grace=self.grace)

    def _verify(self) -> NodeVerified:
        findings, entries = [], 0
        for each in verify(self.store):
            if isinstance(each, Finding):
                findings.append(f"{each.digest} {each.path}: {each.message}")
            else:
                entries += 1
        return NodeVerified(entries=entries, findings=len(findings), told=tuple(findings[:_MOST_TOLD]))


def _roots(root: NodeRoot) -> Iterator[Root]:
    """What one root keeps: the environment, and each entry, which an environment in another store may show."""
    detail = f"uid {root.uid}, {root.project}"
    yield Root(kind="pin", environment=root.environment, detail=detail)
    for digest in root.digests:
        yield Root(kind="pin", digest=digest, detail=detail)
