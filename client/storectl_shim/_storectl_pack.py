r"""Faster ways to the bytes that a program loads: packs, files read ahead, the daemon. The part of the shim for them.

CPython 3.9 to 3.14. A copy is beside the site-packages folder ("the view") of each environment; ``_storectl_map``
beside it loads it when the environment has a pack, when a program has imported much that is in no pack, when a module
has no bytecode, or when the import map was not in the page cache.

The file ``<store>/packs/<environment id>``, format 3, holds a second copy of ``.pyc`` files: those of the modules
that programs of the environment import, in the order in which they do (``Pack``). The daemon makes it from the files
that programs write at their end, ``<cache>/storectl/imports<environment>``, format 2 (``record``). Sources are paths
relative to site-packages::

    storectl pack 3 <environment id> <cache tag> <bytes after the table> <length of table> <checksum of table>\n
    <table>       {source: (offset, length)}    offset from the end of the table
    <.pyc>*

    storectl imports 2\n
    (<source>\n)*

The bytecode that the daemon is making of entries (``early``) is, until it is durable, in the folder of the same path in
``<store>/tmp/<session>/early.<boot id>/<prefix>`` as in the entry's site-packages. What is there is whole while this
boot lasts. A power cut may leave half of a file, so other boots do not look at it.
"""

import _frozen_importlib_external as _external
import _imp
import os
import sys
from time import monotonic  # built in, and loaded at every start

TYPE_CHECKING = False  # type checkers take it for true; to import typing would take too long here
if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Mapping, Sized
    from typing import Any

PACK_MAGIC = b"storectl pack 3"
RECORD_MAGIC = b"storectl imports 2"
RUN = (1 << 17) - 64  # bytes of a pack that are read at once; malloc would map and unmap more each time
SLOW = 1e-3  # seconds of a read: from memory RUN takes some 20 us, from a disk 100, from another machine a few ms
WHOLE = 1 << 26  # bytes of a pack that is too large to be kept
SHARE = 16  # one module in no pack for each so many that packs have is no reason for a new pack
MODULE = 64  # the kind of a record of the import map that is a module
MOST_AHEAD = 64  # native modules of one package
BYTES_AHEAD = 4 << 20  # of each library, from its front: of a large one a program uses little besides
SESSIONS, EARLY = "tmp", "early."  # folders for unfinished things, by writer; for bytecode in each, by boot
DEADLINE = 0.020  # seconds for the daemon's whole answer
LARGEST = 1 << 27  # bytes of a map


class Pack:
    """The bytecode of many modules of one environment, in one file. It must be whole, and of this environment.

    ``opened`` and ``decode`` are those of ``_storectl_map``. ``places`` maps each source to the offset in the file, and
    the length, of its ``.pyc``. The file is opened anew for each piece, as the import map is. If another file has taken
    its place, nothing is read: its offsets differ. Threads may race: ``_run`` is replaced as a whole.

    If the first two reads are ``SLOW``, the file is on a slow file system, where each call costs: the next read takes
    all of it, and keeps it.
    """

    _identity: "tuple[int, int, int] | None" = None  # of the file: inode, size, time
    _run: "tuple[int, bytes]" = (0, b"")  # the offset of the last read, and its bytes
    _reads = 0  # up to two
    _slow = 0  # of these

    def __init__(self, path: str, opened: "Callable[[str], tuple[int, os.stat_result]]", decode: "Any") -> None:
        self._path = path
        self._opened = opened
        start = self._read(0, RUN)
        line, newline, rest = start.partition(b"\n")
        fields = line.rsplit(b" ", 5)
        expected = [PACK_MAGIC, os.fsencode(os.path.basename(path)), os.fsencode(sys.implementation.cache_tag or "")]
        if not newline or fields[:3] != expected:
            raise ValueError("another format, environment or interpreter")
        pieces, length, checksum = map(int, fields[3:])
        begin = len(line) + 1 + length
        table = rest[:length] if begin <= len(start) else self._read(len(line) + 1, length)
        places: "dict[str, tuple[int, int]]" = decode(table, length, checksum)
        if self._identity is None or self._identity[1] != begin + pieces:
            raise ValueError("torn")
        self._run = 0, start
        self.places = {source: (begin + offset, size) for source, (offset, size) in places.items()}

    def piece(self, offset: int, length: int) -> "Any":
        """These bytes of the file; empty if it has been replaced or removed."""
        begin, run = self._run
        if not begin <= offset <= offset + length <= begin + len(run):
            end = begin + len(run)
            size = self._identity[1] if self._slow == 2 and self._identity is not None else WHOLE
            read = (0, size) if size < WHOLE else (offset, max(length, RUN) if begin <= offset <= end else length)
            try:
                run = self._read(*read)
            except OSError:
                return b""
            begin = read[0]
            self._run = begin, run
        return memoryview(run)[offset - begin : offset - begin + length]

    def _read(self, offset: int, length: int) -> bytes:
        begun = monotonic()
        descriptor, status = self._opened(self._path)
        try:
            identity = status.st_ino, status.st_size, status.st_mtime_ns
            if self._identity is None:
                self._identity = identity
            if self._identity != identity:
                raise FileNotFoundError(self._path)
            data = os.pread(descriptor, length, offset)
        finally:
            os.close(descriptor)
        if self._reads < 2:
            self._reads += 1
            self._slow += monotonic() - begun > SLOW
        return data

    def fetch_ahead(self, top: str) -> None:
        """Have the kernel read what the pack has of a package ahead of its import."""
        ask_kernel(self._path, joined(place for source, place in self.places.items() if source.startswith(top + "/")))


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


