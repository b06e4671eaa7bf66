"""Unpacking: the members of a checked wheel become files below one new folder.

Files are made through descriptors of their folders, never through a path that could pass a symbolic link, and never
over something that is there. The result depends on the wheel alone: modes are constant, whatever the umask. Every byte
is counted, CRC-checked and hashed against RECORD on its way.
"""

import hashlib
import os
import stat
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from mmap import mmap
from pathlib import Path

from isal import igzip_lib, isal_zlib

from storectl_store.disk.descriptors import REAL_FOLDER
from storectl_store.entries.manifest import ManifestFile
from storectl_store.errors import WheelError
from storectl_store.wheel.checked import Member, Part

_WHOLE = 1 << 20  # bytes; up to here a member is handled in one piece
_CHUNK = 1 << 18  # bytes; a larger one goes by pieces that stay in the processor's cache from inflating to writing
_OPEN_FOLDERS = 64  # descriptors kept; members of one folder mostly stand together
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DAMAGED: type[Exception] = igzip_lib.error  # type: ignore[assignment]  # its stub calls the class an instance
_READABLE = 0o444
_EXECUTABLE = 0o555


class Folders:
    """The folders below ``root``, which is new, empty and ours.

    Each is made when first needed and kept open while in use.
    """

    def __init__(self, root: Path) -> None:
        self._root = os.open(root, REAL_FOLDER)
        self._open: OrderedDict[str, int] = OrderedDict()
        self._made: list[str] = []
        self._known: set[str] = set()
        self._masked = _is_masked(self._root)

    @classmethod
    @contextmanager
    def below(cls, root: Path) -> Iterator["Folders"]:
        """The folders below ``root``; their descriptors are closed with the block."""
        folders = cls(root)
        try:
            yield folders
        finally:
            folders.close()

    def create(self, folder: str, name: str, *, executable: bool) -> int:
        """Make a new file of this name and return its descriptor. Raises FileExistsError if something has the name."""
        above = self._open.get(folder)
        if above is None:
            above = self._folder(folder)
        mode = _EXECUTABLE if executable else _READABLE
        descriptor = os.open(name, _NEW_FILE, mode, dir_fd=above)
        if self._masked:
            os.fchmod(descriptor, mode)
        return descriptor

    def seal(self) -> None:
        """Take the write permission from every folder but ``root``, which must still be renamed."""
        for folder in reversed(self._made):
            os.chmod(folder, _EXECUTABLE, dir_fd=self._root)

    def close(self) -> None:
        """Close every descriptor."""
        with ExitStack() as stack:
            for descriptor in (self._root, *self._open.values()):
                stack.callback(os.close, descriptor)
        self._open.clear()

    def _folder(self, path: str) -> int:
        if not path:
            return self._root
        descriptor = self._open.get(path)
        if descriptor is not None:
            self._open.move_to_end(path)
            return descriptor
        above, _, name = path.rpartition("/")
        parent = self._folder(above)
        if path not in self._known:
            self._make(parent, name, path)
        descriptor = os.open(name, REAL_FOLDER, dir_fd=parent)
        self._open[path] = descriptor
        if len(self._open) > _OPEN_FOLDERS:
            os.close(self._open.popitem(last=False)[1])
        return descriptor

    def _make(self, parent: int, name: str, path: str) -> None:
        os.mkdir(name, 0o700, dir_fd=parent)
        if self._masked:
            os.chmod(name, 0o700, dir_fd=parent)
        self._made.append(path)
        self._known.add(path)


def _is_masked(root: int) -> bool:
    """Whether umask or a default ACL takes bits that an entry needs.

    Then each file costs one more call, to set its mode.

    Found by trying, because a process can read its umask only by changing it, for all its threads.
    """
    os.mkdir("probe", 0o777, dir_fd=root)
    given = os.stat("probe", dir_fd=root, follow_symlinks=False).st_mode
    os.rmdir("probe", dir_fd=root)
    return stat.S_IMODE(given) & 0o755 != 0o755


def unpack(data: mmap | bytes, members: Iterable[Member], folders: Folders) -> list[ManifestFile]:
    """Write every member below its part's folder. Returns them as files of a manifest.

    Raises WheelError: E_RECORD if the content does not match RECORD, E_ZIP_STRUCT if the archive contradicts it,
    E_ZIP_LIMIT if it is longer than declared, E_ZIP_COLLISION if two members have the same name on this file system.
    """
    view = memoryview(data)
    return [_unpack_member(view, member, folders) for member in members]


def write_constant(part: Part, path: str, content: bytes, folders: Folders) -> ManifestFile:
    """Write a file that the wheel does not bring, readable and not executable."""
    descriptor = _create(part, path, folders, executable=False)
    try:
        _write(descriptor, content)
    finally:
        os.close(descriptor)
    sha256 = hashlib.sha256(content).hexdigest()
    return ManifestFile(part=part, path=path, size=len(content), sha256=sha256, executable=False)


