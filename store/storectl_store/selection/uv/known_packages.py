"""Packages of ``uv.lock`` files that were read before: of a changed lock file only what changed is read anew.

A lock file is cut before each line ``[[package]]``. A block, from there to the next such line, is known by its sha256.
What is kept of it is the package with its edges, and the wheels that interpreters take of it; its list of files is not.

Blocks mean the same together as alone, provided that each is TOML by itself, that it holds nothing but packages, and
that no text of several lines can hide a header. Otherwise, and if anything is wrong, the file is read as a whole.
"""

import re
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256

from storectl_store.selection.addresses import is_url
from storectl_store.selection.build_policy import BuildPolicy
from storectl_store.selection.lock_file import LockFile
from storectl_store.selection.pin import Pin, Selected
from storectl_store.selection.tables.toml_table import Table, parse_toml
from storectl_store.selection.target import Interpreter
from storectl_store.selection.uv.lock import UvEdge, UvLock, UvPackage, read_uv_lock, read_uv_packages
from storectl_store.selection.uv.sources import selected_package

_HEADER = re.compile(rb"^\[\[package\]\]", re.MULTILINE)
_NO_TABLE = Table(values={}, file="")
_MOST = 2048
"""How many packages are kept. 300 of them take half a megabyte."""


@dataclass(slots=True, eq=False)
class _Known:
    """A package without its tables, and the wheels that interpreters take of it, by the interpreter's identity."""

    package: UvPackage
    pins: dict[str, Pin] = field(default_factory=dict)


class KnownPackages:
    """Remembers packages. Threads may share it."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, lock_file: LockFile) -> "UvLockInBlocks | None":
        """The lock file, as ``read_uv_lock`` reads it; None if it cannot be read in blocks.

        Raises LockFileError if something is wrong. Its message may name wrong lines.
        """
        content, file = lock_file.content, str(lock_file.path)
        starts = [match.start() for match in _HEADER.finditer(content)]
        if not starts or b'"""' in content or b"'''" in content:
            return None
        top = parse_toml(content[: starts[0]], file)
        if not top.values.keys().isdisjoint({"package", "distribution"}):
            return None
        blocks = [content[start:end] for start, end in zip(starts, [*starts[1:], len(content)], strict=True)]
        read: list[tuple[UvPackage, _Known | None, bytes]] = []
        for block in blocks:
            key = sha256(block).digest()
            if known := self._get(key):
                read.append((known.package, known, block))
                continue
            table = parse_toml(block, file)
            if table.values.keys() != {"package"}:
                return None
            packages = read_uv_packages(table)
            kept = self._keep(key, packages[0]) if len(packages) == 1 else None
            read += [(package, kept, block) for package in packages]
        return UvLockInBlocks(read_uv_lock(top, [package for package, _, _ in read]), read)

    def _get(self, key: bytes) -> _Known | None:
        with self._lock:
            if found := self._known.get(key):
                self._known.move_to_end(key)
            return found

    def _keep(self, key: bytes, package: UvPackage) -> _Known | None:
        """Keep a package of an index. Others are few, and what they mean depends on the folder of the lock file."""
        if package.source.kind != "registry" or not is_url(package.source.location):
            return None
        made = _Known(_without_tables(package))
        with self._lock:
            known = self._known.setdefault(key, made)
            if len(self._known) > self._most:
                self._known.popitem(last=False)
        return known


class UvLockInBlocks:
    """A lock file that was read in blocks. ``packages`` are those of ``lock``, with their blocks."""

    def __init__(self, lock: UvLock, packages: Sequence[tuple[UvPackage, _Known | None, bytes]]) -> None:
        self.lock = lock
        self._blocks: Mapping[UvPackage, tuple[_Known | None, bytes]] = {
            package: (known, block) for package, known, block in packages
        }

    def selected(
        self, package: UvPackage, lock: UvLock, lock_file: LockFile, interpreter: Interpreter, policy: BuildPolicy
    ) -> Selected:
        """As ``selected_package``, for a package of this lock file."""
        known, block = self._blocks[package]
        takes_wheels = "wheel" in policy.formats(package.name)
        if known and takes_wheels and (pin := known.pins.get(interpreter.identity)):
            return pin
        if package.table is _NO_TABLE:
            (package,) = read_uv_packages(parse_toml(block, lock.table.file))
        selected = selected_package(package, lock, lock_file, interpreter, policy)
        if known and takes_wheels and isinstance(selected, Pin):
            known.pins[interpreter.identity] = selected
        return selected


def _without_tables(package: UvPackage) -> UvPackage:
    return replace(
        package,
        table=_NO_TABLE,
        dependencies=tuple(_edges_without_tables(package.dependencies)),
        extras={name: tuple(_edges_without_tables(edges)) for name, edges in package.extras.items()},
        groups={name: tuple(_edges_without_tables(edges)) for name, edges in package.groups.items()},
    )


def _edges_without_tables(edges: Sequence[UvEdge]) -> Iterator[UvEdge]:
    return (replace(edge, table=_NO_TABLE) for edge in edges)
