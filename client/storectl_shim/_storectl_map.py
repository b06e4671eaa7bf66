r"""How modules of an environment are found by its import map, and loaded: the part of the shim that many starts skip.

CPython 3.9 to 3.14. A copy is beside the site-packages folder ("the view") of each environment; ``_storectl`` in the
view loads it.

The file ``<environment>/import-map``, format 1. Table and sections are ``marshal.dumps(..., 2)``, which every version
reads and which writes equal values as equal bytes. A checksum is the bytes as a little-endian number, modulo
``PRIME``::

    storectl import map 1 <environment id> <length of table> <checksum of table>\n
    <table>       (names, sections)
                    names     {tail: record}    the modules and folders right below site-packages
                    sections  {folder: (offset, length, checksum)}    of top-level folders; offset from the table's end
    <section>*    {folder: {tail: record}}    "pkg", "pkg/sub", ...: every folder below with something importable

A record is ``kind * 64 + index of the suffix``, in the order of a stock finder: [extension suffixes..., .py, .pyc].
Kind 0 is a package by its ``__init__``, 1 a module, 2 (128) a folder that can be a namespace portion. If there are
two records for one name, the lower one wins.
"""

import _frozen_importlib_external as _external
import _imp
import marshal
import os
import sys
from _frozen_importlib import ModuleSpec, module_from_spec
from time import monotonic  # built in, and loaded at every start

TYPE_CHECKING = False  # type checkers take it for true; to import typing would take too long here
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, ModuleType
    from typing import Any

MAGIC = b"storectl import map 1"
PRIME = 1073741789  # the largest below 2**30, one digit of an int: the modulo is a single pass
MODULE, NAMESPACE = 64, 128
FEW = 16  # fewer modules than this that a pack lacks are no reason to make a new one
COLD = 60e-6  # seconds; to read a page from memory takes some 10 us, from a quick disk 100

_stock: "Any" = _external  # some of what we build on has no public name
# Tracebacks leave out frames of importlib, by file name, and only as far as no other frame is in between.
IMPORTLIB: str = _stock.SourceFileLoader.get_code.__code__.co_filename
_UNCHECKED_PYC = _external.MAGIC_NUMBER + b"\x01\0\0\0"  # PEP 552: hash-based, source not looked at


class SourceFileLoader(_external.SourceFileLoader):
    """The stock loader, but for this: it opens only the bytecode of a module, and never writes into the store."""

    def get_code(self, fullname: str) -> "CodeType | None":
        """The code from unchecked bytecode, if that is there and whole; otherwise as the stock loader gets it."""
        path, bytecode_path = self.get_filename(fullname), ""
        data: "Any" = b""
        if sys.pycache_prefix is None and _imp.check_hash_based_pycs != "always":
            try:
                bytecode_path = _external.cache_from_source(path)
                data = packed(path) or self.get_data(bytecode_path)
            except (OSError, NotImplementedError):
                data = b"" if sys.flags.optimize else tried("early", path, bytecode_path, VIEWS, opened) or b""
        if data[:8] != _UNCHECKED_PYC:  # not within the handler: an error in a module must not have ours as its context
            if bytecode_path and not data and (sys.flags.optimize or tried("is_foreign", path)):
                return self.compiled_once(fullname, path, bytecode_path)
            return super().get_code(fullname)
        try:  # this also replaces the relative path, under which the code was compiled, by that of this view
            code: "CodeType" = _stock._compile_bytecode(memoryview(data)[16:], fullname, bytecode_path, path)  # noqa: SLF001  # unmarshals as the stock loader
        except (EOFError, ValueError, TypeError, ImportError):  # a power cut has left half of it
            data = b""
        return code if data else self.source_to_code(self.get_data(path), path)

    def compiled_once(self, fullname: str, path: str, bytecode_path: str) -> "CodeType":
        """The code of a module that the store gets no bytecode for: compiled once, and kept in the user's cache.

        So it is for ``-O``, and in another account's store. The path names an environment, which never changes.
        """
        code: "CodeType | None" = None
        kept = ""
        try:
            cache = load("_storectl_pack").cache_folder(os.environ)
            kept = cache and cache + "/bytecode" + bytecode_path
            data = self.get_data(kept) if kept else b""
            if data[:8] == _UNCHECKED_PYC:
                code = _stock._compile_bytecode(memoryview(data)[16:], fullname, kept, path)  # noqa: SLF001  # as above
        except Exception:
            pass
        if kept and code is None and not sys.dont_write_bytecode:
            code = self.source_to_code(self.get_data(path), path)
            tried("keep", kept, _UNCHECKED_PYC + bytes(8) + marshal.dumps(code))
        return code or self.source_to_code(self.get_data(path), path)

    # Tracebacks leave out frames of importlib, by file name, and only as far as no other frame is in between.
    get_code.__code__ = get_code.__code__.replace(co_filename=IMPORTLIB)
    compiled_once.__code__ = compiled_once.__code__.replace(co_filename=IMPORTLIB)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _external.SourceFileLoader) and self.__dict__ == other.__dict__

    __hash__ = _external.SourceFileLoader.__hash__

    def __repr__(self) -> str:
        """As the stock loader's, since programs print it in a module's spec."""
        return f"<_frozen_importlib_external.SourceFileLoader object at {id(self):#x}>"

    def __reduce__(self) -> "tuple[type, tuple[str, str]]":
        """Pickle and copy as the stock loader, which every interpreter has."""
        return _external.SourceFileLoader, (self.name, self.path)

    def _cache_bytecode(self, source_path: str, bytecode_path: str, data: bytes) -> None:
        if sys.pycache_prefix is not None:
            _stock.SourceFileLoader._cache_bytecode(self, source_path, bytecode_path, data)  # noqa: SLF001  # the method that this one overrides


