r"""What finds and loads the modules of an environment by its import map: the part of the shim that many starts do without.

CPython 3.9 to 3.14, a copy beside the site-packages folder ("the view") of each environment, loaded by ``_storectl`` there.

The file ``<environment>/import-map``, format 1. Both levels are ``marshal.dumps(..., 2)``, which every version reads and
which writes equal values as equal bytes; a checksum is the bytes as a little-endian number, modulo ``PRIME``::

    storectl import map 1 <environment id> <length of table> <checksum of table>\n
    <table>       (names, sections)
                    names     {tail: record}    the modules and folders right below site-packages
                    sections  {folder: (offset, length, checksum)}    of top-level folders; offset from the end of the table
    <section>*    {folder: {tail: record}}    "pkg", "pkg/sub", ...: every folder below with something importable

A record is ``kind * 64 + index of the suffix`` in the order of a stock finder, [extension suffixes..., .py, .pyc]: kind 0 is
a package by its ``__init__``, 1 a module, 2 (128) a folder that can be a namespace portion. Of two records for one name the
lower one wins.

The file ``<store>/packs/<environment id>``, format 2, is what ``.pyc`` files hold, once more, of the modules that programs of
the environment import, in the order in which they do (``Pack``). The daemon makes it from what they say at their end in
``<cache>/storectl/imports<environment>``, format 1, paths relative to site-packages, and absolute ones of what they loaded of
the standard library (``record``)::

    storectl pack 2 <environment id> <cache tag> <bytes after the table> <length of table> <checksum of table>\n
    <table>       (modules, libraries, standard)
                    modules   {path of the source: (offset, length)}    offset from the end of the table
                    libraries {path: ((offset, length), ...)}    native libraries that were mapped, and what was looked at; () for all
                    standard  (absolute path, ...)    files of the standard library, which the daemon has read ahead
    <.pyc>*

    storectl imports 1\n
    (<path of a source>\n)*
    (<path of a native library>\t(<offset> <length>)*\n)*
    (<absolute path of bytecode or a native module of the standard library>\n)*
"""

import _frozen_importlib_external as _external
import _imp
import marshal
import os
import sys
from _frozen_importlib import ModuleSpec
from time import monotonic  # built in, and loaded at every start

TYPE_CHECKING = False  # what type checkers take for true: typing is too much to import here
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import CodeType, ModuleType
    from typing import Any

MAGIC = b"storectl import map 1"
PRIME = 1073741789  # the largest below 2**30, one digit of an int: the modulo is a single pass
MODULE, NAMESPACE = 64, 128
PACK_MAGIC = b"storectl pack 2"
RECORD_MAGIC = b"storectl imports 1"
RUN = (1 << 17) - 64  # bytes that are read of a pack at once; malloc maps, and unmaps, what is larger
FEW = 16  # modules that a pack does not have are no reason to make one
SHARE = 16  # nor is one more for so many that it has
DEADLINE = 0.020  # seconds for the daemon's whole answer
COLD = 60e-6  # seconds; a page that is in memory is here within some 10 us, one on a quick disk takes 100
LARGEST = 1 << 27  # bytes of a map
MOST_AHEAD = 64  # native modules of one package
PAGE = os.sysconf("SC_PAGE_SIZE")

_stock: "Any" = _external  # some of what we build on has no public name
# Tracebacks leave out what is importlib's own, by file name and only as far as nothing else is in between.
IMPORTLIB: str = _stock.SourceFileLoader.get_code.__code__.co_filename
_UNCHECKED_PYC = _external.MAGIC_NUMBER + b"\x01\0\0\0"  # PEP 552: hash-based, source not looked at


