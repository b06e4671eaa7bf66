"""Where the store, the state, the socket and the log are: the one answer for the launcher, the command line and the daemon.

    store   $STORECTL_STORE, else $XDG_DATA_HOME/storectl, else ~/.local/share/storectl
            (macOS: ~/Library/Application Support/storectl)
    state   $XDG_STATE_HOME/storectl, else ~/.local/state/storectl
    socket  $XDG_RUNTIME_DIR/storectl/daemon.sock, else the state folder's; ``daemon-<12 hex>.sock`` where STORECTL_STORE
            is set, from the sha256 of the store's real path; in /tmp/storectl-<uid>/ where that path would be too long
    log     <state>/daemon.log, or daemon-<12 hex>.log

As the XDG base directory specification has it, a relative path in an XDG variable counts as not set.
``client/launcher/storectl`` holds the same rules in ``sh``.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # importing typing takes longer than all of this
if TYPE_CHECKING:
    from collections.abc import Mapping

SOCKET_PATH_LIMIT = 103 if sys.platform == "darwin" else 107
"""Bytes of a Unix socket's path: ``sun_path`` has 108 on Linux and 104 on macOS, with the final NUL."""


def store_folder(environ: Mapping[str, str]) -> str:
    """The absolute folder of the store."""
    own = environ.get("STORECTL_STORE")
    if own:
        return os.path.abspath(own)
    data = _xdg(environ, "XDG_DATA_HOME")
    if data is not None:
        return os.path.join(data, "storectl")
    if sys.platform == "darwin":
        return os.path.join(_home(environ), "Library", "Application Support", "storectl")
    return os.path.join(_home(environ), ".local", "share", "storectl")


def state_folder(environ: Mapping[str, str]) -> str:
    """The absolute folder of the log, of the lock that starts the daemon and, without a runtime folder, of the socket."""
    state = _xdg(environ, "XDG_STATE_HOME")
    return os.path.join(state if state is not None else os.path.join(_home(environ), ".local", "state"), "storectl")


def socket_path(environ: Mapping[str, str]) -> str:
    """The absolute path of the daemon's socket, never longer than ``SOCKET_PATH_LIMIT`` bytes."""
    runtime = _xdg(environ, "XDG_RUNTIME_DIR")
    folder = os.path.join(runtime, "storectl") if runtime is not None else state_folder(environ)
    name = f"daemon{_store_suffix(environ)}.sock"
    path = os.path.join(folder, name)
    if len(os.fsencode(path)) <= SOCKET_PATH_LIMIT:
        return path
    return os.path.join(f"/tmp/storectl-{os.getuid()}", name)  # noqa: S108 - daemon and client check the folder's owner


def log_path(environ: Mapping[str, str]) -> str:
    """The absolute path of the daemon's log."""
    return os.path.join(state_folder(environ), f"daemon{_store_suffix(environ)}.log")


def _store_suffix(environ: Mapping[str, str]) -> str:
    """Empty for the default store; ``-<12 hex>`` for one that STORECTL_STORE names."""
    if not environ.get("STORECTL_STORE"):
        return ""
    import hashlib  # only a store of one's own pays for it

    return "-" + hashlib.sha256(os.fsencode(os.path.realpath(store_folder(environ)))).hexdigest()[:12]


def _xdg(environ: Mapping[str, str], name: str) -> str | None:
    value = environ.get(name, "")
    return value if os.path.isabs(value) else None


def _home(environ: Mapping[str, str]) -> str:
    home = environ.get("HOME", "")
    if os.path.isabs(home):
        return home
    import pwd  # only where HOME is unset

    return pwd.getpwuid(os.getuid()).pw_dir
