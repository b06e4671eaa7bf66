"""Node daemons of layers, on behalf of warms: they are asked for what is missing, and do without costs disk space only.

    a wheel that is missing   the first layer whose daemon has its origin makes it; then it is used from there
    an environment            published by the daemon of the layer that has all its entries
    what is used              kept there for this user, at every warm

A daemon that is down, full, strict, slow or somebody else's is told of in one line, and rests for a minute. The wheel
then goes to the own store, as without layers.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.utils import NormalizedName

from storectl_daemon.jobs.progress import Progress
from storectl_daemon.node_client import NodeClient, NodeError, NodeInfo
from storectl_store.collecting.node_roots import NO_PROJECT, is_project_name
from storectl_store.digest import Digest, EnvironmentId
from storectl_store.entries.bytecode.compile import has_bytecode
from storectl_store.entries.layers import Layer, Layers
from storectl_store.environments.identity import environment_id, shim_digest
from storectl_store.errors import LayerError
from storectl_store.selection.pin import Pin
from storectl_store.selection.target import Interpreter

logger = logging.getLogger(__name__)

KNOWN_SECONDS = 60.0
"""So long what a node daemon said of itself is believed, and one that cannot be used is left alone."""

STALL_SECONDS = 60.0
"""Seconds in which a wheel must get further; then it is fetched into the own store."""

_GATHER_SECONDS = 0.01
"""Wheels that are wanted within this time are one request."""

_MOST_AT_ONCE = 500


@dataclass(slots=True, kw_only=True)
class _Known:
    """What is known of the node daemon of a layer: ``info`` is None if it cannot be used."""

    client: NodeClient
    info: NodeInfo | None
    at: float


@dataclass(slots=True, eq=False)
class _Wanted:
    """One wheel that a node daemon is asked for. ``outcome`` is whether it has it."""

    pin: Pin
    report: Progress
    outcome: asyncio.Future[bool]
    moved_at: float = 0.0


@dataclass(slots=True)
class _Batch:
    wanted: list[_Wanted] = field(default_factory=list)


class NodeLayers:
    """The node daemons of the layers. For one event loop."""

    def __init__(self, layers: Layers, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._layers = layers
        self._clock = clock
        self._known: dict[Path, _Known] = {}
        self._asking = asyncio.Lock()
        self._batches: dict[Path, _Batch] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def fetch(self, pin: Pin, report: Progress) -> None:
        """Have a node daemon make the entry of this wheel, if one would. Returns when it is there, or nobody does."""
        for layer in self._with_daemons():
            known = await self._known_of(layer, report)
            if known is None or "writer" not in known.roles or not known.has_origin(pin.wheel.url):
                continue
            if await self._asked_for(layer, pin, report):
                manifest = await asyncio.to_thread(layer.store.usable_manifest, pin.wheel.digest)
                if manifest is not None:
                    return

    async def publish(
        self,
        digests: Sequence[Digest],
        interpreter: Interpreter,
        direct_urls: Mapping[NormalizedName, str],
        report: Progress,
    ) -> None:
        """Have the environment published by the daemon of the layer that has all of its entries, if there is one."""
        if direct_urls or not digests or not (layers := self._with_daemons()):
            return
        identity = environment_id(digests, interpreter)
        if await asyncio.to_thread(self._layers.environment, identity) is not None:
            return
        for layer in layers:
            if not await asyncio.to_thread(_has_all, layer, digests):
                continue
            known = await self._known_of(layer, report)
            if known is None or "writer" not in known.roles or known.shim != shim_digest():
                continue
            if not any(Path(interpreter.executable).is_relative_to(folder) for folder in known.interpreters):
                continue
            try:
                made = await self._known[layer.root].client.publish(digests, interpreter.executable)
            except NodeError as error:
                logger.info("%s", error)  # an environment of one's own is as good
                continue
            if made == identity:
                return
            logger.warning("the layer %s made the environment %s instead of %s", layer.root, made[:64], identity)

    async def keep(
        self,
        environment: EnvironmentId,
        digests: Sequence[Digest],
        interpreter: Interpreter,
        *,
        project: Path,
        report: Progress,
    ) -> None:
        """Have what this environment uses of layers kept there for this user, with its bytecode.

        Of the project only its name is told.
        """
        name = project.name if is_project_name(project.name) else NO_PROJECT
        for layer in self._with_daemons():
            of_layer, uncompiled = await asyncio.to_thread(self._used_of, layer, environment, digests, interpreter)
            known = await self._known_of(layer, report) if of_layer else None
            if known is None or "writer" not in known.roles:
                continue
            try:
                await self._known[layer.root].client.keep(environment, of_layer, name)
            except NodeError as error:
                self._leave_out(layer, error, report)
                continue
            if uncompiled:
                try:
                    await self._known[layer.root].client.compile(uncompiled, interpreter.cache_tag)
                except NodeError as error:
                    logger.info("%s", error)  # it may list no interpreter like this one

    def _used_of(
        self, layer: Layer, environment: EnvironmentId, digests: Sequence[Digest], interpreter: Interpreter
    ) -> tuple[list[Digest], list[Digest]]:
        """The entries that are used from the layer, and those of them that have no bytecode and will get none."""
        if self._layers.environment(environment) == layer.store.layout.environment(environment):
            return [digest for digest in digests if layer.store.has(digest)], []
        used = [digest for digest in digests if self._layers.layer_of(digest) is layer.store]
        layout = layer.store.layout
        return used, [digest for digest in used if not has_bytecode(layout, digest, interpreter.cache_tag)]

    def _with_daemons(self) -> list[Layer]:
        return [layer for layer in self._layers.lower if layer.settings.socket is not None]

    async def _known_of(self, layer: Layer, report: Progress) -> NodeInfo | None:
        """What the daemon of the layer says of itself; None if it cannot be used. It is asked once a minute."""
        async with self._asking:
            known = self._known.get(layer.root)
            if known is not None and self._clock() < known.at + KNOWN_SECONDS:
                return known.info
            try:
                owners = await asyncio.to_thread(layer.settings.owners)
                assert layer.settings.socket is not None
                client = NodeClient(layer.settings.socket, owners)
                info = await client.info()
            except (NodeError, LayerError) as error:
                self._known[layer.root] = _Known(client=NodeClient(layer.root, ()), info=None, at=self._clock())
                self._leave_out(layer, error, report)
                return None
            self._known[layer.root] = _Known(client=client, info=info, at=self._clock())
            return info

    def _leave_out(self, layer: Layer, error: NodeError | LayerError, report: Progress) -> None:
        """Ask the daemon of this layer for nothing, for a minute, and say so once."""
        known = self._known[layer.root]
        known.info, known.at = None, self._clock()
        logger.warning("%s", error)
        report.warn(f"{error.code}: {error.message}")

    async def _asked_for(self, layer: Layer, pin: Pin, report: Progress) -> bool:
        """Whether the daemon of the layer has made the entry. What is wanted at the same time is one request."""
        batch = self._batches.get(layer.root)
        if batch is None:
            batch = self._batches[layer.root] = _Batch()
            task = asyncio.create_task(self._send(layer, batch), name=f"asking for wheels of {layer.root}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        wanted = _Wanted(pin, report, asyncio.get_running_loop().create_future(), self._clock())
        batch.wanted.append(wanted)
        if len(batch.wanted) >= _MOST_AT_ONCE:
            self._batches.pop(layer.root, None)
        return await wanted.outcome

    async def _send(self, layer: Layer, batch: _Batch) -> None:
        """Ask for the wheels of a batch, and tell each what became of it."""
        await asyncio.sleep(_GATHER_SECONDS)
        if self._batches.get(layer.root) is batch:
            del self._batches[layer.root]
        left = {wanted.pin.wheel.digest: wanted for wanted in batch.wanted}
        try:
            lines = self._known[layer.root].client.ensure([_described(each.pin) for each in left.values()])
            async for line in lines:
                self._heard(line, left)
                if all(each.outcome.done() for each in batch.wanted if each.pin.wheel.digest in left):
                    break
        except NodeError as error:
            self._leave_out(layer, error, batch.wanted[0].report)
        finally:
            for wanted in batch.wanted:
                same = left[wanted.pin.wheel.digest].outcome
                _settle(wanted, has=same.done() and not same.cancelled() and same.result())

    def _heard(self, line: dict[str, Any], left: Mapping[Digest, _Wanted]) -> None:
        now = self._clock()
        wanted = left.get(Digest(str(line.get("digest"))))
        if wanted is not None:
            wanted.moved_at = now
            state = line.get("state")
            if state == "fetching" and isinstance(line.get("received"), int):
                wanted.report.fetching(wanted.pin, line["received"])
            elif state in {"ready", "refused", "failed"}:
                if state != "ready":
                    logger.info("%s: %s: %s", wanted.pin.name, line.get("code"), line.get("detail"))
                _settle(wanted, has=state == "ready")
        for each in left.values():
            if now > each.moved_at + STALL_SECONDS:
                _settle(each, has=False)


def _has_all(layer: Layer, digests: Sequence[Digest]) -> bool:
    return all(map(layer.store.has, digests))


def _settle(wanted: _Wanted, *, has: bool) -> None:
    if not wanted.outcome.done():
        wanted.outcome.set_result(has)


def _described(pin: Pin) -> dict[str, object]:
    return {
        "filename": pin.wheel.filename,
        "digest": pin.wheel.digest,
        "url": pin.wheel.url,
        "size": pin.wheel.size,
    }