class SourceFileLoader(_external.SourceFileLoader):
    """The stock loader, which opens the bytecode of a module and nothing else, and never writes into the store."""

    def get_code(self, fullname: str) -> "CodeType | None":
        """The code from unchecked bytecode where it is there and whole; everything else as the stock loader does it."""
        path, bytecode_path = self.get_filename(fullname), ""
        data: "Any" = b""
        if sys.pycache_prefix is None and _imp.check_hash_based_pycs != "always":
            try:
                bytecode_path = _external.cache_from_source(path)
                data = packed(path) or self.get_data(bytecode_path)
            except (OSError, NotImplementedError):
                pass
        if data[:8] != _UNCHECKED_PYC:  # not within the handler: what is wrong with a module has no context
            if sys.flags.optimize and bytecode_path and not data:
                return self.optimized_code(fullname, path, bytecode_path)
            return super().get_code(fullname)
        try:  # it also gives the code objects, compiled under a relative path, the path of this view
            code: "CodeType" = _stock._compile_bytecode(memoryview(data)[16:], fullname, bytecode_path, path)  # noqa: SLF001  # unmarshals as the stock loader
        except (EOFError, ValueError, TypeError, ImportError):  # torn by a power cut
            data = b""
        return code if data else self.source_to_code(self.get_data(path), path)

    def optimized_code(self, fullname: str, path: str, bytecode_path: str) -> "CodeType":
        """The code for ``-O``, for which the store has no bytecode: kept in the user's cache folder once it is compiled.

        The path names the environment, which never changes, so nobody has to look whether the source has.
        """
        cache = cache_folder(os.environ)
        kept, data = cache + "/bytecode" + bytecode_path, b""
        code: "CodeType | None" = None
        if cache:
            try:
                data = self.get_data(kept)
                if data[:8] == _UNCHECKED_PYC:
                    code = _stock._compile_bytecode(memoryview(data)[16:], fullname, kept, path)  # noqa: SLF001  # as above
            except (OSError, EOFError, ValueError, TypeError, ImportError):
                pass
            if code is None and not sys.dont_write_bytecode:
                code = self.source_to_code(self.get_data(path), path)
                self.set_data(kept, _UNCHECKED_PYC + bytes(8) + marshal.dumps(code))
        return code or self.source_to_code(self.get_data(path), path)

    # Tracebacks leave out what is importlib's own, by file name and only as far as nothing else is in between.
    get_code.__code__ = get_code.__code__.replace(co_filename=IMPORTLIB)
    optimized_code.__code__ = optimized_code.__code__.replace(co_filename=IMPORTLIB)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _external.SourceFileLoader) and self.__dict__ == other.__dict__

    __hash__ = _external.SourceFileLoader.__hash__

    def __repr__(self) -> str:
        """The stock loader's, which is in what programs print of a module's spec."""
        return f"<_frozen_importlib_external.SourceFileLoader object at {id(self):#x}>"

    def __reduce__(self) -> "tuple[type, tuple[str, str]]":
        """Pickled and copied as the stock loader, which every interpreter has."""
        return _external.SourceFileLoader, (self.name, self.path)

    def _cache_bytecode(self, source_path: str, bytecode_path: str, data: bytes) -> None:
        if sys.pycache_prefix is not None:
            _stock.SourceFileLoader._cache_bytecode(self, source_path, bytecode_path, data)  # noqa: SLF001  # the method that this one overrides


def cache_folder(environ: "Mapping[str, str]") -> str:
    """Where this user's own things that can be made again are; empty for nobody's.

    Root keeps nothing in a home folder of another user, which ``sudo`` may have left in the variables.
    """
    home = environ.get("HOME", "")
    cache = environ.get("XDG_CACHE_HOME") or home + "/.cache"
    if os.geteuid() == 0:
        try:
            if os.stat(environ.get("XDG_CACHE_HOME") or home).st_uid != 0:
                return ""
        except OSError:
            pass
    return cache + "/storectl" if cache.startswith("/") and cache != "/.cache" else ""


