"""What runs in a worker process before its first job. It imports as little as it can: every worker pays for it."""

import importlib
import multiprocessing
import os
import signal
import threading
from typing import Any


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
    """Import a module that later jobs need."""
    importlib.import_module(module)


def _end_with(parent: Any) -> None:
    parent.join()
    os._exit(1)
