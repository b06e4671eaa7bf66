"""Read an image: its head alone, or all of it.

Nothing is taken for granted. A member is refused before anything is made of it: paths are relative and straight, there
are files, folders and symbolic links only, links stay in the image or lead to the interpreter or to a layer that the
head names. What was read counts only if its digest is the one in the head.
"""

import hashlib
import posixpath
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Protocol, cast

from isal import igzip, igzip_lib

from storectl_store.digest import Digest
from storectl_store.errors import ImageError
from storectl_store.images.image_errors import image_errors
from storectl_store.images.image_head import HEAD_NAME, LARGEST_HEAD, ImageHead, TreeDigest, decode_head

_GZIP = b"\x1f\x8b"
_SQUASHFS = b"hsqs"
_BLOCK = 512  # bytes; a tar archive is made of these
_PARTS = frozenset({"environments", "store", "meta", "packs"})
_FILES = (tarfile.REGTYPE, tarfile.AREGTYPE)
_WRONG: tuple[type[Exception], ...] = (
    tarfile.TarError,
    EOFError,
    zlib.error,
    cast("type[Exception]", igzip_lib.IsalError),
    igzip.BadGzipFile,
    ValueError,
    OverflowError,
)
"""What the readers of tar and gzip raise for bytes that are none."""


class Sink(Protocol):
    """What becomes of the members of an image. Folders come before what is in them."""

    def begin(self, head: ImageHead) -> None:
        """Called first."""
        ...

    def folder(self, path: str) -> None:
        """A folder."""
        ...

    def file(self, path: str, content: bytes, *, executable: bool) -> None:
        """A file."""
        ...

    def link(self, path: str, target: str) -> None:
        """A symbolic link."""
        ...


class Nothing:
    """Makes nothing of an image: it is only checked."""

    def begin(self, head: ImageHead) -> None:
        """Nothing."""

    def folder(self, path: str) -> None:
        """Nothing."""

    def file(self, path: str, content: bytes, *, executable: bool) -> None:
        """Nothing."""

    def link(self, path: str, target: str) -> None:
        """Nothing."""


def read_head(file: Path) -> ImageHead:
    """The head of an image; little more of the file is read. Raises ImageError or StoreFullError."""
    with image_errors(f"use the image {file}", file), _whole(file), file.open("rb") as stream:
        start = stream.read(2 * _BLOCK)
        if start[:2] == _GZIP:
            start = _inflated(start, stream)
        member = tarfile.TarInfo.frombuf(start[:_BLOCK], "utf-8", "surrogateescape")
        _check_head(member)
        content = start[_BLOCK : _BLOCK + member.size]
        if start[:2] != _GZIP and len(content) < member.size:
            content += stream.read(member.size - len(content))
        if len(content) < member.size:
            raise EOFError
        return decode_head(content, str(file))


def _inflated(start: bytes, stream: IO[bytes]) -> bytes:
    """The first bytes of a gzip stream of which ``start`` was read: all of the head's member, or all that is there."""
    inflate, found = zlib.decompressobj(wbits=31), b""
    while start and len(found) < _BLOCK + LARGEST_HEAD:
        found += inflate.decompress(start, _BLOCK + LARGEST_HEAD)
        if len(found) >= _BLOCK:
            member = tarfile.TarInfo.frombuf(found[:_BLOCK], "utf-8", "surrogateescape")
            if len(found) >= _BLOCK + member.size:
                break
        start = stream.read(1 << 14)
    return found


def _check_head(member: tarfile.TarInfo) -> None:
    if member.name != HEAD_NAME or member.type not in _FILES or member.size > LARGEST_HEAD:
        raise ValueError(member.name)


def read_image(file: Path, sink: Sink) -> ImageHead:
    """Read all of an image, and give what is in it to ``sink``. Returns its head.

    Raises ImageError if it is not whole: then what the sink was given is worth nothing. An OSError of the sink passes.
    """
    with image_errors(f"use the image {file}", file), file.open("rb") as stream, _whole(file):
        start = stream.read(len(_SQUASHFS))
        stream.seek(0)
        if start[:2] == _GZIP:
            with igzip.IGzipFile(fileobj=stream, mode="rb") as inflated:  # type: ignore[no-untyped-call]
                return _read_tar(cast("IO[bytes]", inflated), file, sink)
        return _read_tar(stream, file, sink)


