"""Who is at the other end of a Unix socket."""

import ctypes
import os
import socket
import struct

_UCRED = struct.Struct("=iII")
"""``struct ucred`` of Linux: pid, uid, gid."""


def peer_uid(connection: socket.socket) -> int:
    """The user id of the process that connected, as the kernel saw it then. OSError where it cannot tell."""
    option: int | None = getattr(socket, "SO_PEERCRED", None)
    if option is not None:
        credentials = connection.getsockopt(socket.SOL_SOCKET, option, _UCRED.size)
        return int(_UCRED.unpack(credentials)[1])
    return _getpeereid(connection.fileno())


def _getpeereid(descriptor: int) -> int:
    """``getpeereid(3)``, which macOS and the BSDs make of LOCAL_PEERCRED."""
    library = ctypes.CDLL(None, use_errno=True)
    uid, gid = ctypes.c_uint32(), ctypes.c_uint32()
    if library.getpeereid(descriptor, ctypes.byref(uid), ctypes.byref(gid)) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return uid.value


class Gate:
    """Lets in connections of this user and of root, at most ``limit`` a user at a time."""

    def __init__(self, *, limit: int, allowed: frozenset[int] | None = None) -> None:
        self._limit = limit
        self._allowed = allowed if allowed is not None else frozenset({os.geteuid(), 0})
        self._open: dict[int, int] = {}

    @property
    def connections(self) -> int:
        """How many are open."""
        return sum(self._open.values())

    def enter(self, connection: socket.socket) -> int | None:
        """The user id of a connection that may stay, to be given to ``leave``; None for one that may not."""
        try:
            uid = peer_uid(connection)
        except OSError:
            return None
        if uid not in self._allowed or self._open.get(uid, 0) >= self._limit:
            return None
        self._open[uid] = self._open.get(uid, 0) + 1
        return uid

    def leave(self, uid: int) -> None:
        """The connection is closed."""
        self._open[uid] -= 1
