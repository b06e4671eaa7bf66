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

The file ``<store>/packs/<environment id>``, format 3, holds a second copy of ``.pyc`` files: those of the modules
that programs of the environment import, in the order in which they do (``Pack``). The daemon makes it from the files
that programs write at their end, ``<cache>/storectl/imports<environment>``, format 2 (``record``). Sources are paths
relative to site-packages::

    storectl pack 3 <environment id> <cache tag> <bytes after the table> <length of table> <checksum of table>\n
    <table>       {source: (offset, length)}    offset from the end of the table
    <.pyc>*

    storectl imports 2\n
    (<source>\n)*
"""

import _frozen_importlib_external as _external
import _imp
import marshal
import os
import sys
from _frozen_importlib import ModuleSpec
from time import monotonic  # built in, and loaded at every start

TYPE_CHECKING = False  # type checkers take it for true; to import typing would take too long here
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import CodeType, ModuleType
    from typing import Any

MAGIC = b"storectl import map 1"
PRIME = 1073741789  # the largest below 2**30, one digit of an int: the modulo is a single pass
MODULE, NAMESPACE = 64, 128
PACK_MAGIC = b"storectl pack 3"
RECORD_MAGIC = b"storectl imports 2"
RUN = (1 << 17) - 64  # bytes of a pack that are read at once; malloc would map and unmap more each time
FEW = 16  # fewer modules than this that a pack lacks are no reason to make a new one
SHARE = 16  # nor is one that it lacks for each so many that it has
DEADLINE = 0.020  # seconds for the daemon's whole answer
COLD = 60e-6  # seconds; to read a page from memory takes some 10 us, from a quick disk 100
LARGEST = 1 << 27  # bytes of a map
MOST_AHEAD = 64  # native modules of one package

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
                pass
        if data[:8] != _UNCHECKED_PYC:  # not within the handler: an error in a module must not have ours as its context
            if sys.flags.optimize and bytecode_path and not data:
                return self.optimized_code(fullname, path, bytecode_path)
            return super().get_code(fullname)
        try:  # this also replaces the relative path, under which the code was compiled, by that of this view
            code: "CodeType" = _stock._compile_bytecode(memoryview(data)[16:], fullname, bytecode_path, path)  # noqa: SLF001  # unmarshals as the stock loader
        except (EOFError, ValueError, TypeError, ImportError):  # a power cut has left half of it
            data = b""
        return code if data else self.source_to_code(self.get_data(path), path)

    def optimized_code(self, fullname: str, path: str, bytecode_path: str) -> "CodeType":
        """The code for ``-O``, for which the store has no bytecode: compiled once, and kept in the user's cache.

        The path names the environment, which never changes, so there is no need to check whether the source has.
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

    # Tracebacks leave out frames of importlib, by file name, and only as far as no other frame is in between.
    get_code.__code__ = get_code.__code__.replace(co_filename=IMPORTLIB)
    optimized_code.__code__ = optimized_code.__code__.replace(co_filename=IMPORTLIB)

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


def cache_folder(environ: "Mapping[str, str]") -> str:
    """The folder in which storectl keeps what can be made again for this user; empty if it keeps nothing.

    For root it keeps nothing in another user's home folder, which ``sudo`` may have left in the variables.
    """
    base, below = environ.get("XDG_CACHE_HOME", ""), "/storectl"
    if not base.startswith("/"):
        base, below = environ.get("HOME", ""), "/.cache/storectl"
    if os.geteuid() == 0:
        try:
            if os.stat(base).st_uid != 0:
                return ""
        except OSError:
            pass
    return base + below if base.startswith("/") else ""