PACKED: "dict[str, tuple[Any, int, int]]" = {}
"""By the path of a module's source: the pack that has its bytecode, offset and length in it."""
IMPORTED: "dict[str, bool]" = {}
"""The paths of the sources whose bytecode was asked for, in order, and whether a pack had it."""
MISSED: "set[str]" = set()
"""The paths in ``IMPORTED`` that no pack had."""
VIEWS: "dict[str, str]" = {}
"""The views that something was imported from, by the roots of their environments."""
TOLD: "set[str]" = set()  # the roots of environments whose daemon the launcher has named to this process
LOADED: "dict[str, Any]" = {}
"""The modules that were loaded by ``load``."""


def packed(path: str) -> "Any":
    """The content of the ``.pyc`` of this source, from a pack; empty if no pack has it."""
    pack, offset, length = PACKED.get(path, (None, 0, 0))
    data = b"" if pack is None or sys.flags.optimize else pack.piece(offset, length)
    IMPORTED[path] = bool(data)
    if not data:
        MISSED.add(path)
        if len(MISSED) == FEW and not (sys.dont_write_bytecode or sys.flags.optimize):
            tried("record_at_end", VIEWS, IMPORTED, TOLD, packed=PACKED, fewest=FEW)
    return data


def tried(name: str, *arguments: "Any", **options: "Any") -> "Any":
    """What this function of ``_storectl_pack`` returns; None if it fails, as a program can do without."""
    try:
        return getattr(load("_storectl_pack"), name)(*arguments, **options)
    except Exception:
        return None


def load(name: str) -> "Any":
    """This module of the shim, which lies beside this one; ``sys.modules`` stays as it was."""
    if name not in LOADED:
        spec: "Any" = _external.spec_from_file_location(name, f"{os.path.dirname(__file__)}/{name}.py")
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        LOADED[name] = module
    return LOADED[name]


LOADERS = [
    (SourceFileLoader if loader is _external.SourceFileLoader else loader, suffixes)
    for loader, suffixes in _stock._get_supported_file_loaders()  # noqa: SLF001  # the only place that knows them
]
SUFFIXES = [*_imp.extension_suffixes(), ".py", ".pyc"]
"""The suffixes that records of a map count. If a program adds some to ``importlib.machinery`` (Hy), no map is used."""


AMENDED = {"pip/_internal/utils", "coverage"}
"""The folders with modules that ``_storectl_amend`` has amendments for."""


def amending_loaders() -> "list[tuple[Any, list[str]]]":
    """The loaders for the folders of ``AMENDED``."""
    try:
        amending = load("_storectl_amend").amending(SourceFileLoader)
    except Exception:
        return LOADERS
    return [(amending if loader is SourceFileLoader else loader, suffixes) for loader, suffixes in LOADERS]


