"""Wheels assembled piece by piece, so that each piece can lie; ``SOUND`` is one in which none does."""

import base64
import csv
import hashlib
import io
import struct
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from support.wheels import WheelRecipe

DIST_INFO = "sample-1.0.dist-info"
MODULE = "sample/__init__.py"
UTF8 = 0x0800
WITH_DESCRIPTOR = 0x0008
ABSENT = 0xFFFFFFFF


@dataclass(frozen=True, kw_only=True)
class Piece:
    """One member, with all that its headers say; ``local`` and ``central`` override fields of one header only.

    Fields of headers: name, flags, method, crc, packed_size, size, extra; and of the central one mode, offset, disk.
    """

    name: bytes
    content: bytes
    method: int = 8
    flags: int = 0
    mode: int = 0o100644
    packed: bytes | None = None
    gap: bytes = b""
    local: Mapping[str, object] = field(default_factory=dict)
    central: Mapping[str, object] = field(default_factory=dict)

    @property
    def packed_bytes(self) -> bytes:
        if self.packed is not None:
            return self.packed
        return deflated(self.content) if self.method == 8 else self.content

    def header(self, overrides: Mapping[str, object]) -> dict[str, object]:
        return {
            "name": self.name,
            "flags": self.flags,
            "method": self.method,
            "crc": zlib.crc32(self.content),
            "packed_size": len(self.packed_bytes),
            "size": len(self.content),
            "extra": b"",
            "mode": self.mode,
            "disk": 0,
            "comment": b"",
        } | dict(overrides)


@dataclass(frozen=True, kw_only=True)
class Archive:
    """A zip archive in pieces; ``end`` overrides fields of the end record, ``order`` that of the central directory."""

    pieces: tuple[Piece, ...]
    order: tuple[int, ...] | None = None
    prefix: bytes = b""
    before_directory: bytes = b""
    before_end: bytes = b""
    comment: bytes = b""
    suffix: bytes = b""
    zip64: Mapping[str, int] | None = None
    end: Mapping[str, int] = field(default_factory=dict)

    def assemble(self) -> bytes:
        out = bytearray(self.prefix)
        listed = []
        for piece in self.pieces:
            listed.append(_central(piece.header({"offset": len(out)} | dict(piece.central))))
            out += _local(piece.header(piece.local)) + piece.packed_bytes + piece.gap
        out += self.before_directory
        directory = b"".join(listed if self.order is None else [listed[n] for n in self.order])
        facts = {"count": len(self.pieces), "size": len(directory), "start": len(out)}
        out += directory + self.before_end
        if self.zip64 is not None:
            out += _zip64_end(facts | dict(self.zip64), len(out))
        return bytes(out + _end(facts | dict(self.end), self.comment) + self.comment + self.suffix)


def deflated(content: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(content) + compressor.flush()


def _local(header: Mapping[str, object]) -> bytes:
    h, name, extra = header, _bytes(header["name"]), _bytes(header["extra"])
    fields = (20, h["flags"], h["method"], 0, 0x21, h["crc"], h["packed_size"], h["size"], len(name), len(extra))
    return struct.pack("<4s5H3L2H", b"PK\x03\x04", *fields) + name + extra


def _central(header: Mapping[str, object]) -> bytes:
    h, name, extra, comment = header, _bytes(header["name"]), _bytes(header["extra"]), _bytes(header["comment"])
    sizes = (h["crc"], h["packed_size"], h["size"], len(name), len(extra), len(comment), h["disk"], 0)
    start = (0x0314, 20, h["flags"], h["method"], 0, 0x21)
    mode = h["mode"]
    assert isinstance(mode, int)
    fixed = struct.pack("<4s6H3L5H2L", b"PK\x01\x02", *start, *sizes, mode << 16, h["offset"])
    return fixed + name + extra + comment


def _end(facts: Mapping[str, int], comment: bytes) -> bytes:
    here, length = facts.get("here", facts["count"]), facts.get("comment_length", len(comment))
    values = (facts.get("disk", 0), 0, here, facts["count"], facts["size"], facts["start"], length)
    return struct.pack("<4s4H2LH", b"PK\x05\x06", *values)


def _zip64_end(facts: Mapping[str, int], position: int) -> bytes:
    values = (44, 45, 45, 0, 0, facts["count"], facts["count"], facts["size"], facts["start"])
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, facts.get("position", position), 1)
    return struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", *values) + locator


def _bytes(value: object) -> bytes:
    assert isinstance(value, bytes)
    return value


def zip64_field(*numbers: int) -> bytes:
    return struct.pack("<HH", 1, 8 * len(numbers)) + struct.pack(f"<{len(numbers)}Q", *numbers)


def unicode_path(raw: bytes, name: bytes) -> bytes:
    return struct.pack("<HHBL", 0x7075, 5 + len(name), 1, zlib.crc32(raw)) + name


def record_row(path: str, content: bytes, algorithm: str = "sha256") -> list[str]:
    digest = base64.urlsafe_b64encode(hashlib.new(algorithm, content).digest()).rstrip(b"=").decode()
    return [path, f"{algorithm}={digest}", str(len(content))]


def record_bytes(rows: Iterable[Iterable[str]]) -> bytes:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue().encode("utf-8", "surrogateescape")


def rows_of(contents: Mapping[str, bytes]) -> list[list[str]]:
    rows = [record_row(name, content) for name, content in contents.items() if not name.endswith("/")]
    return [*rows, [f"{DIST_INFO}/RECORD", "", ""]]


def contents_of(**recipe: object) -> dict[str, bytes]:
    """The members of a sound wheel without its RECORD."""
    recipe.setdefault("files", {MODULE: "VALUE = 1\n"})
    return WheelRecipe(**recipe).members()  # type: ignore[arg-type]


def archive_of(contents: Mapping[str, bytes], record: bytes | None = None) -> Archive:
    """An archive of these members and a RECORD that fits them, unless another is given."""
    finished = dict(contents) | {f"{DIST_INFO}/RECORD": record_bytes(rows_of(contents)) if record is None else record}
    return Archive(pieces=tuple(piece_of(name, content) for name, content in finished.items()))


def piece_of(name: str, content: bytes) -> Piece:
    raw = name.encode("utf-8", "surrogateescape")
    folder = name.endswith("/")
    flags = 0 if name.isascii() else UTF8
    return Piece(
        name=raw, content=content, flags=flags, method=0 if folder else 8, mode=0o40755 if folder else 0o100644
    )


def wheel_bytes(files: Mapping[str, bytes] | None = None, **recipe: object) -> bytes:
    """A wheel with these members besides the module ``sample``, all of them in RECORD."""
    return archive_of(contents_of(**recipe) | dict(files or {})).assemble()


def first(**changes: object) -> Archive:
    """The sound archive with its first member, the module, changed."""
    archive = archive_of(contents_of())
    return replace(archive, pieces=(replace(archive.pieces[0], **changes), *archive.pieces[1:]))  # type: ignore[arg-type]


def described(descriptor: str, *, signature: bool, local: Mapping[str, object] | None = None) -> Archive:
    """The sound archive with a data descriptor of this layout after the module."""
    piece = archive_of(contents_of()).pieces[0]
    values = (zlib.crc32(piece.content), len(piece.packed_bytes), len(piece.content))
    gap = (b"PK\x07\x08" if signature else b"") + struct.pack(descriptor, *values)
    zeroes = {"crc": 0, "size": 0, "packed_size": 0} if local is None else local
    return first(flags=WITH_DESCRIPTOR, gap=gap, local=zeroes)


SOUND_CONTENTS = contents_of()
SOUND = archive_of(SOUND_CONTENTS)
