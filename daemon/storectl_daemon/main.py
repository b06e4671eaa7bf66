"""The daemon's process: its start, its life and its end. Only this module reads the environment.

Exit codes: 0 after an orderly end, 1 for a problem, 3 if another daemon serves the store.
"""

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

from storectl_daemon.collecting.quiet import when_quiet
from storectl_daemon.entries.layering import LOOK_SECONDS
from storectl_daemon.errors import DaemonError
from storectl_daemon.jobs.events import Event
from storectl_daemon.models import CompiledEvent, ProgressEvent
from storectl_daemon.parts import Parts
from storectl_daemon.process.emptying import empty_trash_behind
from storectl_daemon.process.lifecycle import Background, notify, rest
from storectl_daemon.process.logs import configure_logs
from storectl_daemon.process.memory import give_memory_back
from storectl_daemon.process.settings import Settings, daemon_variables, service_variables
from storectl_daemon.serving.endpoint import Endpoint
from storectl_daemon.serving.sockets import SocketBusyError
from storectl_daemon.serving.taking_over import handed_over, prepare_process, written_store
from storectl_shim.locations import NoHomeError
from storectl_store.disk.durability import store_error
from storectl_store.entries.store import Store
from storectl_store.entries.writer import Writer
from storectl_store.errors import ProblemError, StoreBusyError, StoreError
from storectl_store.projects.input_state import layer_inputs

logger = logging.getLogger(__name__)

EXIT_BUSY = 3
REST_S = 1.0
"""Seconds after a warm before its memory is given back: the client that waited now asks for the environment."""


def main(options: Sequence[str]) -> int:
    """Serve until told to stop; return the exit code.

    ``options`` are names with their values: ``--log-file`` and a path, ``--node`` and the path of a policy.
    """
    said = dict(zip(options[::2], map(Path, options[1::2]), strict=True))
    try:
        configure_logs(said.get("--log-file"))
        if "--node" in said:
            return _serve_node(said["--node"].absolute(), _only(service_variables))
        return _serve_store(Settings.from_environ(_only(daemon_variables)))
    except (StoreBusyError, SocketBusyError) as error:
        return _tell(error, EXIT_BUSY)
    except NoHomeError as error:
        return _tell(DaemonError(str(error), code="E_NO_HOME", hint=error.hint), 1)
    except ProblemError as error:
        return _tell(error, 1)
    except OSError as error:
        return _tell(store_error(error, "serve"), 1)


def _only(own_of: Callable[[Mapping[str, str]], dict[str, str]]) -> dict[str, str]:
    """Remove from this process all variables that are not the daemon's own, and return those that are left.

    No child of the daemon is to see the other variables of the shell that started it.
    """
    own = own_of(os.environ)
    os.environ.clear()
    os.environ.update(own)
    os.chdir("/")
    return own


def _tell(error: ProblemError, code: int) -> int:
    """Print one line for a person, and log it if the log is a file. Returns ``code``."""
    if not any(getattr(handler, "stream", None) is sys.stderr for handler in logging.getLogger().handlers):
        logger.error("%s", error)
    sys.stderr.write(f"storectl: {error}\n")
    return code


def _serve_store(settings: Settings) -> int:
    prepare_process()
    with written_store(store := Store.open(settings.store)) as writer:
        listen = partial(Endpoint, settings.store, settings.sockets, settings.environ)
        with closing(handed_over(listen)) as endpoint:
            asyncio.run(_run(settings, store, writer, endpoint))
    return 0


def _serve_node(policy: Path, own: Mapping[str, str]) -> int:
    from storectl_daemon.node.daemon import serve  # noqa: PLC0415 - no daemon is both

    prepare_process()
    return serve(policy, own)


async def _run(settings: Settings, store: Store, writer: Writer, endpoint: Endpoint) -> None:
    await Daemon(Parts(settings, store, writer, endpoint)).run()


def _made_something(event: Event) -> bool:
    """Whether the event reports an environment that was published, or all of its bytecode."""
    message = event.message
    if isinstance(message, ProgressEvent):
        return message.phase == "publish" and message.done == message.total
    return isinstance(message, CompiledEvent)


class Daemon:
    """Runs the parts of a daemon on the running event loop."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._background = Background()

    async def run(self) -> None:
        """Serve until asked to stop, then end everything in order."""
        parts = self._parts
        self._start_background()
        logger.info("serving %s on %s", parts.store.layout.root, parts.endpoint.path)
        await parts.server.serve(parts.endpoint.socket, on_stop=self._stop)
        await parts.resources.aclose()
        logger.info("stopped")

    def _start_background(self) -> None:
        parts, start = self._parts, self._background.start
        service = parts.service
        start("watching the socket and the store", parts.watchdog.run(move=parts.server.move))
        start("emptying the trash", self._empty_trash())
        start("watching", service.watcher.run())
        start("following warms", service.follow_warms())
        start("looking at layers", self._look_at_layers())
        start("making ready what was fetched", parts.prefetcher.run())
        start("idle exit", parts.idle.run())
        start("collecting by itself", when_quiet(lambda: parts.idle.quiet, parts.collecting.look))
        start("giving memory back", self._rest_after_warms())
        if parts.packing is not None:
            start("packing", parts.packing.run(busy=lambda: service.busy))
        start("telling the service manager", self._tell_ready())

    async def _look_at_layers(self) -> None:
        """Look again at projects that use a layer out of which something was taken."""
        parts, layering = self._parts, self._parts.resources.layering
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if not (layering.layers.lower or layering.problems):
                continue
            changed = {path for root in await asyncio.to_thread(layering.look) for path in layer_inputs(root)}
            for project in list(parts.service.book) if changed else ():
                if changed & parts.service.warmer.extra_inputs(project.path).keys():
                    await parts.service.refresh(project.path)

    async def _rest_after_warms(self) -> None:
        """After each warm, once all is published and compiled, make most of the next view, and give memory back.

        That memory is not needed again soon.
        """
        service = self._parts.service
        with service.bus.subscribe(_made_something) as events:
            async for _event in events:
                await rest(REST_S, lambda: service.busy)
                events.skip()
                try:
                    await asyncio.to_thread(self._parts.publishing.make_ahead)
                except StoreError as error:
                    logger.warning("no view was made ahead: %s", error)
                await asyncio.to_thread(self._give_memory_back)

    def _give_memory_back(self) -> None:
        self._parts.store.catalogue.shrink()
        give_memory_back()

    async def _empty_trash(self) -> None:
        """Delete what lies in the trash, now and after each collect; then what is left over of what was collected.

        Neither the start nor the end of the daemon waits for this.
        """
        collecting, layout = self._parts.collecting, self._parts.store.layout
        await empty_trash_behind(layout)
        while await collecting.swept.wait():
            collecting.swept.clear()
            await empty_trash_behind(layout)
            try:
                await collecting.clear_leftovers()
            except ProblemError as error:
                logger.warning("not all is cleared that is left over: %s", error)

    async def _tell_ready(self) -> None:
        await self._parts.server.accepting.wait()
        notify(self._parts.settings.notify_socket, "READY=1")

    async def _stop(self) -> None:
        """The first step of the end: refuse new work, and send every stream its last line."""
        logger.info("stopping")
        service = self._parts.service
        notify(self._parts.settings.notify_socket, "STOPPING=1")
        self._parts.resources.compiler.stop()
        await self._parts.collecting.stop()
        await self._background.stop()
        await self._parts.worktrees.stop()
        await service.warmer.stop()
        await service.compiling.stop()
        await asyncio.to_thread(self._parts.publishing.spares.close)
        await service.book.written()
        await service.ahead.written()
        service.bus.close()