def check_content(data: mmap | bytes, member: Member) -> None:
    """Check a member's content as ``unpack`` does, and write nothing. Raises the same WheelErrors for the content."""
    _copy(memoryview(data), member, None)


def _unpack_member(view: memoryview, member: Member, folders: Folders) -> ManifestFile:
    descriptor = _create(member.part, member.path, folders, executable=member.executable)
    try:
        sha256 = _copy_whole(view, member, descriptor) or _copy(view, member, descriptor)
    finally:
        os.close(descriptor)
    return ManifestFile(member.part, member.path, member.size, sha256, member.executable)


def _create(part: Part, path: str, folders: Folders, *, executable: bool) -> int:
    folder, _, name = f"{part}/{path}".rpartition("/")
    try:
        return folders.create(folder, name, executable=executable)
    except FileExistsError as error:
        raise _refused(path, "E_ZIP_COLLISION", "it falls onto another member on this file system") from error


def _copy_whole(view: memoryview, member: Member, descriptor: int) -> str | None:
    """Copy a small sound member in one piece and return its sha256 in hex; None, and nothing written, for any other.

    Nearly all members are small and sound. ``_copy`` then says what is wrong with the others.
    """
    if member.size > _WHOLE or member.sha256 is None:
        return None
    content: bytes | memoryview = view[member.data_offset : member.data_offset + member.compressed_size]
    if member.deflated:
        inflater = igzip_lib.IgzipDecompressor()
        try:
            content = inflater.decompress(content, member.size + 1)
        except _DAMAGED:
            return None
        if not inflater.eof or inflater.unused_data:
            return None
    if len(content) != member.size or isal_zlib.crc32(content) != member.crc:
        return None
    if hashlib.sha256(content).hexdigest() != member.sha256:
        return None
    _write(descriptor, content)
    return member.sha256


def _copy(view: memoryview, member: Member, descriptor: int | None) -> str:
    """Check the member's content, write it if there is a descriptor, and return its sha256 in hex."""
    digest = hashlib.sha256()
    size = crc = 0
    for chunk in _content(view, member):
        size += len(chunk)
        if size > member.size:
            raise _refused(member.archive_name, "E_ZIP_LIMIT", f"it is longer than the {member.size} bytes declared")
        crc = isal_zlib.crc32(chunk, crc)
        digest.update(chunk)
        if descriptor is not None:
            _write(descriptor, chunk)
    if size != member.size:
        raise _refused(member.archive_name, "E_ZIP_STRUCT", f"it has {size} bytes, not the {member.size} declared")
    if crc != member.crc:
        raise _refused(member.archive_name, "E_ZIP_STRUCT", "its CRC is wrong")
    if member.sha256 is not None and digest.hexdigest() != member.sha256:
        raise _refused(member.archive_name, "E_RECORD", "its sha256 is not the one in RECORD")
    return digest.hexdigest()


def _content(view: memoryview, member: Member) -> Iterator[bytes | memoryview]:
    stored = view[member.data_offset : member.data_offset + member.compressed_size]
    if member.deflated:
        return _inflated(stored, member)
    return (stored[start : start + _CHUNK] for start in range(0, len(stored), _CHUNK))


def _inflated(stored: memoryview, member: Member) -> Iterator[bytes]:
    """The content in chunks, at most one byte more than declared. The deflate stream must fill its place exactly."""
    inflater = igzip_lib.IgzipDecompressor()  # without flags: raw deflate
    taken, room = 0, member.size + 1
    while not inflater.eof and room > 0:
        feed: bytes | memoryview = b""
        if inflater.needs_input:
            feed = stored[taken : taken + _CHUNK]
            taken += len(feed)
            if not feed:
                raise _refused(member.archive_name, "E_ZIP_STRUCT", "its deflate stream is cut short")
        try:
            chunk: bytes = inflater.decompress(feed, min(_CHUNK, room))
        except _DAMAGED as error:
            raise _refused(member.archive_name, "E_ZIP_STRUCT", "its deflate stream is damaged") from error
        if not (chunk or inflater.needs_input or inflater.eof):
            raise _refused(member.archive_name, "E_ZIP_STRUCT", "its deflate stream does not end")
        room -= len(chunk)
        yield chunk
    if inflater.eof and (inflater.unused_data or taken < len(stored)):
        raise _refused(member.archive_name, "E_ZIP_STRUCT", "something stands behind its deflate stream")


def _write(descriptor: int, data: bytes | memoryview) -> None:
    written = os.write(descriptor, data)
    while written < len(data):  # a signal or a nearly full disk cuts a write short
        written += os.write(descriptor, data[written:])


def _refused(name: str, code: str, reason: str) -> WheelError:
    return WheelError(
        f"the member {name!r} is refused: {reason}",
        code=code,
        hint="the wheel is damaged or was made to deceive; tell its publisher",
        member=name,
    )