class Pack:
    """The bytecode of many modules of one environment, from one file; an exception where it is torn or of something else.

    It is opened anew for each piece, as the import map is; a file that took its place has other offsets, and is not read.
    Threads may race: ``_run`` is replaced as a whole.
    """

    _identity: "tuple[int, int, int] | None" = None  # of the file: inode, size, time
    _run: "tuple[int, bytes]" = (0, b"")  # what was read last, and from where

    def __init__(self, root: str, view: str) -> None:
        self.view = view
        self._path = pack_path(root)
        start = self._read(0, RUN)
        line, newline, rest = start.partition(b"\n")
        fields = line.rsplit(b" ", 5)
        expected = [PACK_MAGIC, os.fsencode(root.rpartition("/")[2]), os.fsencode(sys.implementation.cache_tag or "")]
        if not newline or fields[:3] != expected:
            raise ValueError("another format, environment or interpreter")
        pieces, length, checksum = map(int, fields[3:])
        begin = len(line) + 1 + length
        table = rest[:length] if begin <= len(start) else self._read(len(line) + 1, length)
        modules, libraries, _ = decode(table, length, checksum)
        if self._identity is None or self._identity[1] != begin + pieces:
            raise ValueError("torn")
        self._run = 0, start
        self._begin = begin
        self._libraries: "dict[str, tuple[tuple[int, int], ...]]" = libraries
        self._modules: "dict[str, tuple[int, int]]" = modules
        PACKED.update({f"{view}/{name}": (self, begin + offset, size) for name, (offset, size) in modules.items()})

    def piece(self, offset: int, length: int) -> "Any":
        """These bytes of the file; none where it is no longer there."""
        begin, run = self._run
        if not begin <= offset <= offset + length <= begin + len(run):
            end = begin + len(run)
            try:
                run = self._read(offset, max(length, RUN) if begin <= offset <= end else length)
            except OSError:
                return b""
            begin = offset
            self._run = begin, run
        return memoryview(run)[offset - begin : offset - begin + length]

    def _read(self, offset: int, length: int) -> bytes:
        descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
        try:
            status = os.fstat(descriptor)
            identity = status.st_ino, status.st_size, status.st_mtime_ns
            if self._identity is None:
                if status.st_mode & 0o170022 != 0o100000 or not trusted(status.st_uid, __file__):
                    raise PermissionError("not a file that only its trusted owner can write")
                self._identity = identity
            if self._identity != identity:
                raise FileNotFoundError(self._path)
            return os.pread(descriptor, length, offset)
        finally:
            os.close(descriptor)

    def fetch_ahead(self, top: str) -> bool:
        """Let the kernel read what is there of a package that is about to be imported; whether anything is."""
        pieces = [place for name, place in self._modules.items() if name.startswith(top + "/")]
        libraries = [name for name in self._libraries if name.startswith((top + "/", top + ".libs/"))]
        ask_kernel(self._path, [(self._begin + start, length) for start, length in joined(pieces)])
        for name in libraries:
            ask_kernel(f"{self.view}/{name}", self._libraries[name] or None)
        return bool(pieces or libraries)


PACKED: "dict[str, tuple[Pack, int, int]]" = {}
"""Where the bytecode of a module is, by the path of its source."""
IMPORTED: "dict[str, bool]" = {}
"""The paths of sources whose bytecode was asked for, in order, and whether a pack had it."""
MISSED: "set[str]" = set()
"""Those of them that no pack had."""
VIEWS: "dict[str, str]" = {}
"""The views that something was imported from, by the root of their environment."""


def packed(path: str) -> "Any":
    """The content of the ``.pyc`` of this source from a pack; nothing where none has it."""
    pack, offset, length = PACKED.get(path, (None, 0, 0))
    data = b"" if pack is None or sys.flags.optimize else pack.piece(offset, length)
    IMPORTED[path] = bool(data)
    if not data:
        MISSED.add(path)
        if len(MISSED) == FEW:
            record_at_end()
    return data


def pack_path(root: str) -> str:
    """Where the pack of this environment is."""
    store, _, environment = root.rsplit("/", 2)
    return f"{store}/packs/{environment}"


