"""Packs: the bytecode of what programs of one environment import, in one file, in the order in which they import it.

The formats of packs, and of the records that they are made from, are documented beside their reader,
``storectl_shim._storectl_pack``. A pack repeats what ``.pyc`` files of entries hold, and nothing else: a module that is
not in the store, such as a local project's, is never in it. Entries never change, so what a pack says of them never
changes either; a larger pack takes its place.
"""

import errno
import marshal
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from storectl_shim._storectl_pack import PACK_MAGIC, RECORD_MAGIC
from storectl_store.digest import EnvironmentId
from storectl_store.disk.durability import fsync_folder, sync_descriptor
from storectl_store.entries.layout import StoreLayout
from storectl_store.environments.environment_record import EnvironmentRecord
from storectl_store.environments.import_map import MARSHAL_VERSION, checksum
from storectl_store.environments.layers_record import layer_roots
from storectl_store.errors import StoreError

LARGEST_RECORD = 4 << 20
"""Bytes of a record that are read: enough for the paths of some 50,000 modules."""

LARGEST_PACK = 256 << 20
"""Most bytes of bytecode in a pack; modules that would come after them are read one by one."""

_MAGIC = 4  # bytes of a .pyc that tell the interpreter (PEP 552)
_UNCHECKED = b"\x01\0\0\0"  # the next four


def parse_imports(data: bytes) -> tuple[str, ...]:
    """The modules that a program imported, in order, as paths of their sources below site-packages.

    ``data`` is its record; one of another format has none. Paths with ``..`` or similar parts are left out.
    """
    magic, *lines = data.split(b"\n")
    paths = map(os.fsdecode, lines) if magic == RECORD_MAGIC else ()
    return tuple(path for path in paths if path.endswith(".py") and _is_straight(path))


def _is_straight(path: str) -> bool:
    return "\0" not in path and {"", ".", ".."}.isdisjoint(path.split("/"))


def packed_modules(layout: StoreLayout, environment_id: EnvironmentId) -> tuple[str, ...]:
    """The modules that the environment's pack lists, in order; none if there is no pack that can be read."""
    try:
        with layout.pack(environment_id).open("rb") as file:
            magic, identity, _, _, length, check = file.readline(1024).rstrip(b"\n").rsplit(b" ", 5)
            table = file.read(int(length))
        if (magic, identity, checksum(table)) != (PACK_MAGIC, environment_id.encode(), int(check)):
            return ()
        return tuple(marshal.loads(table))  # noqa: S302  # only the store's owner can write it, and its checksum is right
    except (OSError, ValueError):
        return ()


def write_pack(
    layout: StoreLayout, record: EnvironmentRecord, modules: Sequence[str], *, tmp: Path, largest: int | None = None
) -> tuple[str, ...]:
    """Make a pack of these modules, unless there is one of the same modules. Returns those that are in it.

    A module that is not an entry's, or has no bytecode for this interpreter, is left out. ``tmp`` is a folder of this
    process on the file system of the store. ``largest`` bounds the bytecode, in bytes, below ``LARGEST_PACK``. Raises
    OSError if the disk refuses.
    """
    pieces = _pieces(layout, record, modules, largest)
    packed = tuple(piece.module for piece in pieces)
    if set(packed) == set(packed_modules(layout, record.id)):
        return packed
    descriptor, path = tempfile.mkstemp(dir=tmp, suffix=".pack")
    try:
        with open(descriptor, "wb") as file:
            file.write(_head(record, pieces))
            file.writelines(piece.content() for piece in pieces)
            os.fchmod(descriptor, 0o444)
            file.flush()
            sync_descriptor(descriptor)
        layout.packs.mkdir(exist_ok=True)
        os.replace(path, layout.pack(record.id))
        fsync_folder(layout.packs)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(path)
        raise
    return packed


def pack_of(layout: StoreLayout, record: EnvironmentRecord, modules: Sequence[str]) -> bytes:
    """The bytes of a pack of these modules; those that do not fit are left out. May raise OSError."""
    pieces = _pieces(layout, record, modules)
    return _head(record, pieces) + b"".join(piece.content() for piece in pieces)