class Pack:
    """The bytecode of many modules of one environment, in one file. It must be whole, and of this environment.

    The file is opened anew for each piece, as the import map is. If another file has taken its place, nothing is
    read: its offsets differ. Threads may race: ``_run`` is replaced as a whole.
    """

    _identity: "tuple[int, int, int] | None" = None  # of the file: inode, size, time
    _run: "tuple[int, bytes]" = (0, b"")  # the offset of the last read, and its bytes

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
        modules: "dict[str, tuple[int, int]]" = decode(table, length, checksum)
        if self._identity is None or self._identity[1] != begin + pieces:
            raise ValueError("torn")
        self._run = 0, start
        self._begin = begin
        self._modules = modules
        PACKED.update({f"{view}/{name}": (self, begin + offset, size) for name, (offset, size) in modules.items()})

    def piece(self, offset: int, length: int) -> "Any":
        """These bytes of the file; empty if it has been replaced or removed."""
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

    def fetch_ahead(self, top: str) -> None:
        """Have the kernel read what the pack has of a package ahead of its import."""
        pieces = [place for source, place in self._modules.items() if source.startswith(top + "/")]
        ask_kernel(self._path, [(self._begin + offset, length) for offset, length in joined(pieces)])


PACKED: "dict[str, tuple[Pack, int, int]]" = {}
"""By the path of a module's source: the pack that has its bytecode, and where."""
IMPORTED: "dict[str, bool]" = {}
"""The paths of the sources whose bytecode was asked for, in order, and whether a pack had it."""
MISSED: "set[str]" = set()
"""The paths in ``IMPORTED`` that no pack had."""
VIEWS: "dict[str, str]" = {}
"""The views that something was imported from, by the roots of their environments."""


def packed(path: str) -> "Any":
    """The content of the ``.pyc`` of this source, from a pack; empty if no pack has it."""
    pack, offset, length = PACKED.get(path, (None, 0, 0))
    data = b"" if pack is None or sys.flags.optimize else pack.piece(offset, length)
    IMPORTED[path] = bool(data)
    if not data:
        MISSED.add(path)
        if len(MISSED) == FEW:
            record_at_end()
    return data


def pack_path(root: str) -> str:
    """The path of this environment's pack."""
    store, _, environment = root.rsplit("/", 2)
    return f"{store}/packs/{environment}"


def joined(places: "Iterable[tuple[int, int]]") -> "list[tuple[int, int]]":
    """The places (offset, length), those that follow each other as one."""
    found: "list[tuple[int, int]]" = []
    for offset, length in places:
        begin, before = found[-1] if found else (0, -1)
        if begin + before == offset:
            found[-1] = begin, before + length
        else:
            found.append((offset, length))
    return found


