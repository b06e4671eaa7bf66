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