def pack_problem(layout: StoreLayout, record: EnvironmentRecord) -> str | None:
    """What is wrong with the environment's pack, compared with the bytecode that it repeats; None if nothing is.

    Raises OSError if it is gone.
    """
    modules = packed_modules(layout, record.id)
    pieces = _pieces(layout, record, modules)
    if not modules or tuple(piece.module for piece in pieces) != modules:
        return "its table cannot be read, or names what is not there"
    with layout.pack(record.id).open("rb") as file:
        head = _head(record, pieces)
        if file.read(len(head)) != head:
            return "its head is another"
        if any(file.read(piece.size) != piece.content() for piece in pieces):
            return "its bytecode is not that of the entries"
        return "it is longer than its table says" if file.read(1) else None


def drop_packs_without_environment(layout: StoreLayout) -> int:
    """Delete packs whose environment is gone. Returns how many."""
    dropped = 0
    with suppress(FileNotFoundError):
        for name in map(EnvironmentId, os.listdir(layout.packs)):
            if not layout.environment(name).exists():
                layout.pack(name).unlink()
                dropped += 1
    return dropped


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    """The ``.pyc`` of one module, at the absolute ``path``; ``size`` is in bytes."""

    module: str
    path: str
    size: int

    def content(self) -> bytes:
        """All bytes of the file. Raises OSError if it is another file by now."""
        content = Path(self.path).read_bytes()
        if len(content) != self.size:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), self.path)
        return content


def _pieces(
    layout: StoreLayout, record: EnvironmentRecord, modules: Iterable[str], largest: int | None = None
) -> list[_Piece]:
    """The pieces of a pack of these modules as the entries are now. Those that do not fit are left out."""
    found, total = [], 0
    most = LARGEST_PACK if largest is None else min(largest, LARGEST_PACK)
    for piece in _View(layout, record).bytecode(modules):
        if total + piece.size <= most:
            found.append(piece)
            total += piece.size
    return found


def _head(record: EnvironmentRecord, pieces: Sequence[_Piece]) -> bytes:
    places: dict[str, tuple[int, int]] = {}
    end = 0
    for piece in pieces:
        places[piece.module] = (end, piece.size)
        end += piece.size
    table = marshal.dumps(places, MARSHAL_VERSION)
    fields = (PACK_MAGIC, record.id.encode(), record.cache_tag.encode(), end, len(table), checksum(table))
    return b"%s %s %s %d %d %d\n" % fields + table


class _View:
    """The files of an environment's site-packages that are an entry's, of its own store or of one that it leads to."""

    def __init__(self, layout: StoreLayout, record: EnvironmentRecord) -> None:
        root = layout.environment(record.id)
        found = next(root.glob("lib/python*/site-packages"), None)
        if found is None:  # it has been collected meanwhile
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(root))
        self._folder = found
        stores = [layout]
        with suppress(StoreError):  # a damaged file: what is elsewhere is not packed
            stores += map(StoreLayout, layer_roots(root))
        self._entries = tuple(os.path.realpath(store.entries) + os.sep for store in stores)
        self._cache_tag = record.cache_tag

    def entry_file(self, path: str) -> str | None:
        """The real path of a file below site-packages; None if it is not an entry's, or not there."""
        found = os.path.realpath(self._folder / path)
        return found if found.startswith(self._entries) and os.path.isfile(found) else None

    def bytecode(self, modules: Iterable[str]) -> Iterator[_Piece]:
        """The modules that have unchecked bytecode, all with one magic number."""
        magic = None
        for module in modules:
            folder, _, file = module.rpartition("/")
            cached = f"__pycache__/{file.removesuffix('.py')}.{self._cache_tag}.pyc"
            path = self.entry_file(f"{folder}/{cached}" if folder else cached)
            if path is None or self.entry_file(module) is None:
                continue
            with open(path, "rb") as stream:
                start = stream.read(_MAGIC + len(_UNCHECKED))
                size = os.fstat(stream.fileno()).st_size
            magic = magic or start[:_MAGIC]
            if start == magic + _UNCHECKED:
                yield _Piece(module=module, path=path, size=size)