class FileFinder(_external.FileFinder):
    """The stock finder of one folder, but it answers from the import map.

    It is built like the stock finder, and behaves like it until it is given a map. ``_table`` is {tail: record}, or
    None for the view itself before the first question.
    """

    _map: "ImportMap | None" = None
    _table: "dict[str, int] | None" = None
    _changed = False
    _loaders: "list[tuple[str, Any]]"
    _get_spec: "Callable[..., ModuleSpec]"

    def answer_from(self, import_map: "ImportMap", table: "dict[str, int] | None") -> None:
        """Answer from this import map from now on, and not from the file system."""
        self._map, self._table = import_map, table

    def find_spec(self, fullname: str, target: "ModuleType | None" = None) -> "ModuleSpec | None":
        """The spec that the stock finder gives, by one look-up. The file system is not asked for missing modules."""
        if self._map is None:
            return super().find_spec(fullname, target)
        if self._table is None:
            self._table = self._map.top_level()
        tail = fullname.rpartition(".")[2]
        record = self._table.get(tail)
        if record is None:
            # Bytecode is made after the map, so the map cannot know its folders.
            if self._changed or self._map.failed or tail == "__pycache__":
                return super().find_spec(fullname, target)
            return None
        base = self.path + "/" + tail
        if not self._map.begun:
            self._map.begin()
        if record >= NAMESPACE:
            spec = ModuleSpec(fullname, None)
            spec.submodule_search_locations = [base]
            return spec
        suffix, loader = self._loaders[record % MODULE]
        if record >= MODULE:
            return self._get_spec(loader, fullname, base + suffix, None, target)
        return self._get_spec(loader, fullname, base + "/__init__" + suffix, [base], target)

    def invalidate_caches(self) -> None:
        """Look on disk, from now on, for what the map does not know: the caller says that the folder has changed."""
        self._changed = True
        super().invalidate_caches()


