"""What a node daemon does for those who ask: the parts behind its requests, in one place."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from storectl_daemon.errors import UnknownEntryError
from storectl_daemon.messages import Sent
from storectl_daemon.node.bringing import Bringing, Chunks
from storectl_daemon.node.collecting import NodeCollector
from storectl_daemon.node.ensuring import Ensuring
from storectl_daemon.node.kept import Kept
from storectl_daemon.node.messages import (
    NODE_API,
    NODE_FEATURES,
    BytecodeRequest,
    Done,
    EnsureRequest,
    EntriesAnswer,
    EntryAnswer,
    EnvironmentAnswer,
    EnvironmentRequest,
    OriginInfo,
    PolicyAnswer,
    RootInfo,
    RootRequest,
    RootsAnswer,
    WheelWanted,
    digest_in,
)
from storectl_daemon.node.policy import NodePolicy
from storectl_daemon.node.roles import Account, Role, Roles
from storectl_daemon.node.views import Views
from storectl_daemon.published import PublishedEnvironments
from storectl_store.digest import Digest, EnvironmentId
from storectl_store.entries.store import Store
from storectl_store.environments.identity import shim_digest
from storectl_store.version import installed_version

_ROLES: tuple[Role, ...] = ("reader", "writer", "admin")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeService:
    """One store for many users. Who may ask for what has been checked before."""

    store: Store
    policy: NodePolicy
    roles: Roles
    environments: PublishedEnvironments
    ensuring: Ensuring
    bringing: Bringing
    views: Views
    kept: Kept
    collector: NodeCollector
    check_store: Callable[[], None]

    def policy_for(self, account: Account) -> PolicyAnswer:
        """What a client has to know before it asks for anything."""
        return PolicyAnswer(
            version=installed_version(),
            api=NODE_API,
            features=NODE_FEATURES,
            store=str(self.store.layout.root),
            shim=shim_digest(),
            origins=tuple(OriginInfo(url=each.text, index=each.index) for each in self.policy.origins),
            interpreters=tuple(map(str, self.policy.interpreters)),
            largest_wheel=self.policy.limits.largest_wheel,
            account=account.uid,
            roles=tuple(role for role in _ROLES if self.roles.has(account, role)),
        )

    def ensure(self, account: Account, request: EnsureRequest) -> AsyncIterator[Sent]:
        """What becomes of each of these wheels."""
        self.check_store()
        return self.ensuring.ensure(account.uid, request.wheels)

    async def bring(self, account: Account, wheel: WheelWanted, chunks: Chunks) -> EntryAnswer:
        """Take a wheel that an index lists; of an admin, any wheel."""
        self.check_store()
        await self.bringing.bring(account.uid, wheel, chunks, trusted=self.roles.has(account, "admin"))
        return EntryAnswer(digest=wheel.digest)

    async def entry(self, digest: Digest) -> EntryAnswer:
        """That the entry is there. Raises UnknownEntryError if it is not."""
        if not await asyncio.to_thread(self.store.has, digest):
            raise UnknownEntryError(f"the entry {digest} is not here", digest=digest)
        return EntryAnswer(digest=digest)

    async def entries(self) -> EntriesAnswer:
        """All entries."""
        found = await asyncio.to_thread(self.store.summaries)
        return EntriesAnswer(
            entries=tuple(
                EntryAnswer(digest=each.digest, filename=each.filename, unpacked_size=each.unpacked_size)
                for each in found
            )
        )

    async def publish(self, account: Account, request: EnvironmentRequest) -> EnvironmentAnswer:
        """The environment of these entries."""
        digests = list(map(digest_in, request.digests))
        folder = await self.views.publish(account.uid, digests, request.interpreter)
        return EnvironmentAnswer(id=folder.name, path=str(folder))

    async def compile(self, request: BytecodeRequest) -> Done:
        """Begin to make bytecode."""
        await self.views.compile(list(map(digest_in, request.digests)), request.cache_tag)
        return Done(count=len(request.digests))

    async def note_imports(self, account: Account, environment: EnvironmentId, record: bytes) -> Done:
        """Take a record of imports into a pack."""
        return Done(count=await self.views.note_imports(account.uid, environment, record))

    async def put_root(self, account: Account, environment: EnvironmentId, request: RootRequest) -> Done:
        """Keep an environment and its entries for the account."""
        await self.kept.put(account.uid, environment, request.project, map(digest_in, request.digests))
        return Done(count=len(request.digests))

    async def delete_root(self, account: Account, environment: EnvironmentId) -> Done:
        """Keep an environment no longer for the account."""
        return Done(count=int(await self.kept.remove(account.uid, environment)))

    def roots(self, account: Account) -> RootsAnswer:
        """What the account keeps."""
        return RootsAnswer(
            roots=tuple(
                RootInfo(environment=root.environment, project=root.project, seen=root.seen, entries=len(root.digests))
                for root in self.kept.of(account.uid)
            )
        )