def ask_kernel(path: str, places: "Iterable[tuple[int, int]]") -> None:
    """Have the kernel read these places (offset, length) of a file. Does not wait for them."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            for offset, length in places:
                os.posix_fadvise(descriptor, offset, length, os.POSIX_FADV_WILLNEED)
        finally:
            os.close(descriptor)
    except (OSError, AttributeError):  # macOS has no posix_fadvise
        pass


def boot_id() -> str:
    """What tells this boot of the machine from all others; empty if the system does not say."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        return ""


EARLY_FOLDERS: "dict[str, list[str]]" = {}
"""By store, the folders of early bytecode that were there when a module without bytecode came first."""


def early_folders(store: str) -> "list[str]":
    """The folders of early bytecode of this boot, each with a folder for each entry; none if nothing is being made."""
    if store not in EARLY_FOLDERS:
        boot = boot_id()
        sessions = f"{store}/{SESSIONS}"
        found = [f"{sessions}/{name}/{EARLY}{boot}" for name in os.listdir(sessions)] if boot else []
        EARLY_FOLDERS[store] = [folder for folder in found if os.path.isdir(folder)]
    return EARLY_FOLDERS[store]


def early(
    path: str,
    bytecode_path: str,
    views: "Mapping[str, str]",
    opened: "Callable[[str], tuple[int, os.stat_result]]",
) -> bytes:
    """The content of the ``.pyc`` of this source, if the daemon has just made it; else empty, or an OSError.

    ``bytecode_path`` is where it will be. ``views`` are by the roots of their environments; ``opened`` is that of
    ``_storectl_map``.
    """
    for root, view in views.items():
        if not path.startswith(view + "/"):
            continue
        for folder in early_folders(root.rsplit("/", 2)[0]):
            entry, _, rest = os.path.realpath(path).rpartition("/site-packages" + path[len(view) :])
            wanted = f"{folder}/{os.path.basename(entry)}{bytecode_path[len(view) :]}"
            if not rest and os.path.exists(wanted):
                descriptor, status = opened(wanted)
                try:
                    return os.read(descriptor, status.st_size)
                finally:
                    os.close(descriptor)
    return b""


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


def is_foreign(path: str) -> bool:
    """Whether this is another account's, so that nothing can be added to it."""
    return os.stat(path).st_uid != os.geteuid()


def is_frozen(environ: "Mapping[str, str]") -> bool:
    """Whether nothing may be written: STORECTL_FROZEN."""
    return _is_true(environ.get("STORECTL_FROZEN"))


def _is_true(text: "str | None") -> bool:
    return (text or "").lower() in ("1", "true", "yes", "on", "y", "t")


def keep(path: str, data: bytes) -> None:
    """Write the file, with its folders, unless nothing may be written. What fails is no error: it saves time only."""
    if not is_frozen(os.environ):
        _external.SourceFileLoader("", "").set_data(path, data)


def may_record(root: str, told: "Container[str]", environ: "Mapping[str, str]") -> bool:
    """Whether a record of what was imported from the environment in ``root`` is of use to a daemon of this user.

    STORECTL_RECORD says so, or that it is not. Without it, the launcher has named a daemon (``told``), or this user can
    write the store: a daemon of theirs may look at it later, whoever has started this Python. In a store that they
    cannot write, as on a compute node, each process of a job would leave a file in a home folder for nobody.
    """
    if is_frozen(environ):
        return False
    said = environ.get("STORECTL_RECORD")
    return _is_true(said) if said else root in told or os.access(root.rsplit("/", 2)[0], os.W_OK)


def record_at_end(
    views: "Mapping[str, str]",
    imported: "Mapping[str, bool]",
    told: "Container[str]",
    *,
    packed: "Sized",
    fewest: int,
) -> None:
    """Have this process write its records at its end, if they are of use, and if it has a cache folder.

    ``told`` are the roots of environments whose daemon is known; the other arguments are those of ``write_records``,
    which are read at the end.
    """
    cache = cache_folder(os.environ)
    if cache and any(may_record(root, told, os.environ) for root in views):
        import atexit

        folder = cache + "/imports"
        atexit.register(write_records, folder, os.getpid(), views, imported, told, packed=packed, fewest=fewest)


def write_records(
    folder: str,
    process: int,
    views: "Mapping[str, str]",
    imported: "Mapping[str, bool]",
    told: "Container[str]",
    *,
    packed: "Sized",
    fewest: int,
) -> None:
    """Write down, for the daemon, what this process imported: for each view of which much was in no pack.

    ``views`` are by the roots of their environments; ``imported`` tells whether a pack had a module, by the path of its
    source; ``told`` are the roots of environments whose daemon is known; ``packed`` are all modules in packs. Fewer
    than ``fewest`` modules in no pack are no reason for a record.
    """
    try:
        for root, view in views.items() if process == os.getpid() else ():
            mine = [source for source in imported if source.startswith(view + "/")]
            missed = sum(not imported[source] for source in mine)
            if missed >= fewest and missed * SHARE > len(packed) and may_record(root, told, os.environ):
                text = "".join(source[len(view) + 1 :] + "\n" for source in mine if "\n" not in source)
                keep(folder + root, RECORD_MAGIC + b"\n" + os.fsencode(text))
    except Exception:
        pass


def fetch_libraries(view: str, top: str, tables: "dict[str, dict[str, int]]") -> None:
    """Have the kernel read the native libraries of a package, or their fronts, ahead of its import: all at once."""
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
    for path in paths:
        ask_kernel(path, [(0, BYTES_AHEAD)])


def ask(address: str, root: str, trusted: "Callable[[int, str], bool]") -> bytes:
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
