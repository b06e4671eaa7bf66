"""TOML read block by block.

A changed lock file is mostly what it was before, so the tables of its blocks are remembered.

A block is one ``[[package]]`` (or ``[[packages]]``) table of the top, with the ``[package.…]`` tables below it, up to
the next header. Every other line of the file is read anew. The values are those of a decoder that reads the file as a
whole. If the blocks could mean something else together than alone, there is no answer, and the whole has to be read.
"""

import hashlib
import pickle
import threading
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import tomli

_FEWEST = 8  # below that, nothing is worth remembering
_MOST_BYTES = 4 << 20
_NAMES = ("package", "packages")
_LONGEST_HEADER = 16  # bytes of a line that tell which table it begins

Values = dict[str, Any]


class Blocks:
    """Remembers the tables of blocks, pickled, in up to ``most_bytes``. Threads may share it.

    Kept as objects they would be quicker to get, but take more memory (docs/adr/0016).
    """

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._kept: OrderedDict[bytes, bytes] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def loads(self, content: bytes) -> Values | None:
        """The values that ``tomli.loads`` gives for this document.

        None if ``tomli.loads`` has to read it, which also says what is wrong.
        """
        if b'"""' in content or b"'''" in content:
            return None  # lines in it are no headers
        starts = list(_starts(content))
        if len(starts) < _FEWEST:
            return None
        ends = [*(start for start, _ in starts[1:]), len(content)]
        others = [content[: starts[0][0]]]  # the text before, between and behind the blocks
        found: dict[str, list[Values]] = {}
        try:
            for (start, name), end in zip(starts, ends, strict=True):
                if not name:
                    others.append(content[start:end])
                    continue
                values = self._block(content[start:end])
                if values.keys() != {name}:
                    return None
                found.setdefault(name, []).extend(values[name])
            # Each is read alone. If it is whole, nothing that begins in it goes on behind a block.
            tops = list(filter(None, (tomli.loads(other.decode()) for other in others)))
            top: Values = tops[0] if len(tops) == 1 else tomli.loads(b"".join(others).decode())
        except (ValueError, RecursionError):
            return None
        return top | found if top.keys().isdisjoint(_NAMES) else None

    def _block(self, content: bytes) -> Values:
        key = hashlib.sha256(content).digest()
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None:
                self._kept.move_to_end(key)
        if kept is not None:
            found: Values = pickle.loads(kept)  # noqa: S301  # of our own making
            return found
        values = tomli.loads(content.decode())
        made = pickle.dumps(values, pickle.HIGHEST_PROTOCOL)
        with self._lock:
            if key not in self._kept:
                self._kept[key] = made
                self._bytes += len(made)
            while self._bytes > self._most_bytes:
                self._bytes -= len(self._kept.popitem(last=False)[1])
        return values


def _starts(content: bytes) -> Iterator[tuple[int, str]]:
    """The offset at which each block begins, and its name; "" for other lines, up to the next block."""
    name = ""
    start = 0 if content.startswith(b"[") else content.find(b"\n[") + 1
    while start or content.startswith(b"["):
        header = content[start : start + _LONGEST_HEADER]
        found = next((known for known in _NAMES if header.startswith(f"[[{known}]]".encode())), "")
        if found or (name and not header.lstrip(b"[").startswith(f"{name}.".encode())):
            name = found
            yield start, name
        start = content.find(b"\n[", start) + 1
        if not start:
            return
