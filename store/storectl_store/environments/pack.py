"""Packs: the bytecode of what programs of one environment import, in one file, in the order in which they import it.

The formats of packs, and of the records that they are made from, are documented beside their reader,
``storectl_shim._storectl_map``. A pack repeats what ``.pyc`` files of entries hold, and nothing else: a module that is
not in the store, such as a local project's, is never in it. Entries never change, so what a pack says of them never
changes either; a larger pack takes its place. Files of the standard library are only named in it, for a program that
wants to read them ahead.
"""

import errno
import marshal
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from storectl_shim._storectl_map import PACK_MAGIC, RECORD_MAGIC, joined
from storectl_store.digest import EnvironmentId
from storectl_store.disk.durability import fsync_folder, sync_descriptor
from storectl_store.entries.layout import StoreLayout
from storectl_store.environments.environment_record import EnvironmentRecord
from storectl_store.environments.import_map import MARSHAL_VERSION, checksum

LARGEST_RECORD = 4 << 20
"""Bytes of a record that are read: enough for the paths of some 50,000 modules."""

LARGEST_PACK = 256 << 20
"""Most bytes of bytecode in a pack; modules that would come after them are read one by one."""

_DIGITS = 15  # of an offset or a length, which the kernel takes for 63 bits
_MAGIC = 4  # bytes of a .pyc that tell the interpreter (PEP 552)
_UNCHECKED = b"\x01\0\0\0"  # the next four


Places = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Imports:
    """What programs imported, in order, as paths below site-packages: sources of modules, and native libraries.

    ``libraries`` maps each library to the places that were looked at, (offset, length) in bytes; an empty tuple means
    all of it. ``standard`` are absolute paths of the files that modules of the standard library were read from.
    """

    modules: tuple[str, ...] = ()
    libraries: Mapping[str, Places] = field(default_factory=dict)
    standard: tuple[str, ...] = ()

    def then(self, other: "Imports") -> "Imports":
        """These imports, and after them those that only the other one has."""
        return Imports(
            modules=tuple(dict.fromkeys(self.modules + other.modules)),
            libraries={
                name: _both(self.libraries.get(name), other.libraries.get(name))
                for name in dict.fromkeys([*self.libraries, *other.libraries])
            },
            standard=tuple(dict.fromkeys(self.standard + other.standard)),
        )


def parse_imports(data: bytes) -> Imports:
    """The record of a program; empty if it is of another format. Paths with ``..`` or similar parts are left out.

    An absolute path may lead anywhere: the caller has to check it.
    """
    magic, *lines = data.split(b"\n")
    paths = [os.fsdecode(line) for line in lines if line] if magic == RECORD_MAGIC else []
    straight = [
        path
        for path in paths
        if "\0" not in path and not {"", ".", ".."}.intersection(path.removeprefix("/").split("/"))
    ]
    inside = [path for path in straight if not path.startswith("/")]
    return Imports(
        modules=tuple(path for path in inside if path.endswith(".py")),
        libraries=dict(_library(path) for path in inside if not path.endswith(".py")),
        standard=tuple(path for path in straight if path.startswith("/")),
    )


def _library(line: str) -> tuple[str, Places]:
    """A library's path and places. Without places, or if they make no sense, it is all of the library."""
    path, tab, text = line.rpartition("\t")
    numbers = [int(number) if len(number) <= _DIGITS and number.isdecimal() else -1 for number in text.split()]
    if not tab or len(numbers) % 2 or -1 in numbers:
        return path or line, ()
    return path, tuple(zip(numbers[::2], numbers[1::2], strict=True))


def _both(one: Places | None, other: Places | None) -> Places:
    """The places of both, in order; all of the library if either has all of it."""
    if one is None or other is None:
        return one or other or ()
    if not (one and other):
        return ()
    return tuple(joined(sorted(one + other)))


def packed_imports(layout: StoreLayout, environment_id: str) -> Imports:
    """The imports that the environment's pack lists; empty if there is no pack that can be read."""
    try:
        with layout.pack(environment_id).open("rb") as file:
            magic, identity, _, _, length, check = file.readline(1024).rstrip(b"\n").rsplit(b" ", 5)
            table = file.read(int(length))
        if (magic, identity, checksum(table)) != (PACK_MAGIC, environment_id.encode(), int(check)):
            return Imports()
        modules, libraries, standard = marshal.loads(table)  # noqa: S302  # only the store's owner can write it, and its checksum is right
        return Imports(modules=tuple(modules), libraries=dict(libraries), standard=tuple(standard))
    except (OSError, ValueError):
        return Imports()