def _read_tar(stream: IO[bytes], file: Path, sink: Sink) -> ImageHead:
    with tarfile.open(fileobj=stream, mode="r|", encoding="utf-8", errors="surrogateescape") as archive:
        members = iter(archive)
        first = next(members, None)
        if first is None:
            raise EOFError
        _check_head(first)
        head = decode_head(_content(archive, first), str(file))
        sink.begin(head)
        reader = _Reader(archive, head, sink)
        for member in members:
            reader.take(member)
    while stream.read(1 << 20):
        pass  # to the end, where gzip has its sum
    if reader.digest() != head.tree:
        raise ValueError(head.tree)
    return head


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    opened = archive.extractfile(member)
    content = opened.read() if opened is not None else b""
    if len(content) != member.size:
        raise EOFError
    return content


class _Reader:
    """Takes one member of an image after the other, and counts them."""

    def __init__(self, archive: tarfile.TarFile, head: ImageHead, sink: Sink) -> None:
        self._archive = archive
        self._head = head
        self._sink = sink
        self._tree = TreeDigest()
        self._folders = {""}
        self._python = f"environments/{head.environment}/bin/python"

    def take(self, member: tarfile.TarInfo) -> None:
        """Take a member. Raises ValueError if it is refused."""
        path = member.name
        _check_path(path)
        if posixpath.dirname(path) not in self._folders or self._tree.members >= self._head.members:
            raise ValueError(path)
        if member.isdir():
            self._folders.add(path)
            self._tree.add_folder(path)
            self._sink.folder(path)
        elif member.issym():
            self._check_target(path, member.linkname)
            self._tree.add_link(path, member.linkname)
            self._sink.link(path, member.linkname)
        elif member.type in _FILES and self._tree.size + member.size <= self._head.size:
            content, executable = _content(self._archive, member), bool(member.mode & 0o100)
            self._tree.add_file(path, len(content), hashlib.sha256(content).hexdigest(), executable=executable)
            self._sink.file(path, content, executable=executable)
        else:
            raise ValueError(path)

    def digest(self) -> Digest:
        """The digest of what was taken, under the head and its own counts."""
        return self._tree.under(replace(self._head, members=self._tree.members, size=self._tree.size))

    def _check_target(self, path: str, target: str) -> None:
        if path == self._python and target == self._head.executable and target.startswith("/"):
            return
        parts = target.split("/")
        if target.startswith("/"):
            straight = not {"", ".", ".."} & set(parts[1:])
            right = straight and any(target.startswith(f"{layer}/store/") for layer in self._head.layers)
        else:
            names = [part for part in parts if part != ".."]
            straight = parts == [".."] * (len(parts) - len(names)) + names and not {"", "."} & set(names)
            right = straight and len(parts) - len(names) <= path.count("/")
        if not right or "\0" in target:
            raise ValueError(path)


def _check_path(path: str) -> None:
    parts = path.split("/")
    if {"", ".", ".."} & set(parts) or "\0" in path or not (parts[0] in _PARTS or path == "VERSION"):
        raise ValueError(path)


@contextmanager
def _whole(file: Path) -> Iterator[None]:
    """Raise what wrong bytes lead to as ImageError."""
    try:
        yield
    except _WRONG as error:
        with file.open("rb") as stream:
            squashfs = stream.read(len(_SQUASHFS)) == _SQUASHFS
        if squashfs:
            hint = "mount it (in the prolog of the job), and name the folder instead"
            raise ImageError(f"{file} is a squashfs, which is not unpacked", hint=hint, path=str(file)) from error
        hint = "build it again, or copy it again: a copy may be short or damaged"
        raise ImageError(f"{file} is not a whole image", hint=hint, path=str(file)) from error
