"""The user at the other end of a Unix socket."""

import ctypes
import os
import socket
import struct

_UCRED = struct.Struct("=iII")
"""``struct ucred`` of Linux: pid, uid, gid."""


def peer_uid(connection: socket.socket) -> int:
    """The user id of the process that connected, at the time it did. Raises OSError if the kernel cannot tell."""
    option: int | None = getattr(socket, "SO_PEERCRED", None)
    if option is not None:
        credentials = connection.getsockopt(socket.SOL_SOCKET, option, _UCRED.size)
        return int(_UCRED.unpack(credentials)[1])
    return _getpeereid(connection.fileno())


def _getpeereid(descriptor: int) -> int:
    """The user id by ``getpeereid(3)``, which macOS and the BSDs make of LOCAL_PEERCRED."""
    library = ctypes.CDLL(None, use_errno=True)
    uid, gid = ctypes.c_uint32(), ctypes.c_uint32()
    if library.getpeereid(descriptor, ctypes.byref(uid), ctypes.byref(gid)) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return uid.value


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
