"""The worker processes, from inside: one process loads what jobs need, and each worker is a fork of it.

A fork takes a millisecond and shares what is loaded; a new interpreter would load all of it again. The first process
has no threads, so it may fork, and it runs no job. It imports as little as it can: every cold install waits for it.

    the daemon                              the first process               a worker
    one byte, and a socket (SCM_RIGHTS) --> forks
                                        <-- one byte: 0, or the errno
    pickled (function, args, kwargs)    ----------------------------------> runs it
                                        <---------------------------------- pickled (value, None) or (None, error)

A worker ends when the daemon closes its socket, the first process when the daemon closes the one that asks for forks.
"""

import _socket
import gc
import importlib
import os
import pickle
import select
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

DESCRIPTOR_BYTES = 4
"""A C ``int``, which is what SCM_RIGHTS carries."""


def serve(control: int, modules: Sequence[str]) -> None:
    """Import the modules that jobs need, and fork a worker for each socket that comes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the daemon decides when to end
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no worker becomes a zombie
    for module in modules:
        with suppress(Exception):  # the job that needs it reports that
            importlib.import_module(module)
    gc.freeze()  # a collection in a worker would touch, and so copy, every page
    requests = _socket.socket(fileno=control)
    while (channel := _received(requests)) is not None:
        try:
            forked = os.fork()
        except OSError as error:
            os.close(channel)
            requests.send(bytes([error.errno or 1]))
            continue
        if not forked:
            requests.close()
            _work(channel)
        os.close(channel)
        requests.send(b"\0")


def _received(requests: _socket.socket) -> int | None:
    """The descriptor that comes with the next request; None if the daemon has closed its end."""
    flags = getattr(_socket, "MSG_CMSG_CLOEXEC", 0)
    byte, ancillary, _, _ = requests.recvmsg(1, _socket.CMSG_SPACE(DESCRIPTOR_BYTES), flags)
    if not byte:
        return None
    (_, _, data), *_ = ancillary
    return int.from_bytes(data[:DESCRIPTOR_BYTES], sys.byteorder)


def _work(channel: int) -> None:
    """Do the jobs that come through this socket, until the daemon closes its end. Never returns."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    threading.Thread(target=_end_with, args=(channel,), daemon=True).start()
    try:
        with open(channel, "rb", closefd=False) as jobs, open(channel, "wb", closefd=False) as outcomes:
            while True:
                function, args, kwargs = pickle.load(jobs)  # noqa: S301  # the daemon has written it
                outcomes.write(_outcome(function, args, kwargs))
                outcomes.flush()
    except (EOFError, OSError):
        os._exit(0)
    finally:
        os._exit(1)


def _outcome(function: Any, args: Any, kwargs: Any) -> bytes:
    try:
        return pickle.dumps((function(*args, **kwargs), None))
    except Exception as error:  # noqa: BLE001  # it is raised where the job was asked for
        import traceback  # noqa: PLC0415 - only a failure needs it

        error.add_note(f"In a worker process:\n{traceback.format_exc()}")
        return pickle.dumps((None, error))


def _end_with(channel: int) -> None:
    """End this process, whatever it does, when the daemon has closed its end or has been killed."""
    hung_up = select.poll()
    hung_up.register(channel, 0)  # POLLHUP and POLLERR are always told
    hung_up.poll()
    os._exit(1)
