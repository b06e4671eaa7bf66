"""The file of a store that names its daemon: it is found by the store, whatever variables it was started with.

    <store>/daemon      0600, written by the daemon that holds the store's lock, removed at its end
      <absolute path of its socket>
      storectl-daemon 1
      process <process id>
      identity <boot id>.<start, in clock ticks after boot>      empty if there is no /proc

    <store>/daemon.sh   the same for the launcher, which executes it: `_storectl_socket='<absolute path>'`

A shell reads a file that it executes in one block, but byte by byte what its ``read`` reads. Only the lock says whether
there is a writer: a daemon that was killed leaves these files behind, and ``lives`` tells.
"""

from __future__ import annotations

import os

NAME = "daemon"
LAUNCHER_NAME = "daemon.sh"
FORMAT = "storectl-daemon 1"


class StoreDaemon:
    """What a store says of its daemon: the socket's absolute path, the process, and what tells it from later ones."""

    __slots__ = ("identity", "pid", "socket")

    def __init__(self, *, socket: str, pid: int, identity: str) -> None:
        self.socket = socket
        self.pid = pid
        self.identity = identity

    @property
    def lives(self) -> bool:
        """Whether the process that wrote the file is known to be there: another one may have its number by now."""
        return bool(self.identity) and self.identity == identity_of(self.pid)

    @property
    def may_answer(self) -> bool:
        """Whether it makes sense to connect: the daemon lives, or the system does not tell and its socket is there."""
        return self.lives or (not self.identity and os.path.exists(self.socket))

    def text(self) -> bytes:
        """The contents of the file."""
        lines = [self.socket, FORMAT, f"process {self.pid}", f"identity {self.identity}", ""]
        return os.fsencode("\n".join(lines))

    def text_for_launcher(self) -> bytes:
        """The contents of the launcher's file."""
        from storectl_shim.shortcuts import quoted  # only a daemon writes it

        return os.fsencode(f"_storectl_socket={quoted(self.socket)}\n")


def daemon_file(store: str) -> str:
    """The path of the file."""
    return os.path.join(store, NAME)


def launcher_file(store: str) -> str:
    """The path of the launcher's file."""
    return os.path.join(store, LAUNCHER_NAME)


def read_store_daemon(store: str) -> StoreDaemon | None:
    """What the store says of its daemon; None if it says nothing, or nothing that this version can read."""
    try:
        with open(daemon_file(store), "rb") as file:
            socket, version, process, identity, *_ = os.fsdecode(file.read(4096)).split("\n")
        pid = int(process[len("process ") :])
    except (OSError, ValueError):
        return None
    if version != FORMAT or not os.path.isabs(socket) or pid <= 0:
        return None
    return StoreDaemon(socket=socket, pid=pid, identity=identity[len("identity ") :])


def this_daemon(socket: str) -> StoreDaemon:
    """This process, as the daemon that listens on the socket."""
    return StoreDaemon(socket=socket, pid=os.getpid(), identity=identity_of(os.getpid()))


def identity_of(pid: int) -> str:
    """Boot and start of a process: they tell it from every other process with the same number.

    Empty if there is no such process, if it has ended and its parent has not asked how, or if the system does not tell.
    """
    from storectl_shim._storectl_pack import boot_id  # what only reads the file does without

    try:
        boot = boot_id()
        with open(f"/proc/{pid}/stat", "rb") as file:
            # proc(5): the name may hold anything and ends at the last parenthesis; field 3 is state, 22 starttime.
            fields = file.read().rpartition(b")")[2].split()
        return "" if not boot or fields[0] in (b"Z", b"X") else f"{boot}.{fields[19].decode('ascii')}"
    except (OSError, IndexError, UnicodeDecodeError):
        return ""


def is_there(pid: int) -> bool:
    """Whether there is a process with this number."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
