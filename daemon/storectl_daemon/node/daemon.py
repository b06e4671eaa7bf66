"""The process of a node daemon: `storectl daemon --node /etc/storectl/node.toml`, run by a service account.

Nothing of it is a user's: no home folder, no PATH, no variables but those of the service manager. Root is refused: what
unpacks and compiles other people's wheels must own nothing but the store.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NoReturn

from storectl_daemon.compiling.compiler import Compiler
from storectl_daemon.compiling.shim_bytecode import ShimBytecode
from storectl_daemon.entries.pipeline import Pipeline
from storectl_daemon.entries.workers import Workers
from storectl_daemon.errors import StoreGoneError, UnknownEnvironmentError
from storectl_daemon.node.bringing import Bringing
from storectl_daemon.node.collecting import NodeCollector
from storectl_daemon.node.ensuring import Ensuring
from storectl_daemon.node.interpreters import ListedInterpreters
from storectl_daemon.node.kept import Kept
from storectl_daemon.node.limits import Buckets, NodeGate, Turns
from storectl_daemon.node.network import NodeNetwork
from storectl_daemon.node.policy import NodePolicy, PolicyError
from storectl_daemon.node.quota import Quotas
from storectl_daemon.node.requests import NodeApplication
from storectl_daemon.node.roles import Roles
from storectl_daemon.node.service import NodeService
from storectl_daemon.node.views import Views
from storectl_daemon.process.emptying import empty_trash_behind
from storectl_daemon.process.lifecycle import Background, notify
from storectl_daemon.process.processors import usable_processors
from storectl_daemon.published import PublishedEnvironments
from storectl_daemon.serving.http_server import HttpServer
from storectl_daemon.serving.server import Server
from storectl_daemon.serving.sockets import ListeningSocket, open_listening, socket_identity
from storectl_daemon.serving.taking_over import written_store
from storectl_daemon.warming.publishing import Publishing
from storectl_store.collecting.holds import Holds
from storectl_store.entries.access import Access
from storectl_store.entries.generation import renew_generation
from storectl_store.entries.layers import Layers
from storectl_store.entries.store import Store
from storectl_store.entries.writer import Writer
from storectl_store.environments.outlines.kept import Outlines
from storectl_store.environments.spare_view import Spares
from storectl_store.interpreters.book import InterpreterBook

logger = logging.getLogger(__name__)

_CHECK_SECONDS = 2.0
_MOST_WORKERS = 4


class RootRefusedError(PolicyError):
    """Root was to be the node daemon."""

    default_code = "E_NODE_ROOT"
    default_hint = "run it as the service account: systemd/storectl-node.service, or setpriv --reuid=storectl"


def serve(file: Path, environ: Mapping[str, str]) -> int:
    """Serve by the policy in this file until told to stop; return the exit code.

    Raises PolicyError if the policy cannot be used, and other ProblemErrors if store or socket cannot be had.
    """
    if 0 in (os.getuid(), os.geteuid()):
        raise RootRefusedError("a node daemon does not run as root")
    credentials = environ.get("CREDENTIALS_DIRECTORY")
    policy = NodePolicy.read(file, credentials=Path(credentials) if credentials else None)
    if policy.socket is None and "LISTEN_FDS" not in environ:
        raise PolicyError(f"{file}: there is no socket", hint="name one: socket = ..., or start storectl-node.socket")
    socket = policy.socket or Path("/run/storectl/daemon.sock")
    store = Store.open(policy.store, Access.SHARED, group=policy.group)
    if not store.layout.generation.exists():
        renew_generation(store.layout)
    with written_store(store) as writer, open_listening(socket, environ, public=True) as listening:
        asyncio.run(_run(policy, store, writer, listening, environ.get("NOTIFY_SOCKET")))
    return 0


async def _run(
    policy: NodePolicy, store: Store, writer: Writer, listening: ListeningSocket, notify_socket: str | None
) -> None:
    stop = asyncio.Event()
    background = Background()
    async with AsyncExitStack() as stack:
        network = await stack.enter_async_context(NodeNetwork(policy, store.layout))
        parts = NodeParts(policy, store, writer, network, stop=stop.set)
        server = parts.server(stop)

        async def ready() -> None:
            await server.accepting.wait()
            notify(notify_socket, "READY=1")

        async def stopping() -> None:
            notify(notify_socket, "STOPPING=1")
            await background.stop()
            await parts.stop()

        background.start("watching the store and the socket", _watch(parts, listening, stop))
        background.start("emptying the trash", empty_trash_behind(store.layout))
        background.start("telling the service manager", ready())
        logger.info("serving %s on %s", store.layout.root, listening.path)
        await server.serve(listening.socket, on_stop=stopping)
        await parts.aclose()
    logger.info("stopped")


async def _watch(parts: "NodeParts", listening: ListeningSocket, stop: asyncio.Event) -> None:
    """End the daemon if its store or its socket is gone: the service manager starts it anew."""
    identity = socket_identity(listening.path)
    while not stop.is_set():
        await asyncio.sleep(_CHECK_SECONDS)
        lost = await asyncio.to_thread(parts.lost)
        if lost is None and not listening.passed and socket_identity(listening.path) != identity:
            lost = listening.path
        if lost is not None:
            logger.warning("%s is gone; leaving", lost)
            stop.set()


class NodeParts:
    """All parts of a node daemon. Build them on the event loop on which it runs; ``stop`` begins its end."""

    def __init__(
        self, policy: NodePolicy, store: Store, writer: Writer, network: NodeNetwork, *, stop: Callable[[], None]
    ) -> None:
        self._policy, self._store, self._writer, self._stop = policy, store, writer, stop
        processes = min(_MOST_WORKERS, usable_processors())
        self._holds = Holds()
        self._workers = Workers(processes)
        self._pipeline = Pipeline(store, self._workers, session=writer.session)
        self._compiler = Compiler(store, holds=self._holds, session=writer.session, processes=processes)
        self._spares = Spares(store.layout)
        self._kept = Kept(store.layout)
        self._quotas = Quotas(quota=policy.quota, layout=store.layout, kept=self._kept, sizes=store.catalogue.sizes)
        self._buckets = Buckets(policy.limits.requests)
        self._environments = PublishedEnvironments(store.layout)
        self._views = self._made_views()
        ensuring = Ensuring(
            store=store,
            pipeline=self._pipeline,
            network=network,
            quotas=self._quotas,
            turns=Turns(policy.limits.fetches),
            kept=self._kept,
            holds=self._holds,
        )
        self.service = NodeService(
            store=store,
            policy=policy,
            roles=Roles(policy.roles),
            environments=self._environments,
            ensuring=ensuring,
            bringing=Bringing(
                store=store,
                ensuring=ensuring,
                network=network,
                quotas=self._quotas,
                session=writer.session,
                largest=policy.limits.largest_wheel,
            ),
            views=self._views,
            kept=self._kept,
            collector=NodeCollector(store=store, holds=self._holds),
            check_store=self._check_store,
        )

    def _made_views(self) -> Views:
        store = self._store
        outlines = Outlines(store, store.catalogue)
        return Views(
            store=store,
            publishing=Publishing(
                store=Layers(store),
                outlines=outlines,
                environments=self._environments,
                shim=ShimBytecode(store.catalogue),
                holds=self._holds,
                spares=self._spares,
            ),
            environments=self._environments,
            outlines=outlines,
            interpreters=ListedInterpreters(self._policy.interpreters, InterpreterBook(store.layout.interpreters)),
            compiler=self._compiler,
            kept=self._kept,
            quotas=self._quotas,
            holds=self._holds,
            session=self._writer.session,
        )

    def server(self, stop: asyncio.Event) -> Server:
        """What listens. Import maps are answered like everything else: there, roles are checked."""
        gate = NodeGate(self._policy.limits, self._buckets)
        application = NodeApplication(self.service, self._buckets)
        return Server(gate, import_map=_by_request, http=lambda: HttpServer(application, gate), stop=stop)

    def lost(self) -> Path | None:
        """What is gone of the store; None if all is there."""
        return self._writer.lost or self._store.missing

    def _check_store(self) -> None:
        if (lost := self.lost()) is not None:
            self._stop()
            raise StoreGoneError(f"the store was deleted or replaced: {lost} is gone", hint="try again", path=str(lost))

    async def stop(self) -> None:
        """The first step of the end: begin nothing new."""
        self._compiler.stop()
        await self._views.background.stop()
        await asyncio.to_thread(self._spares.close)

    async def aclose(self) -> None:
        """End what makes entries, once nothing uses it any more."""
        await self._pipeline.aclose()
        await self._compiler.aclose()
        self._workers.close()


def _by_request(environment: str) -> NoReturn:
    raise UnknownEnvironmentError("asked for by its role", id=environment)
