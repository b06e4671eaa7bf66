"""Find the store's daemon, and start one if a command needs it: only one, however many commands need it at once.

The store says where its daemon listens (``storectl_shim.store_daemon``), whatever variables it was started with. If
the store says nothing, a service manager may listen at the usual place. If no daemon is there either, each command
takes an flock on ``start.lock`` in the store and looks again; the first of them starts the daemon. The daemon is not
a child of the command: the command is about to become the user's program, which must not find a child it does not
know. To see all the same that the daemon has ended early, the command holds a pipe; the daemon keeps its other end
open while it lives.
"""

import fcntl
import os
import select
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from storectl.daemon.socket import check_listener, check_owner, unreachable
from storectl.daemon.store_place import check_store_owner, may_be_store, own_store
from storectl.errors import (
    DaemonError,
    DaemonGoneError,
    DaemonNotRunningError,
    DaemonOwnerError,
    DaemonProblemError,
    DaemonStartError,
)
from storectl.frozen import check_not_frozen
from storectl.isolation import FLAGS
from storectl_shim.locations import log_path, socket_path, store_folder
from storectl_shim.own_variables import own_variables
from storectl_shim.store_daemon import StoreDaemon, is_there, read_store_daemon

if TYPE_CHECKING:
    from storectl.daemon.client import DaemonClient

START_S = 10.0
"""How long a new daemon may take until it answers."""

LOCK_S = 2 * START_S
"""How long another command may take to start the daemon."""

STOP_S = 10.0

BIND_S = 5.0
"""How long a daemon may take to see that its socket is gone, and to listen at another path."""

STORE_GONE = "E_STORE_GONE"
"""A daemon answers this if its store was deleted or replaced. It then leaves, and the next one makes the store anew."""

POLL_S = 0.02

GONE = (DaemonNotRunningError, DaemonGoneError)
"""The errors that a killed daemon causes: no process listens, or for a moment one listens that no longer answers."""

DETACH = "import os, sys; os.fork() or os.execv(sys.argv[1], sys.argv[1:])"
"""The code of a process in between: it ends at once, so that its child, the daemon, becomes a child of init."""


def running_daemon(environ: Mapping[str, str]) -> "DaemonClient":
    """The store's daemon; DaemonNotRunningError if none is running, DaemonTimeoutError if it cannot be reached.

    If the daemon's socket is gone, this waits until the daemon listens again, which takes a moment.
    """
    deadline = time.monotonic() + BIND_S
    while True:
        try:
            return _reached(environ)
        except DaemonNotRunningError:
            known = _living(environ)
            if known is None:
                raise
            if time.monotonic() > deadline:
                raise unreachable(known) from None
        time.sleep(POLL_S)


def _living(environ: Mapping[str, str]) -> StoreDaemon | None:
    """The daemon that the store names, if its process is there."""
    known = read_store_daemon(store_folder(environ))
    return known if known is not None and known.lives else None


def _reached(environ: Mapping[str, str]) -> "DaemonClient":
    """A client of the daemon: at the socket that the store names, else where a service manager would listen for it."""
    known = read_store_daemon(store_folder(environ))
    path = known.socket if known is not None and known.may_answer else socket_path(environ)
    check_owner(path)
    check_listener(path)
    from storectl.daemon.client import DaemonClient  # noqa: PLC0415 - HTTP, of no use if no daemon listens

    client = DaemonClient(path, environ=environ)
    try:
        client.health()
    except DaemonProblemError as error:
        if error.code != STORE_GONE:
            raise
        raise DaemonGoneError(error.message, hint=error.hint) from None
    return client


def ensure_daemon(environ: Mapping[str, str], command: Sequence[str] | None = None) -> "DaemonClient":
    """The daemon of this environment's store, started if none is running; ClientError if it cannot be started.

    FrozenError if none is to be started or asked.

    ``command`` is run instead of storectl's own daemon, if given.
    """
    store = store_folder(environ)
    check_store_owner(store)
    check_not_frozen("ask the daemon for it", environ)
    try:
        return running_daemon(environ)
    except GONE:
        pass
    own_store(store)
    with _start_lock(store, lambda: _answers(environ)):
        try:
            return running_daemon(environ)
        except GONE:
            _start(command or daemon_command(environ), environ)
            return running_daemon(environ)


def daemon_command(environ: Mapping[str, str]) -> list[str]:
    """The command line of storectl's daemon."""
    return [sys.executable, *FLAGS, "-m", "storectl", "daemon", "--log-file", log_path(environ)]


