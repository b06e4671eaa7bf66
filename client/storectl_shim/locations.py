"""Where the store, the state, the socket and the log are; the command line and the daemon both ask here.

    store   $STORECTL_STORE, else $XDG_DATA_HOME/storectl, else ~/.local/share/storectl
            (macOS: ~/Library/Application Support/storectl)
    state   $XDG_STATE_HOME/storectl, else ~/.local/state/storectl, else <store>/state if nothing can be kept there
    socket  daemon-<name>.sock in the first of $XDG_RUNTIME_DIR/storectl, the state folder and <store>/state that this
            user can use; in /tmp/storectl-<uid>/ if that path would be too long
    log     <state>/daemon-<name>.log

``<name>`` is 12 hex digits of the sha256 of the store's real path: each store has a daemon, socket and log of its
own. As the XDG base directory specification says, a relative path in an XDG variable counts as not set. ``~`` is
HOME, or what the user database says if there is no HOME. Root takes the database's word also if HOME belongs to
another user (``sudo`` may keep it), who could not change what root left there. ``client/launcher/storectl`` holds the
rule for the store in ``sh``.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # importing typing takes longer than all of this
if TYPE_CHECKING:
    from collections.abc import Mapping

SOCKET_PATH_LIMIT = 103 if sys.platform == "darwin" else 107
"""Bytes of a Unix socket's path: ``sun_path`` has 108 on Linux and 104 on macOS, with the final NUL."""


class NoHomeError(Exception):
    """There is no home folder: no absolute HOME, and no entry in the user database. The text says so in one line."""

    hint = "set STORECTL_STORE to a folder of your own"


def store_folder(environ: Mapping[str, str]) -> str:
    """The absolute folder of the store; NoHomeError if no variable says it and there is no home folder."""
    own = environ.get("STORECTL_STORE")
    if own:
        return os.path.abspath(own)
    data = _xdg(environ, "XDG_DATA_HOME")
    if data is not None:
        return os.path.join(data, "storectl")
    if sys.platform == "darwin":
        return os.path.join(home_folder(environ), "Library", "Application Support", "storectl")
    return os.path.join(home_folder(environ), ".local", "share", "storectl")


def state_folder(environ: Mapping[str, str]) -> str:
    """The absolute folder of the log, of the locks of tools and scripts and, if there is no other, of the socket."""
    try:
        state = _xdg(environ, "XDG_STATE_HOME") or os.path.join(home_folder(environ), ".local", "state")
    except NoHomeError:
        return _state_in_store(environ)
    folder = os.path.join(state, "storectl")
    inside = _state_in_store(environ)
    return inside if not can_keep(folder) and can_keep(inside) else folder


def config_folder(environ: Mapping[str, str]) -> str:
    """The absolute folder of settings: $XDG_CONFIG_HOME/storectl, else ~/.config/storectl, else NoHomeError."""
    config = _xdg(environ, "XDG_CONFIG_HOME")
    return os.path.join(config if config is not None else os.path.join(home_folder(environ), ".config"), "storectl")


def socket_path(environ: Mapping[str, str]) -> str:
    """Where a daemon listens if no file of the store says otherwise: the first of ``socket_paths``."""
    return socket_paths(environ)[0]


def socket_paths(environ: Mapping[str, str]) -> list[str]:
    """Where the store's daemon may listen, the best path first; none is longer than ``SOCKET_PATH_LIMIT`` bytes."""
    runtime = _xdg(environ, "XDG_RUNTIME_DIR")
    folders = [os.path.join(runtime, "storectl")] if runtime is not None else []
    folders += [state_folder(environ), _state_in_store(environ)]
    name = f"daemon-{store_name(store_folder(environ))}.sock"
    usable = [folder for folder in dict.fromkeys(folders) if can_keep(folder)] or folders[-1:]
    return list(dict.fromkeys(_short(os.path.join(folder, name)) for folder in usable))


def log_path(environ: Mapping[str, str]) -> str:
    """The absolute path of the daemon's log."""
    name = f"daemon-{store_name(store_folder(environ))}.log"
    path, inside = (os.path.join(folder, name) for folder in (state_folder(environ), _state_in_store(environ)))
    return inside if os.path.exists(path) and not os.access(path, os.W_OK) else path


def store_name(store: str) -> str:
    """The name of a store in those of sockets and logs: 12 hex digits, made of its path without links."""
    import hashlib  # 3 ms that a program with a ready environment never pays

    return hashlib.sha256(os.fsencode(os.path.realpath(store))).hexdigest()[:12]


def can_keep(folder: str) -> bool:
    """Whether this user can write in the folder, or make it, and no other user owns it.

    Root could write anywhere, but a folder below another user's is not root's.
    """
    there = folder
    while not os.path.lexists(there) and os.path.dirname(there) != there:
        there = os.path.dirname(there)
    try:
        owner = os.stat(there).st_uid
    except OSError:
        return False
    own = owner == os.geteuid() if there == folder or os.geteuid() == 0 else True
    return own and os.path.isdir(there) and os.access(there, os.W_OK | os.X_OK)


def home_folder(environ: Mapping[str, str]) -> str:
    """The home folder of this user; NoHomeError if there is none."""
    home = environ.get("HOME", "")
    if os.path.isabs(home) and not (os.geteuid() == 0 and _is_of_another(home)):
        return home
    import pwd  # only if HOME cannot be used

    try:
        known = pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError:
        known = ""
    if not os.path.isabs(known):
        raise NoHomeError(f"there is no HOME, and the user database has no home folder of user {os.geteuid()}")
    return known


def _is_of_another(home: str) -> bool:
    """Whether the folder is there and belongs to a user who is not root."""
    try:
        return os.stat(home).st_uid != 0
    except OSError:
        return False


def _state_in_store(environ: Mapping[str, str]) -> str:
    return os.path.join(store_folder(environ), "state")


def _short(path: str) -> str:
    if len(os.fsencode(path)) <= SOCKET_PATH_LIMIT:
        return path
    name = os.path.basename(path)
    return os.path.join(f"/tmp/storectl-{os.geteuid()}", name)  # noqa: S108 - its owner is checked


def _xdg(environ: Mapping[str, str], name: str) -> str | None:
    value = environ.get(name, "")
    return value if os.path.isabs(value) else None
