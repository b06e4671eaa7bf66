"""Import maps as they are answered, head and all: files in memory, from which the kernel takes them without copying.

A map of 300 wheels has 800 KB. ``sendfile`` from a file that lives in memory lends its pages to the connection, where
``send`` copies them into buffers; nor are they part of this process.
"""

import os
import socket
import weakref
from collections import OrderedDict
from pathlib import Path
from typing import Protocol

_KEPT_BYTES = 16 << 20
_KEPT_MAPS = 64
"""Each may be an open file, of which a process has a thousand as a rule."""

_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"


class HeldMap(Protocol):
    """One map. ``size`` are the bytes of the whole answer."""

    size: int

    def send(self, connection: socket.socket, start: int) -> int:
        """Send the answer from this byte on, as far as the kernel takes it at once; how many bytes went.

        OSError as ``send`` has it: BlockingIOError where none went.
        """

    def content(self) -> bytes:
        """The map without the head."""


class FileInMemory:
    """A map in a file of no folder; ``memfd_create(2)``, Linux. OSError where there can be none."""

    def __init__(self, content: bytes) -> None:
        self._descriptor = os.memfd_create("storectl-import-map", os.MFD_CLOEXEC)
        weakref.finalize(self, os.close, self._descriptor)  # an answer may be under way when the map is no longer kept
        head = _HEAD % len(content)
        self._start, self.size = len(head), len(head) + len(content)
        with open(self._descriptor, "wb", closefd=False) as file:
            file.write(head)
            file.write(content)

    def send(self, connection: socket.socket, start: int) -> int:
        """As ``HeldMap`` says."""
        return os.sendfile(connection.fileno(), self._descriptor, start, self.size - start)

    def content(self) -> bytes:
        """As ``HeldMap`` says."""
        return os.pread(self._descriptor, self.size - self._start, self._start)


class Bytes:
    """A map in this process, where there are no files in memory."""

    def __init__(self, content: bytes) -> None:
        head = _HEAD % len(content)
        self._start, self._answer = len(head), head + content
        self.size = len(self._answer)

    def send(self, connection: socket.socket, start: int) -> int:
        """As ``HeldMap`` says."""
        return connection.send(memoryview(self._answer)[start:])

    def content(self) -> bytes:
        """As ``HeldMap`` says."""
        return self._answer[self._start :]


def hold(content: bytes) -> HeldMap:
    """The map in the best way that this system has."""
    try:
        return FileInMemory(content)
    except (OSError, AttributeError):  # a sandbox, or a system, without
        return Bytes(content)


class HeldMaps:
    """The maps that were asked for lately, each as long as its file is the one that was read."""

    def __init__(self, *, limit: int = _KEPT_BYTES, most: int = _KEPT_MAPS) -> None:
        self._limit = limit
        self._most = most
        self._kept: OrderedDict[str, tuple[int, HeldMap]] = OrderedDict()

    def held(self, path: str) -> HeldMap:
        """The map in this file; OSError where it cannot be read."""
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