def ask_kernel(path: str, places: "Iterable[tuple[int, int]]" = ((0, 0),)) -> None:
    """Have the kernel read these places (offset, length) of a file, or all of it. Does not wait for them."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            for offset, length in places:
                os.posix_fadvise(descriptor, offset, length, os.POSIX_FADV_WILLNEED)
        finally:
            os.close(descriptor)
    except (OSError, AttributeError):  # macOS has no posix_fadvise
        pass


def record_at_end() -> None:
    """Have this process write down at its end what it imported, if it may write bytecode and has a cache folder."""
    cache = cache_folder(os.environ)
    if cache and not (sys.dont_write_bytecode or sys.flags.optimize):
        import atexit

        atexit.register(record, cache + "/imports", os.getpid())


def record(folder: str, process: int) -> None:
    """Write down, for the daemon, what this process imported: for each view of which much was in no pack."""
    try:
        for root, view in VIEWS.items() if process == os.getpid() else ():
            mine = [source for source in IMPORTED if source.startswith(view + "/")]
            missed = len(MISSED.intersection(mine))
            if missed >= FEW and missed * SHARE > len(PACKED):
                text = "".join(source[len(view) + 1 :] + "\n" for source in mine if "\n" not in source)
                _external.SourceFileLoader("", "").set_data(folder + root, RECORD_MAGIC + b"\n" + os.fsencode(text))
    except Exception:
        pass


def keep_pip_out(module: "Any", library: str) -> None:
    """Have ``pip install`` and ``uninstall`` refuse (PEP 668) in an environment too: in a venv pip allows them."""
    stock = module.check_externally_managed

    def check_externally_managed() -> None:
        if not library.startswith(sys.prefix + "/lib/"):
            stock()
            return
        error = module.ExternallyManagedEnvironment.from_config(library + "/EXTERNALLY-MANAGED")
        error.note_stmt = error.hint_stmt = None  # they say how to install into a system's Python all the same
        raise error

    module.check_externally_managed = check_externally_managed


def leave_store_out(module: "Any", library: str) -> None:
    """Have ``coverage`` take all of the store for third-party code: it follows links before it asks what is."""
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
"""The suffixes that records of a map count. If a program adds some to ``importlib.machinery`` (Hy), no map is used."""


def amending_loaders() -> "list[tuple[Any, list[str]]]":
    """The loaders for the folders of ``AMENDED``: tools that are wrong about an environment whose files are in a store.

    The class is made for those folders only: to make it at every start would take a thirtieth of the start.
    """

    class AmendingLoader(SourceFileLoader):
        def exec_module(self, module: "ModuleType") -> None:
            """Run the module as the stock loader does, then amend it. Without that, if the tool has changed."""
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
        self.complain = complain
        self.failed = False
        self.cold: "bool | None" = None
        self.begun = False
        self.pack: "Pack | None" = None
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
        for library in libraries_of(self.view, top, tables):
            ask_kernel(library)

    def begin(self) -> None:
        """Prepare for the first import from the view: use its pack, if it has one that can be used."""
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
        # Opened anew for each piece: a program may close all descriptors that it does not know, and open others.
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
        """Ask the daemon, once at most; whether it sent a map. If it did not, the published file is used."""
        address, self.address = self.address, None
        if address:
            try:
                body = ask(address, self.root)
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


def libraries_of(view: str, top: str, tables: "dict[str, dict[str, int]]") -> "list[str]":
    """The native libraries of a package, as paths: its import reads all of each, page by page if not ahead of it."""
    suffixes = _imp.extension_suffixes()
    paths = [
        f"{view}/{folder}/{tail}{suffixes[record % MODULE]}"
        for folder, table in tables.items()
        for tail, record in table.items()
        if MODULE <= record < MODULE + len(suffixes)
    ]
    if len(paths) > MOST_AHEAD:  # one import does not need so many
        paths = []
    try:
        paths += [f"{view}/{top}.libs/{name}" for name in os.listdir(f"{view}/{top}.libs")]
    except OSError:
        pass
    return paths


def decode(data: bytes, length: int, checksum: int) -> "Any":
    """The value of one part of a map; ValueError if the bytes are not those that were written."""
    if len(data) != length or int.from_bytes(data, "little") % PRIME != checksum:
        raise ValueError("damaged")
    return marshal.loads(data)


def trusted(uid: int, path: str) -> bool:
    """Whether a file of the user ``uid`` may be used: that is us, root, or the owner of ``path``."""
    return uid in (os.geteuid(), 0) or uid == os.stat(path).st_uid


def ask(address: str, root: str) -> bytes:
    """The map of the environment, from the daemon at this Unix socket; an exception after ``DEADLINE``."""
    import _socket

    deadline = monotonic() + DEADLINE
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)

    def wait_at_most(option: int) -> None:
        # The kernel's own timeouts, a struct timeval: with these, one call waits for the whole map and copies it once.
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
    """The length of the map that follows the head of an answer; ValueError if none follows."""
    status, *lines = head.split(b"\r\n")
    fields = dict(line.lower().split(b":", 1) for line in lines)
    length = fields.get(b"content-length", b"").strip()
    if status[:13] != b"HTTP/1.1 200 " or not length.isdigit() or int(length) > LARGEST:
        raise ValueError(status)
    return int(length)


def peer_of(connection: "Any") -> int:
    """The user id at the other end: at byte 4 of a ``struct ucred`` (Linux) or ``struct xucred`` (macOS)."""
    linux = sys.platform == "linux"
    credentials = connection.getsockopt(1, 17, 12) if linux else connection.getsockopt(0, 1, 76)
    return int.from_bytes(credentials[4:8], sys.byteorder)