class ImportMap:
    """The import map of one environment, read in parts: from the published file, or from what the daemon sent.

    The file is five times faster than the daemon if it is in the page cache. If it is not, the daemon is asked.

    ``view`` is the site-packages folder; ``complain`` takes the one line that says why the map cannot be used.
    ``cold`` is whether the file was not in the page cache, None before that is known. Threads may race: each step
    stores a whole value that any other thread would have computed too.
    """

    def __init__(self, root: str, view: str, address: "str | None", complain: "Callable[[str], None]") -> None:
        self.root = root
        self.view = view
        self.address = address
        TOLD.update([root] if address else [])
        self.complain = complain
        self.failed = False
        self.cold: "bool | None" = None
        self.begun = False
        self.pack: "Any" = None
        self._index: "Any" = None  # (names, sections, the offset of the first, read)
        self._tables: "dict[str, dict[str, dict[str, int]]]" = {}

    def finder(self, folder: str) -> "FileFinder | None":
        """The finder of a folder below the view, or of the view itself (""); None if the map lacks the folder."""
        table = self.table(folder) if folder else None
        if folder and table is None:
            return None
        path = f"{self.view}/{folder}" if folder else self.view
        finder = FileFinder(path, *(amending_loaders() if folder in AMENDED else LOADERS))
        if [suffix for suffix, _ in finder._loaders] == SUFFIXES:  # noqa: SLF001  # of our own class
            finder.answer_from(self, table)
        return finder

    def top_level(self) -> "dict[str, int]":
        """The names right below the view; none if the map cannot be used."""
        try:
            names: "dict[str, int]" = self._opened()[0]
        except Exception as error:
            self._fail(error)
            return {}
        return names

    def table(self, folder: str) -> "dict[str, int] | None":
        """The names in a folder below the view; None if the map does not know it or cannot be used."""
        top = folder.partition("/")[0]
        try:
            tables = self._tables.get(top)
            if tables is None:
                tables = self._tables[top] = self._section(top)
                if self.cold:
                    self._fetch_ahead(top, tables)
            return None if self.failed else tables.get(folder)
        except Exception as error:
            self._fail(error)
            return None

    def _fetch_ahead(self, top: str, tables: "dict[str, dict[str, int]]") -> None:
        if self.pack is not None:
            self.pack.fetch_ahead(top)
        tried("fetch_libraries", self.view, top, tables)

    def begin(self) -> None:
        """Prepare for the first import from the view: use its pack, if it has one that can be used."""
        self.begun = True
        VIEWS[self.root] = self.view
        store, _, environment = self.root.rsplit("/", 2)
        path = f"{store}/packs/{environment}"
        pack = tried("Pack", path, opened, decode) if os.path.exists(path) else None
        if pack is not None:
            self.pack = pack
            PACKED.update({f"{self.view}/{source}": (pack, *place) for source, place in pack.places.items()})

    def _fail(self, error: Exception) -> None:
        if not self.failed:
            self.failed = True
            if load("_storectl_amend").is_copied(self.root, MAGIC):
                return
            self.complain(f"{self.root}/import-map cannot be used ({str(error) or type(error).__name__})")

    def _opened(self) -> "Any":
        if self._index is None:
            try:
                self._index = self._open(self._read_file)
            except Exception:
                if not self._ask():
                    raise
        return self._index

    def _open(self, read: "Callable[[int, int], bytes]") -> "Any":
        start = read(0, 1 << 14)
        line, newline, rest = start.partition(b"\n")
        fields = line.rsplit(b" ", 3)
        if not newline or len(fields) != 4 or fields[0] != MAGIC:
            raise ValueError("another format")
        _, environment, length, checksum = fields
        if environment != os.fsencode(self.root.rpartition("/")[2]):
            raise ValueError("another environment")
        size, begin = int(length), len(line) + 1
        table = rest[:size] if size <= len(rest) else read(begin, size)
        names, sections = decode(table, size, int(checksum))
        return names, sections, begin + size, read

    def _section(self, top: str) -> "Any":
        self._opened()
        if self.cold:
            self._ask()
        _, sections, start, read = self._index
        if top not in sections:
            return {}
        offset, length, checksum = sections[top]
        try:
            return decode(read(start + offset, length), length, checksum)
        except Exception:
            if read == self._read_file:
                raise
            self._index = self._open(self._read_file)
            return self._section(top)

    def _read_file(self, offset: int, length: int) -> bytes:
        # Opened anew for each piece: a program may close all descriptors that it does not know, and open others.
        descriptor, status = opened(self.root + "/import-map")
        try:
            if self.cold is None:
                self.cold = is_cold(descriptor)
            return os.pread(descriptor, min(length, max(status.st_size - offset, 0)), offset)
        finally:
            os.close(descriptor)

    def _ask(self) -> bool:
        """Ask the daemon, once at most; whether it sent a map. If it did not, the published file is used."""
        address, self.address = self.address, None
        if address:
            try:
                body: bytes = load("_storectl_pack").ask(address, self.root, trusted)
                self._index = self._open(lambda offset, length: body[offset : offset + length])
            except Exception:
                return False
        return bool(address)


def is_cold(descriptor: int) -> bool:
    """Whether the first page of the open file was not in memory. Then other files of its environment are not either.

    ``preadv2`` with ``RWF_NOWAIT`` would tell too, but Linux 6 begins to read then, and a quick disk has the page at
    once.
    """
    begin = monotonic()
    try:
        os.pread(descriptor, 1, 0)
        there = monotonic()
        os.pread(descriptor, 1, 0)
    except OSError:
        return False
    return there - begin - (monotonic() - there) > COLD  # if each call takes long, both do


def decode(data: bytes, length: int, checksum: int) -> "Any":
    """The value of one part of a map; ValueError if the bytes are not those that were written."""
    if len(data) != length or int.from_bytes(data, "little") % PRIME != checksum:
        raise ValueError("damaged")
    return marshal.loads(data)


def opened(path: str) -> "tuple[int, os.stat_result]":
    """A descriptor of this file, and its status; PermissionError if others than its trusted owner can write it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    status = os.fstat(descriptor)
    if status.st_mode & 0o170022 != 0o100000 or not trusted(status.st_uid, __file__):
        os.close(descriptor)
        raise PermissionError("not a file that only its trusted owner can write")
    return descriptor, status


def trusted(uid: int, path: str) -> bool:
    """Whether a file of the user ``uid`` may be used: that is us, root, or the owner of ``path``."""
    return uid in (os.geteuid(), 0) or uid == os.stat(path).st_uid
