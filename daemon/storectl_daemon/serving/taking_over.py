"""Becoming the daemon of a store: its writer, after a daemon that is just leaving, with the store recovered."""

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

from storectl_daemon.process.memory import keep_memory_together
from storectl_daemon.serving.sockets import SocketBusyError
from storectl_store.entries.recovery import recover
from storectl_store.entries.store import Store
from storectl_store.entries.writer import Writer
from storectl_store.environments.made_by import shown_digests
from storectl_store.errors import StoreBusyError

logger = logging.getLogger(__name__)

Taken = TypeVar("Taken")

HANDOVER_S = 3.0
"""Seconds to wait for the store: a daemon that was told to stop may still be ending its workers."""

_HANDOVER_POLL_S = 0.05

_UMASK = 0o022
"""The store's files have the same modes, whatever umask the daemon was started with. Private files set their own."""


def handed_over(take: Callable[[], Taken]) -> Taken:
    """The value of ``take``, tried again for as long as a stopping daemon may need; then its busy error is raised."""
    deadline = time.monotonic() + HANDOVER_S
    while True:
        try:
            return take()
        except (StoreBusyError, SocketBusyError):
            if time.monotonic() > deadline:
                raise
            time.sleep(_HANDOVER_POLL_S)


def prepare_process() -> None:
    """What every daemon does before it opens a store."""
    keep_memory_together()
    os.umask(_UMASK)


@contextmanager
def written_store(store: Store) -> Iterator[Writer]:
    """The store, which this process writes until the block ends. It is recovered, and closed at the end."""
    with handed_over(partial(Writer.acquire, store.layout)) as writer:
        recovered = recover(store, writer, shown=partial(shown_digests, store.layout))
        if recovered:
            logger.info("recovered the store: %s", recovered)
        yield writer
    store.close()
