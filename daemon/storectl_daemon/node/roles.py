"""Who is at the other end, and what that account may do. The kernel says it, of the moment when it connected.

A process in a user namespace whose account has no name outside of it shows as the overflow uid. Nobody can tell who
that is, so it has no role. The service must therefore not run in a user namespace of its own.
"""

import ctypes
import errno
import os
import pwd
import socket
import struct
import sys
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from storectl_daemon.errors import DaemonError
from storectl_daemon.node.policy import NodeRoles
from storectl_daemon.process.peer import peer_uid
from storectl_store.entries.trusted_path import OVERFLOW_UID, overflow_uid

Role = Literal["reader", "writer", "admin"]

_SO_PEERGROUPS = 59
"""Of Linux 4.13: the supplementary groups of the peer, as gids. Python has no name for it."""

_MOST_BYTES = 1024
"""What Python's ``getsockopt`` has room for."""

_MOST_GROUPS = 65536
"""Linux's NGROUPS_MAX."""

_GID = 4  # bytes


class RoleError(DaemonError):
    """The account may not do what it asks for; ``facts['uid']``."""

    default_code = "E_ROLE"
    default_hint = "ask whoever administrates this machine; docs/many-users.md tells how roles are given"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account that has connected. ``groups`` are gids."""

    uid: int
    groups: frozenset[int]

    @property
    def name(self) -> str:
        """Its name, or its number if it has none. May block."""
        with suppress(KeyError):
            return pwd.getpwuid(self.uid).pw_name
        return str(self.uid)


def account_of(connection: socket.socket) -> Account:
    """The account at the other end. Raises OSError if the kernel cannot tell."""
    return Account(uid=peer_uid(connection), groups=_peer_groups(connection))


def _peer_groups(connection: socket.socket) -> frozenset[int]:
    """The supplementary groups, and the first one. None at all where the system has no such option."""
    if sys.platform != "linux":
        return frozenset()
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    (first,) = struct.unpack_from("=I", credentials, 8)
    try:
        data = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _MOST_BYTES)
    except OSError as error:
        if error.errno != errno.ERANGE:
            raise
        data = _many_groups(connection.fileno())
    return frozenset({first, *struct.unpack(f"={len(data) // _GID}I", data)})


def _many_groups(descriptor: int) -> bytes:
    """The answer of the same call, for more groups than Python has room for."""
    data, size = ctypes.create_string_buffer(_MOST_GROUPS * _GID), ctypes.c_uint32(_MOST_GROUPS * _GID)
    library = ctypes.CDLL(None, use_errno=True)
    if library.getsockopt(descriptor, socket.SOL_SOCKET, _SO_PEERGROUPS, data, ctypes.byref(size)) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return data.raw[: size.value]


class Roles:
    """The roles of accounts, by the policy. Root and the account of the service are admins."""

    def __init__(self, roles: NodeRoles) -> None:
        self._roles = roles
        self._nobody = {OVERFLOW_UID, overflow_uid()}
        self._admins = roles.admins | {0, os.geteuid()}

    def has(self, account: Account, role: Role) -> bool:
        """Whether the account has the role. An admin is a writer, a writer is a reader."""
        if account.uid in self._nobody:
            return False
        if account.uid in self._admins:
            return True
        writes = _is_member(account, self._roles.writers)
        reads = _is_member(account, self._roles.readers)
        return {"reader": reads or writes, "writer": writes, "admin": False}[role]

    def check(self, account: Account, role: Role) -> None:
        """Raise RoleError unless the account has the role."""
        if not self.has(account, role):
            raise RoleError(f"account {account.uid} is no {role} of this store", uid=account.uid)


def _is_member(account: Account, groups: Collection[int] | None) -> bool:
    return groups is None or not account.groups.isdisjoint(groups)