def stop_daemon(environ: Mapping[str, str]) -> bool:
    """End the daemon and wait until it is gone; False if none was running."""
    try:
        client = running_daemon(environ)
        socket, pid = client.socket, client.health().pid
        client.shutdown()
    except GONE:
        return False
    deadline = time.monotonic() + STOP_S
    while time.monotonic() < deadline:
        if not _listens(socket) and not is_there(pid):
            return True
        time.sleep(POLL_S)
    if not _listens(socket):
        return True  # a zombie that its parent never reaps, or another process has its number now
    raise DaemonError(
        f"the daemon still listens {STOP_S:.0f} s after it was asked to end", hint="see storectl daemon logs"
    )


def own_folder(folder: str) -> None:
    """Make a folder for this user alone if there is none; DaemonOwnerError if it belongs to another user."""
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        status = os.lstat(folder)
    except OSError as error:
        raise DaemonStartError(
            f"cannot make {folder}: {error.strerror}", hint="the daemon's log goes there: make it yours, or remove it"
        ) from None
    if status.st_uid != os.geteuid():
        raise DaemonOwnerError(
            f"{folder} belongs to user {status.st_uid}",
            hint=f"if a command under sudo made it: sudo chown -R {os.geteuid()}:{os.getegid()} {folder}",
        )


@contextmanager
def _start_lock(store: str, give_up: Callable[[], bool]) -> Iterator[None]:
    """Hold the lock that only one starter can have. Without it, if ``give_up`` says meanwhile that it is not needed.

    Makes no file in a folder that is not a store: the daemon is about to report that folder.
    """
    if not may_be_store(store):
        yield
        return
    path = os.path.join(store, "start.lock")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        deadline = time.monotonic() + LOCK_S
        while not _try_lock(descriptor):
            if time.monotonic() > deadline:
                raise DaemonStartError(
                    f"another command has been starting the daemon for {LOCK_S:.0f} s", hint="see storectl daemon logs"
                )
            if give_up():
                break
            time.sleep(POLL_S)
        yield
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _listens(socket: str) -> bool:
    try:
        check_listener(socket)
    except DaemonNotRunningError:
        return False
    return True


def _answers(environ: Mapping[str, str]) -> bool:
    try:
        _reached(environ)
    except GONE:
        return False
    except DaemonError:
        return True  # there is a daemon; its fault is reported later, not by the start
    return True


def _start(command: Sequence[str], environ: Mapping[str, str]) -> None:
    """Start the daemon and wait until it answers; DaemonStartError if it ends before that, or takes too long."""
    import subprocess  # noqa: PLC0415 - only a start pays for it

    log = log_path(environ)
    own_folder(os.path.dirname(log))
    alive, held = os.pipe()
    try:
        with open(log, "ab", opener=lambda path, flags: os.open(path, flags, 0o600)) as output:
            before = output.tell()
            subprocess.run(
                [sys.executable, "-I", "-S", "-c", DETACH, *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
                env=own_variables(environ),
                pass_fds=[held],
                start_new_session=True,
                check=True,
            )
        os.close(held)
        held = -1
        import storectl.daemon.client  # noqa: F401, PLC0415 - while the daemon loads what it needs

        _wait_until_well(alive, environ, log, before)
    except (OSError, subprocess.CalledProcessError) as error:
        raise DaemonStartError(f"cannot start the daemon: {error}", hint=f"its log is {log}") from None
    finally:
        os.close(alive)
        if held >= 0:
            os.close(held)


def _wait_until_well(alive: int, environ: Mapping[str, str], log: str, before: int) -> None:
    """Wait until the daemon answers. ``alive`` is readable once its process is gone."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if _answers(environ):
            return
        ended, _, _ = select.select([alive], [], [], POLL_S)
        if ended:
            if _answers(environ):  # the daemon of another command was quicker
                return
            raise DaemonStartError(f"the daemon ended at once: {_last_line(log, before)}", hint=f"its log is {log}")
    raise DaemonStartError(
        f"the daemon does not answer {START_S:.0f} s after its start: {_last_line(log, before)}",
        hint=f"its log is {log}",
    )


def _last_line(log: str, before: int) -> str:
    """The last line that was written to the log after its first ``before`` bytes."""
    with open(log, "rb") as file:
        file.seek(before)
        lines = [line for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    return lines[-1].strip() if lines else "it wrote nothing to its log"
