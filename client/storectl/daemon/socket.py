"""The daemon's socket, before any request: to whom it belongs, and whether a process listens on it.

This loads no HTTP. If no daemon listens, HTTP is loaded while a new one starts; it takes a third of that time.
"""

import _socket
import os
import stat

from storectl.errors import DaemonNotRunningError, DaemonOwnerError, DaemonTimeoutError
from storectl_shim.store_daemon import StoreDaemon

CONNECT_S = 1.0


def check_owner(path: str) -> None:
    """DaemonNotRunningError if there is no socket; DaemonOwnerError if it belongs neither to this user nor to root."""
    for place in (os.path.dirname(path), path):
        try:
            status = os.lstat(place)
        except OSError:
            raise DaemonNotRunningError(f"no daemon: there is no {path}", hint="storectl daemon start") from None
        if status.st_uid not in (os.geteuid(), 0):
            raise DaemonOwnerError(
                f"{place} belongs to user {status.st_uid}: a daemon behind it is not ours",
                hint="set XDG_RUNTIME_DIR or XDG_STATE_HOME to folders of your own",
                owner=status.st_uid,
            )
    if not stat.S_ISSOCK(status.st_mode):
        raise DaemonNotRunningError(f"{path} is no socket", hint="remove it, then storectl daemon start")


def check_listener(path: str) -> None:
    """DaemonNotRunningError if no process listens on the socket. HTTP would find that out too, but later."""
    probe = _socket.socket(_socket.AF_UNIX)
    probe.settimeout(CONNECT_S)
    try:
        probe.connect(path)
    except TimeoutError:
        raise stuck(path) from None
    except OSError as error:
        raise DaemonNotRunningError(
            f"no daemon answers on {path}: {error.strerror}", hint="storectl daemon start"
        ) from None
    finally:
        probe.close()


def stuck(path: str) -> DaemonTimeoutError:
    """The error for a daemon that misses a deadline."""
    return DaemonTimeoutError(
        f"the daemon on {path} is there and does not answer",
        hint="it may be stopped or stuck: look at its log (storectl daemon logs), end its process, try again",
    )


def unreachable(daemon: StoreDaemon) -> DaemonTimeoutError:
    """The error for a daemon that the store names, and whose process lives, but whose socket is gone."""
    return DaemonTimeoutError(
        f"the store's daemon, process {daemon.pid}, cannot be reached at {daemon.socket}",
        hint=f"it may be stopped or stuck: end it (kill {daemon.pid}); the next command starts another",
    )