def joined(places: "Iterable[tuple[int, int]]", gap: int = 0) -> "list[tuple[int, int]]":
    """The same places, (offset, length), where one that begins within the one before, or at most ``gap`` behind its end, is a part of it."""
    found: "list[tuple[int, int]]" = []
    for offset, length in places:
        begin, before = found[-1] if found else (offset, 0)
        if found and begin <= offset <= begin + before + gap:
            found[-1] = begin, max(before, offset - begin + length)
        else:
            found.append((offset, length))
    return found


def ask_kernel(path: str, places: "Iterable[tuple[int, int]] | None" = None) -> None:
    """Have the kernel read these places of a file (offset, length), or all of it, without waiting for them."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            for offset, length in [(0, 0)] if places is None else places:
                os.posix_fadvise(descriptor, offset, length, os.POSIX_FADV_WILLNEED)
        finally:
            os.close(descriptor)
    except OSError:
        pass


def record_at_end() -> None:
    """Have this process say at its end what it imported, where it may write and there is a place for it."""
    cache = cache_folder(os.environ)
    if cache and not (sys.dont_write_bytecode or sys.flags.optimize):
        import atexit

        atexit.register(record, cache + "/imports", os.getpid())


def record(folder: str, process: int) -> None:
    """Say for the daemon what this process imported from each view of which much was in no pack."""
    try:
        for root, view in VIEWS.items() if process == os.getpid() else ():
            mine = [source for source in IMPORTED if source.startswith(view + "/")]
            missed = len(MISSED.intersection(mine))
            if missed >= FEW and missed * SHARE > len(PACKED):
                lines = [source[len(view) + 1 :] for source in mine] + libraries_of(root) + standard_files()
                text = "".join(line + "\n" for line in lines if "\n" not in line)
                _external.SourceFileLoader("", "").set_data(folder + root, RECORD_MAGIC + b"\n" + os.fsencode(text))
    except Exception:
        pass


def libraries_of(root: str) -> "list[str]":
    """The files of entries that are mapped into this process, as paths below site-packages, each with the places it looked at.

    None where nobody tells.
    """
    if sys.platform != "linux":
        return []
    entries, mapped = os.fsencode(root.rsplit("/", 2)[0] + "/store/"), {}  # type: tuple[bytes, dict[bytes, set[int]]]
    with open("/proc/self/maps", "rb") as maps:
        for addresses, _, offset, _, _, *path in (line.split(None, 5) for line in maps):
            name = path[0].strip().partition(b"/site-packages/")[2] if path and path[0].startswith(entries) else b""
            if name:
                begin, end = (int(address, 16) // PAGE for address in addresses.split(b"-"))
                first = int(offset, 16) // PAGE - begin
                mapped.setdefault(name, set()).update(first + page for page in touched(begin, end))
    lines = []
    for name, pages in mapped.items():
        places = joined([(page * PAGE, PAGE) for page in sorted(pages)], 16 * PAGE)
        lines.append(os.fsdecode(name) + "\t" + " ".join(f"{offset} {length}" for offset, length in places))
    return lines


def touched(begin: int, end: int) -> "list[int]":
    """Which of these pages of this process's addresses it has looked at (pagemap of proc(5), bits 62 and 63); none where nobody tells."""
    try:
        with open("/proc/self/pagemap", "rb", 0) as pagemap:
            words = os.pread(pagemap.fileno(), (end - begin) * 8, begin * 8)
    except OSError:
        return []
    return [begin + page for page, last in enumerate(words[7::8]) if last & 0xC0]


def standard_files() -> "list[str]":
    """The files that modules of this process were read from, of the standard library, in about the order of their import.

    Frozen ones have none. No module is asked for anything: a lazy one would load.
    """
    library = os.path.dirname(os.__file__) + "/"
    elsewhere = library + "site-packages/", library + "dist-packages/"
    found: "list[str]" = []
    for module in list(sys.modules.values()):
        try:
            spec = object.__getattribute__(module, "__dict__").get("__spec__")
            path: "Any" = (spec.cached or spec.origin) if type(spec) is ModuleSpec else ""
            if path.startswith(library) and not path.startswith(elsewhere) and os.path.exists(path):
                found.append(path)
        except Exception:  # nothing is too odd to be in there
            pass
    return found


