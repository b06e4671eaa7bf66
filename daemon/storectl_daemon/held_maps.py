"""Import maps in memory as complete HTTP answers: in files that the kernel can send without copying them.

A map of 300 wheels has 800 KB. ``sendfile`` from a file in memory lends its pages to the connection, while ``send``
copies them into buffers. Nor do these pages count as memory of this process.
"""

import os
import socket
import weakref
from collections import OrderedDict
from pathlib import Path
from typing import Protocol

_KEPT_BYTES = 16 << 20
_KEPT_MAPS = 64
"""The most maps that are kept. Each may be an open file, and a process may usually have a thousand of those."""

_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"


class HeldMap(Protocol):
    """One map with its HTTP head. ``size`` is the number of bytes of the whole answer."""

    size: int

    def send(self, connection: socket.socket, start: int) -> int:
        """Send the answer from byte ``start`` on, as far as the kernel takes it at once. Returns the bytes sent.

        Raises OSError as ``socket.send`` does: BlockingIOError if no byte could be sent.
        """

    def content(self) -> bytes:
        """The map without the head."""


class FileInMemory:
    """A map in a file without a folder: ``memfd_create(2)``, Linux. Raises OSError if none can be made."""

    def __init__(self, content: bytes) -> None:
        self._descriptor = os.memfd_create("storectl-import-map", os.MFD_CLOEXEC)
        weakref.finalize(self, os.close, self._descriptor)  # an answer may still be under way when the map is dropped
        head = _HEAD % len(content)
        self._start, self.size = len(head), len(head) + len(content)
        with open(self._descriptor, "wb", closefd=False) as file:
            file.write(head)
            file.write(content)

    def send(self, connection: socket.socket, start: int) -> int:
        """Send the answer from byte ``start`` on; see ``HeldMap.send``. Uses ``sendfile``."""
        return os.sendfile(connection.fileno(), self._descriptor, start, self.size - start)

    def content(self) -> bytes:
        """The map without the head."""
        return os.pread(self._descriptor, self.size - self._start, self._start)


class Bytes:
    """A map in the memory of this process, for systems without files in memory."""

    def __init__(self, content: bytes) -> None:
        head = _HEAD % len(content)
        self._start, self._answer = len(head), head + content
        self.size = len(self._answer)

    def send(self, connection: socket.socket, start: int) -> int:
        """Send the answer from byte ``start`` on; see ``HeldMap.send``."""
        return connection.send(memoryview(self._answer)[start:])

    def content(self) -> bytes:
        """The map without the head."""
        return self._answer[self._start :]


def hold(content: bytes) -> HeldMap:
    """The map in a file in memory; if the system has none, in the memory of this process."""
    try:
        return FileInMemory(content)
    except (OSError, AttributeError):  # not on this system, or a sandbox forbids it
        return Bytes(content)


class HeldMaps:
    """The maps that were asked for lately. A map is read again if its file has been replaced."""

    def __init__(self, *, limit: int = _KEPT_BYTES, most: int = _KEPT_MAPS) -> None:
        self._limit = limit
        self._most = most
        self._kept: OrderedDict[str, tuple[int, HeldMap]] = OrderedDict()

    def held(self, path: str) -> HeldMap:
        """The map in the file at this path. Raises OSError if it cannot be read."""
        try:
            inode = os.stat(path).st_ino
            kept = self._kept.get(path)
            if kept is not None and kept[0] == inode:
                self._kept.move_to_end(path)
                return kept[1]
            made = hold(Path(path).read_bytes())
        except OSError:
            self._kept.pop(path, None)
            raise
        self._keep(path, inode, made)
        return made

    def _keep(self, path: str, inode: int, made: HeldMap) -> None:
        self._kept[path] = (inode, made)
        while len(self._kept) > 1 and self._too_much():
            self._kept.popitem(last=False)

    def _too_much(self) -> bool:
        return len(self._kept) > self._most or sum(kept.size for _, kept in self._kept.values()) > self._limit
