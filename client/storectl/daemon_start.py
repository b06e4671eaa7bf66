"""Starting the daemon when a command needs it: one, however many commands need it at once.

Commands take an flock on ``start.lock`` beside the socket, look again, and the first of them starts the daemon. It is no
child of the command: the command is about to become somebody's program, and that must not find a strange child. So that
an early end is seen all the same, the daemon holds one end of a pipe for as long as it lives.
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

from storectl.daemon_socket import check_listener, check_owner
from storectl.errors import DaemonError, DaemonGoneError, DaemonNotRunningError, DaemonOwnerError, DaemonStartError
from storectl_shim.locations import log_path, socket_path

if TYPE_CHECKING:
    from storectl.daemon_client import DaemonClient

START_S = 10.0
"""How long a new daemon may take until it answers."""

LOCK_S = 2 * START_S
"""How long another command may take to start it."""

STOP_S = 10.0

POLL_S = 0.02

GONE = (DaemonNotRunningError, DaemonGoneError)
"""What is found of a daemon that has been killed: no listener, or for a moment one that answers nobody."""

DETACH = "import os, sys; os.fork() or os.execv(sys.argv[1], sys.argv[1:])"
"""What runs in between: the daemon's parent ends at once, so that the daemon becomes a child of init."""


def running_daemon(environ: Mapping[str, str]) -> "DaemonClient":
    """The daemon that is there; DaemonNotRunningError where none is."""
    path = socket_path(environ)
    check_owner(path)
    check_listener(path)
    from storectl.daemon_client import DaemonClient  # noqa: PLC0415 - HTTP, of no use where nobody listens

    client = DaemonClient(path, environ=environ)
    try:
        client.health()
    except BaseException:
        client.close()
        raise
    return client


def ensure_daemon(environ: Mapping[str, str], command: Sequence[str] | None = None) -> "DaemonClient":
    """The daemon of this environment, started where none is running; DaemonError where that fails.

    ``command`` is what to start instead of storectl's own daemon.
    """
    try:
        return running_daemon(environ)
    except GONE:
        pass
    socket = socket_path(environ)
    folder = os.path.dirname(socket)
    own_folder(folder)
    with _start_lock(os.path.join(folder, "start.lock"), lambda: _answers(environ)):
        try:
            return running_daemon(environ)
        except GONE:
            _start(command or daemon_command(environ), environ)
            return running_daemon(environ)


def daemon_command(environ: Mapping[str, str]) -> list[str]:
    """The command line of storectl's daemon. -P: the folder it is started in is nobody's code."""
    return [sys.executable, "-P", "-m", "storectl", "daemon", "--log-file", log_path(environ)]


def stop_daemon(environ: Mapping[str, str]) -> bool:
    """End the daemon and wait until it is gone; False where none was running."""
    try:
        with running_daemon(environ) as client:
            pid = client.health().pid
            client.shutdown()
    except DaemonNotRunningError:
        return False
    deadline = time.monotonic() + STOP_S
    while time.monotonic() < deadline:
        if not _listens(environ) and not _lives(pid):
            return True
        time.sleep(POLL_S)
    if not _listens(environ):
        return True  # a zombie nobody reaps, or its number was given to another
    raise DaemonError(
        f"the daemon still listens {STOP_S:.0f} s after it was asked to end", hint="see storectl daemon logs"
    )


def own_folder(folder: str) -> None:
    """Make a folder for this user alone where there is none; DaemonOwnerError where it is somebody else's."""
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        status = os.lstat(folder)
    except OSError as error:
        raise DaemonStartError(
            f"cannot make {folder}: {error.strerror}", hint="the daemon's socket goes there"
        ) from None
    if status.st_uid != os.geteuid():
        raise DaemonOwnerError(
            f"{folder} belongs to user {status.st_uid}",
            hint="set XDG_RUNTIME_DIR or XDG_STATE_HOME to folders of your own",
        )


@contextmanager
def _start_lock(path: str, give_up: Callable[[], bool]) -> Iterator[None]:
    """Hold the lock that only one starter has; without it once ``give_up`` says that it is not needed any more."""
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


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _listens(environ: Mapping[str, str]) -> bool:
    try:
        check_listener(socket_path(environ))
    except DaemonNotRunningError:
        return False
    return True


def _answers(environ: Mapping[str, str]) -> bool:
    try:
        running_daemon(environ).close()
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
                env=dict(environ),
                pass_fds=[held],
                start_new_session=True,
                check=True,
            )
        os.close(held)
        held = -1
        import storectl.daemon_client  # noqa: F401, PLC0415 - while the daemon loads what it needs

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
