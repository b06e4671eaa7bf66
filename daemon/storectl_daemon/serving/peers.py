"""Who may stay that connects to the daemon's socket."""

import os
import socket

from storectl_daemon.process.peer import peer_uid


class Gate:
    """Lets in connections of this user and of root, at most ``limit`` for each user at a time."""

    def __init__(self, *, limit: int, allowed: frozenset[int] | None = None) -> None:
        self._limit = limit
        self._allowed = allowed if allowed is not None else frozenset({os.geteuid(), 0})
        self._open: dict[int, int] = {}

    @property
    def connections(self) -> int:
        """The number of open connections."""
        return sum(self._open.values())

    def enter(self, connection: socket.socket) -> int | None:
        """Count a connection in. Returns the user id, to be given to ``leave``; None if the connection may not stay."""
        try:
            uid = peer_uid(connection)
        except OSError:
            return None
        if uid not in self._allowed or self._open.get(uid, 0) >= self._limit:
            return None
        self._open[uid] = self._open.get(uid, 0) + 1
        return uid

    def leave(self, uid: int) -> None:
        """Count a connection of this user out, once it is closed."""
        self._open[uid] -= 1