def write_pack(layout: StoreLayout, record: EnvironmentRecord, imports: Imports, *, tmp: Path) -> Imports:
    """Make a pack of these imports, unless there is one of the same modules. Returns what is in it.

    A module without bytecode for this interpreter is left out, and so is a file that is no entry's. Of ``standard``,
    files that are not of the interpreter's standard library are left out. ``tmp`` is a folder of this process on the
    file system of the store. Raises OSError if the disk refuses.
    """
    pieces, packed = _chosen(_View(layout, record), imports)
    if set(packed.modules) == set(packed_imports(layout, record.id).modules):
        return packed
    descriptor, path = tempfile.mkstemp(dir=tmp, suffix=".pack")
    try:
        with open(descriptor, "wb") as file:
            file.write(_head(record, pieces, packed))
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


def pack_problem(layout: StoreLayout, record: EnvironmentRecord) -> str | None:
    """What is wrong with the environment's pack, compared with the bytecode that it repeats; None if nothing is.

    Raises OSError if it is gone.
    """
    imports = packed_imports(layout, record.id)
    pieces, packed = _chosen(_View(layout, record), imports)
    if packed != imports or not imports.modules:
        return "its table cannot be read, or names what is not there"
    with layout.pack(record.id).open("rb") as file:
        head = _head(record, pieces, packed)
        if file.read(len(head)) != head:
            return "its head is another"
        if any(file.read(piece.size) != piece.content() for piece in pieces):
            return "its bytecode is not that of the entries"
        return "it is longer than its table says" if file.read(1) else None


def _chosen(view: "_View", imports: Imports) -> "tuple[list[_Piece], Imports]":
    """The pieces of a pack of these imports as the entries are now, and the imports that the pack would list."""
    pieces = _first_of(view.bytecode(imports.modules), LARGEST_PACK)
    packed = Imports(
        modules=tuple(piece.module for piece in pieces),
        libraries={name: places for name, places in imports.libraries.items() if view.entry_file(name)},
        standard=tuple(dict.fromkeys(filter(None, map(view.standard_file, imports.standard)))),
    )
    return pieces, packed


def drop_packs_without_environment(layout: StoreLayout) -> int:
    """Delete packs whose environment is gone. Returns how many."""
    dropped = 0
    with suppress(FileNotFoundError):
        for name in os.listdir(layout.packs):
            if not layout.environment(EnvironmentId(name)).exists():
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


def _first_of(pieces: Iterable[_Piece], limit: int) -> list[_Piece]:
    """The pieces that fit into so many bytes; those that do not fit are left out."""
    found, total = [], 0
    for piece in pieces:
        if total + piece.size <= limit:
            found.append(piece)
            total += piece.size
    return found


def _head(record: EnvironmentRecord, pieces: Sequence[_Piece], packed: Imports) -> bytes:
    places: dict[str, tuple[int, int]] = {}
    end = 0
    for piece in pieces:
        places[piece.module] = (end, piece.size)
        end += piece.size
    table = marshal.dumps((places, dict(packed.libraries), packed.standard), MARSHAL_VERSION)
    fields = (PACK_MAGIC, record.id.encode(), record.cache_tag.encode(), end, len(table), checksum(table))
    return b"%s %s %s %d %d %d\n" % fields + table


class _View:
    """The files of an environment's site-packages that are an entry's, and those of its standard library."""

    def __init__(self, layout: StoreLayout, record: EnvironmentRecord) -> None:
        (self._folder,) = layout.environment(record.id).glob("lib/python*/site-packages")
        self._entries = os.path.realpath(layout.entries) + os.sep
        self._cache_tag = record.cache_tag
        # As CPython finds it: from the folder above that of the executable, the base interpreter's.
        prefix, library = os.path.dirname(os.path.dirname(record.executable)), self._folder.parent.name
        self._standard = tuple(os.path.realpath(f"{prefix}/{name}/{library}") + os.sep for name in ("lib", "lib64"))

    def standard_file(self, path: str) -> str | None:
        """The real path of a file of the interpreter's standard library; None if it is no such file, or not there."""
        found = os.path.realpath(path)
        return found if found.startswith(self._standard) and os.path.isfile(found) else None

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