def keep_pip_out(module: "Any", library: str) -> None:
    """``pip install`` and ``uninstall`` refuse (PEP 668) here too: pip takes it that nobody looks after a venv."""
    stock = module.check_externally_managed

    def check_externally_managed() -> None:
        if not library.startswith(sys.prefix + "/lib/"):
            stock()
            return
        error = module.ExternallyManagedEnvironment.from_config(library + "/EXTERNALLY-MANAGED")
        error.note_stmt = error.hint_stmt = None  # how to break a system's Python
        raise error

    module.check_externally_managed = check_externally_managed


def leave_store_out(module: "Any", library: str) -> None:
    """All of the store is third-party code: ``coverage`` follows links before it asks what is."""
    name = "_add_third_party_paths" if hasattr(module, "_add_third_party_paths") else "add_third_party_paths"
    stock = getattr(module, name)

    def add_third_party_paths(paths: "set[str]") -> None:
        stock(paths)
        paths.add(library.rsplit("/", 4)[0] + "/store")

    setattr(module, name, add_third_party_paths)


AMENDED = {"pip/_internal/utils", "coverage"}
AMENDMENTS: "dict[str, Callable[[Any, str], None]]" = {
    "pip._internal.utils.misc": keep_pip_out,
    "coverage.inorout": leave_store_out,
}

LOADERS = [
    (SourceFileLoader if loader is _external.SourceFileLoader else loader, suffixes)
    for loader, suffixes in _stock._get_supported_file_loaders()  # noqa: SLF001  # the only place that knows them
]
SUFFIXES = [*_imp.extension_suffixes(), ".py", ".pyc"]
"""What the records of a map count. Where a program adds to the lists of ``importlib.machinery`` (Hy), no map can answer."""


def amending_loaders() -> "list[tuple[Any, list[str]]]":
    """For folders with a module of a tool that is wrong about an environment whose files are a store's.

    Made for them alone: to make the class is a thirtieth of what every start would have to do.
    """

    class AmendingLoader(SourceFileLoader):
        def exec_module(self, module: "ModuleType") -> None:
            """The module as the stock loader makes it, then told what it cannot know; without that where it has changed."""
            super().exec_module(module)
            amend = AMENDMENTS.get(module.__name__)
            if amend is not None:
                try:
                    amend(module, self.path.rsplit("/site-packages/", 1)[0])
                except Exception:
                    pass

        exec_module.__code__ = exec_module.__code__.replace(co_filename=IMPORTLIB)

    return [(AmendingLoader if loader is SourceFileLoader else loader, suffixes) for loader, suffixes in LOADERS]


class FileFinder(_external.FileFinder):
    """The stock finder of one folder, which answers from the import map.

    It is built like the stock one, and is one until it is given an import map. ``_table`` is {tail: record}, or None
    for the view itself before the first question.
    """

    _map: "ImportMap | None" = None
    _table: "dict[str, int] | None" = None
    _changed = False
    _loaders: "list[tuple[str, Any]]"
    _get_spec: "Callable[..., ModuleSpec]"

    def answer_from(self, import_map: "ImportMap", table: "dict[str, int] | None") -> None:
        """Stop asking the file system."""
        self._map, self._table = import_map, table

    def find_spec(self, fullname: str, target: "ModuleType | None" = None) -> "ModuleSpec | None":
        """The spec that the stock finder gives, found by one probe; a miss asks no file system."""
        if self._map is None:
            return super().find_spec(fullname, target)
        if self._table is None:
            self._table = self._map.top_level()
        tail = fullname.rpartition(".")[2]
        record = self._table.get(tail)
        if record is None:
            # Bytecode comes after the map, so the map cannot know its folders.
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
        """Somebody says that the folder has changed: what the map does not know is looked for on disk from now on."""
        self._changed = True
        super().invalidate_caches()


