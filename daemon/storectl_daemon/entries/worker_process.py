"""What runs in a worker process before its first job. It imports as little as it can: every worker pays for it."""

import importlib
import multiprocessing
import os
import signal
import threading
from functools import partial
from typing import Any

from storectl_daemon.process.memory import for_good


def start() -> None:
    """Leave signals to the daemon, and never outlive it.

    A pool's worker waits on a pipe of which it holds both ends, so it would not notice that the daemon was killed. The
    sentinel of the parent process is a pipe that only the parent holds.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def load(module: str) -> None:
    """Import a module that later jobs need. No garbage collection looks at it meanwhile or afterwards."""
    for_good(partial(importlib.import_module, module))


def _end_with(parent: Any) -> None:
    parent.join()
    os._exit(1)
