"""Finding the store's daemon, and starting it when a command needs it: one, however many commands need it at once.

The store says where its daemon listens (``storectl_shim.store_daemon``), whatever variables it was started with; if it
says nothing, a service manager may listen for it at the usual place. If none is there, commands take an flock on
``start.lock`` in the store, look again, and the first of them starts the daemon. It is no child of the command: the
command is about to become somebody's program, and that must not find a strange child. So that an early end is seen all
the same, the daemon holds one end of a pipe for as long as it lives.
"""

import fcntl
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
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
from storectl.isolation import FLAGS
from storectl_shim.locations import log_path, socket_path, store_folder
from storectl_shim.own_variables import own_variables
from storectl_shim.store_daemon import StoreDaemon, is_there, read_store_daemon

if TYPE_CHECKING:
    from storectl.daemon.client import DaemonClient

START_S = 10.0
"""How long a new daemon may take until it answers."""

LOCK_S = 2 * START_S
"""How long another command may take to start it."""

STOP_S = 10.0

BIND_S = 5.0
"""How long a daemon may take to see that its socket is gone, and to listen at another place."""

STORE_GONE = "E_STORE_GONE"
"""What a daemon answers whose store was deleted or replaced: it leaves, and the next one makes the store anew."""

POLL_S = 0.02

GONE = (DaemonNotRunningError, DaemonGoneError)
"""What is found of a daemon that has been killed: no listener, or for a moment one that answers nobody."""

DETACH = "import os, sys; os.fork() or os.execv(sys.argv[1], sys.argv[1:])"
"""What runs in between: the daemon's parent ends at once, so that the daemon becomes a child of init."""


def running_daemon(environ: Mapping[str, str]) -> "DaemonClient":
    """The store's daemon; DaemonNotRunningError if none is running, DaemonTimeoutError for one that cannot be reached.

    A daemon whose socket is gone listens again in a moment, and is waited for.
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
    """The daemon where the store says it is, else where a service manager would listen for it."""
    known = read_store_daemon(store_folder(environ))
    path = known.socket if known is not None and known.may_answer else socket_path(environ)
    check_owner(path)
    check_listener(path)
    from storectl.daemon.client import DaemonClient  # noqa: PLC0415 - HTTP, of no use where nobody listens

    client = DaemonClient(path, environ=environ)
    try:
        client.health()
    except DaemonProblemError as error:
        client.close()
        if error.code != STORE_GONE:
            raise
        raise DaemonGoneError(error.message, hint=error.hint) from None
    except BaseException:
        client.close()
        raise
    return client


def ensure_daemon(environ: Mapping[str, str], command: Sequence[str] | None = None) -> "DaemonClient":
    """The daemon of this environment's store, started if none is running; ClientError if that fails.

    ``command`` is what to start instead of storectl's own daemon.
    """
    store = store_folder(environ)
    check_store_owner(store)
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
        with running_daemon(environ) as client:
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
        return True  # a zombie nobody reaps, or its number was given to another
    raise DaemonError(
        f"the daemon still listens {STOP_S:.0f} s after it was asked to end", hint="see storectl daemon logs"
    )


def own_folder(folder: str) -> None:
    """Make a folder for this user alone if there is none; DaemonOwnerError if it is somebody else's."""
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
    """Hold the lock that only one starter has; without it once ``give_up`` says that it is not needed any more.

    Nothing is left in a folder that is no store: the daemon is about to say so.
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
        _reached(environ).close()
    except GONE:
        return False
    except DaemonError:
        return True  # there is one, and what is wrong with it is not for the starter to tell
    return True


def _start(command: Sequence[str], environ: Mapping[str, str]) -> None:
    """Start the daemon and wait until it answers; DaemonStartError where it ends first or takes too long."""
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
            if _answers(environ):  # somebody else's daemon was quicker
                return
            raise DaemonStartError(f"the daemon ended at once: {_last_line(log, before)}", hint=f"its log is {log}")
    raise DaemonStartError(
        f"the daemon does not answer {START_S:.0f} s after its start: {_last_line(log, before)}",
        hint=f"its log is {log}",
    )


def _last_line(log: str, before: int) -> str:
    """The last line that was written to the log after its first ``before`` bytes."""
    lines = [line for line in Path(log).read_bytes()[before:].decode(errors="replace").splitlines() if line.strip()]
    return lines[-1].strip() if lines else "it wrote nothing to its log"