class ImportMap:
    """The import map of one environment, read piece by piece: from the published file, or from what the daemon sent.

    The file is five times faster where it is in the page cache, so that the daemon is asked where it is not.

    ``view`` is the site-packages folder, ``complain`` takes the one line that says why the map cannot be used.
    ``cold`` is whether the file was not in the page cache, None as long as nobody looked.
    Threads may race: each step stores a whole value that any other thread would have computed too.
    """

    def __init__(self, root: str, view: str, address: "str | None", complain: "Callable[[str], None]") -> None:
        self.root = root
        self.view = view
        self.address = address
        self.complain = complain
        self.failed = False
        self.cold: "bool | None" = None
        self.begun = False
        self.pack: "Pack | None" = None
        self._index: "Any" = None  # (names, sections, where they start, read)
        self._tables: "dict[str, dict[str, dict[str, int]]]" = {}

    def finder(self, folder: str) -> "FileFinder | None":
        """The finder of a folder below the view, or of the view itself (""); None where the map does not know it."""
        table = self.table(folder) if folder else None
        if folder and table is None:
            return None
        path = f"{self.view}/{folder}" if folder else self.view
        finder = FileFinder(path, *(amending_loaders() if folder in AMENDED else LOADERS))
        if [suffix for suffix, _ in finder._loaders] == SUFFIXES:  # noqa: SLF001  # of our own class
            finder.answer_from(self, table)
        return finder

    def top_level(self) -> "dict[str, int]":
        """The names right below the view; none when the map cannot be used."""
        try:
            names: "dict[str, int]" = self._opened()[0]
        except Exception as error:
            self._fail(error)
            return {}
        return names

    def table(self, folder: str) -> "dict[str, int] | None":
        """The names in a folder below the view; None where the map does not know it or cannot be used."""
        top = folder.partition("/")[0]
        try:
            tables = self._tables.get(top)
            if tables is None:
                tables = self._tables[top] = self._section(top)
                if self.cold and not (self.pack is not None and self.pack.fetch_ahead(top)):
                    fetch_ahead(self.view, top, tables)
            return None if self.failed else tables.get(folder)
        except Exception as error:
            self._fail(error)
            return None

    def begin(self) -> None:
        """Something is about to be imported from the view: from its pack, where it has one that can be used."""
        self.begun = True
        VIEWS[self.root] = self.view
        try:
            self.pack = Pack(self.root, self.view)
        except Exception:
            pass

    def _fail(self, error: Exception) -> None:
        if not self.failed:
            self.failed = True
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
        # Opened anew for each piece: a program may close all descriptors it does not know, and open others.
        descriptor = os.open(self.root + "/import-map", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
        try:
            status = os.fstat(descriptor)
            if status.st_mode & 0o170022 != 0o100000 or not trusted(status.st_uid, __file__):
                raise PermissionError("not a file that only its trusted owner can write")
            if self.cold is None:
                self.cold = is_cold(descriptor)
            return os.pread(descriptor, min(length, max(status.st_size - offset, 0)), offset)
        finally:
            os.close(descriptor)

    def _ask(self) -> bool:
        """Whether the daemon, asked at most once, sent a map; whatever it does otherwise, the published file serves."""
        address, self.address = self.address, None
        if address:
            try:
                body = ask(address, self.root)
                self._index = self._open(lambda offset, length: body[offset : offset + length])
            except Exception:
                return False
        return bool(address)


def is_cold(descriptor: int) -> bool:
    """Whether the first page of the open file had to be waited for: then so will be what it is about.

    The kernel tells by ``preadv2`` with ``RWF_NOWAIT`` too, but Linux 6 begins to read then, and a quick disk has the page there at once.
    """
    begin = monotonic()
    try:
        os.pread(descriptor, 1, 0)
        there = monotonic()
        os.pread(descriptor, 1, 0)
    except OSError:
        return False
    return there - begin - (monotonic() - there) > COLD  # where each call takes long it takes so twice


def fetch_ahead(view: str, top: str, tables: "dict[str, dict[str, int]]") -> None:
    """Let the kernel read the native libraries of a package that is about to be imported: all at once, not page by page."""
    suffixes = _imp.extension_suffixes()
    paths = [
        f"{view}/{folder}/{tail}{suffixes[record % MODULE]}"
        for folder, table in tables.items()
        for tail, record in table.items()
        if MODULE <= record < MODULE + len(suffixes)
    ]
    if len(paths) > MOST_AHEAD:  # one import never needs them all
        paths = []
    try:
        paths += [f"{view}/{top}.libs/{name}" for name in os.listdir(f"{view}/{top}.libs")]
    except OSError:
        pass
    for path in paths:
        ask_kernel(path)


def decode(data: bytes, length: int, checksum: int) -> "Any":
    """The value in one part of a map; ValueError where it is not what was written."""
    if len(data) != length or int.from_bytes(data, "little") % PRIME != checksum:
        raise ValueError("damaged")
    return marshal.loads(data)


def trusted(uid: int, path: str) -> bool:
    """Whether what this user made may be used: it is us, root, or whoever owns the path."""
    return uid in (os.geteuid(), 0) or uid == os.stat(path).st_uid


def ask(address: str, root: str) -> bytes:
    """The map of the environment, from the daemon at this Unix socket; an exception after ``DEADLINE`` at the latest."""
    import _socket

    deadline = monotonic() + DEADLINE
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)

    def wait_at_most(option: int) -> None:
        # The kernel's own timeouts, a struct timeval: only so does one call wait for the whole map, and copy it once.
        microseconds, word = int((deadline - monotonic()) * 1e6), 8 if sys.maxsize >> 32 else 4
        if microseconds <= 0:
            raise TimeoutError(address)
        timeval = [part.to_bytes(word, sys.byteorder) for part in divmod(microseconds, 1000000)]
        connection.setsockopt(_socket.SOL_SOCKET, option, b"".join(timeval))

    try:
        wait_at_most(_socket.SO_SNDTIMEO)
        connection.connect(address)
        if not trusted(peer_of(connection), root):
            raise PermissionError(address)
        request = f"GET /v1/environments/{os.path.basename(root)}/import-map HTTP/1.1\r\nHost: storectl\r\n"
        connection.sendall(request.encode() + b"Connection: close\r\n\r\n")
        wait_at_most(_socket.SO_RCVTIMEO)
        head, end, _ = connection.recv(1 << 10, _socket.MSG_PEEK).partition(b"\r\n\r\n")  # it comes in one piece
        length = content_length(head if end else b"")
        connection.recv(len(head + end))
        wait_at_most(_socket.SO_RCVTIMEO)
        body: bytes = connection.recv(length, _socket.MSG_WAITALL)
    finally:
        connection.close()
    if len(body) != length:
        raise EOFError(address)
    return body


def content_length(head: bytes) -> int:
    """The bytes of the map that follows the head of an answer; ValueError where none does."""
    status, *lines = head.split(b"\r\n")
    fields = dict(line.lower().split(b":", 1) for line in lines)
    length = fields.get(b"content-length", b"").strip()
    if status[:13] != b"HTTP/1.1 200 " or not length.isdigit() or int(length) > LARGEST:
        raise ValueError(status)
    return int(length)


def peer_of(connection: "Any") -> int:
    """The user id at the other end: ``struct ucred`` on Linux, ``struct xucred`` on macOS, both have it at byte 4."""
    linux = sys.platform == "linux"
    credentials = connection.getsockopt(1, 17, 12) if linux else connection.getsockopt(0, 1, 76)
    return int.from_bytes(credentials[4:8], sys.byteorder)
