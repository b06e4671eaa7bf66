"""Hostile wheels, one per way to be it, each with the code that it must be refused with."""

import hashlib
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from packaging.utils import NormalizedName

from storectl_store.wheel.checked import Expectation
from support.zip_pieces import (
    ABSENT,
    DIST_INFO,
    MODULE,
    SOUND,
    SOUND_CONTENTS,
    UTF8,
    WITH_DESCRIPTOR,
    Archive,
    Piece,
    archive_of,
    deflated,
    described,
    first,
    piece_of,
    record_bytes,
    record_row,
    rows_of,
    unicode_path,
    wheel_bytes,
    zip64_field,
)

FILENAME = "sample-1.0-py3-none-any.whl"


@dataclass(frozen=True, kw_only=True)
class Wheel:
    """A wheel for one test. ``code`` is the refusal to expect, empty for a wheel that has to pass."""

    name: str
    data: bytes
    code: str = ""
    filename: str = FILENAME
    size: int | None = None
    digests: Mapping[str, str] | None = None
    locked_name: str | None = None
    locked_version: str | None = None
    warning: str = ""

    @property
    def expectation(self) -> Expectation:
        digests = {"sha256": hashlib.sha256(self.data).hexdigest()} if self.digests is None else dict(self.digests)
        name = None if self.locked_name is None else NormalizedName(self.locked_name)
        return Expectation(
            filename=self.filename, digests=digests, size=self.size, name=name, version=self.locked_version
        )


def _hostile_digests() -> Iterator[Wheel]:
    data = SOUND.assemble()
    sha256 = hashlib.sha256(data).hexdigest()
    sha512 = hashlib.sha512(data).hexdigest()
    wrong = "0" * 64
    cases: dict[str, dict[str, str]] = {
        "another sha256": {"sha256": wrong},
        "sha256 right, sha512 wrong": {"sha256": sha256, "sha512": "0" * 128},
        "sha512 right, sha256 wrong": {"sha256": wrong, "sha512": sha512},
        "md5 only": {"md5": hashlib.md5(data).hexdigest()},
        "sha1 only": {"sha1": hashlib.sha1(data).hexdigest()},
        "no digest": {},
        "a digest with an escape sequence": {"sha256": "\x1b[2J"},
    }
    for name, digests in cases.items():
        yield Wheel(name=name, data=data, code="E_HASH", digests=digests)
    yield Wheel(name="larger than locked", data=data, code="E_HASH", size=len(data) - 1)
    yield Wheel(name="smaller than locked", data=data, code="E_HASH", size=len(data) + 1)


def _hostile_structure() -> Iterator[Wheel]:
    sound = SOUND.assemble()
    module = SOUND.pieces[0]
    size, packed = len(module.content), len(module.packed_bytes)
    wide = {"size": ABSENT, "packed_size": ABSENT}
    cases: dict[str, Archive | bytes] = {
        "nothing": b"",
        "no archive": b"not a zip archive",
        "truncated by one byte": sound[:-1],
        "half": sound[: len(sound) // 2],
        "prefix": b"#!/bin/sh\n" + sound,
        "prefix that offsets know": replace(SOUND, prefix=b"MZ"),
        "suffix": sound + b"\0",
        "second archive after it": sound + sound,
        "second archive before it": replace(SOUND, prefix=sound),
        "second end record in the comment": replace(SOUND, comment=b"PK\x05\x06" + bytes(18)),
        "broken end record in the comment": replace(SOUND, comment=b"PK\x05\x06"),
        "comment shorter than it says": replace(SOUND, end={"comment_length": 9}),
        "gap between members": first(gap=b"\0"),
        "gap before the directory": replace(SOUND, before_directory=b"\0"),
        "gap before the end record": replace(SOUND, before_end=b"\0"),
        "count too small": replace(SOUND, end={"count": 3}),
        "count too large": replace(SOUND, end={"count": 5}),
        "directory too short": replace(SOUND, end={"size": 46}),
        "directory outside the file": replace(SOUND, end={"start": 0x7FFFFFFF}),
        "several disks": replace(SOUND, end={"disk": 1}),
        "two counts": replace(SOUND, end={"here": 1}),
        "member on another disk": first(central={"disk": 1}),
        "overlap": replace(SOUND, pieces=(*SOUND.pieces, replace(SOUND.pieces[0], central={"offset": 0}))),
        "local header elsewhere": first(central={"offset": 1}),
        "local header beyond the directory": first(central={"offset": 0x7FFFFFFF}),
        "another name in the local header": first(local={"name": b"sample/__main__.p"}),
        "another method in the local header": first(local={"method": 0}),
        "other flags in the local header": first(local={"flags": UTF8}),
        "another CRC in the local header": first(local={"crc": 1}),
        "another size in the local header": first(local={"size": 1}),
        "another packed size in the local header": first(local={"packed_size": packed + 1}),
        "another packed size in the directory": first(central={"packed_size": packed + 1}),
        "stored with two sizes": first(method=0, local={"size": size + 1}, central={"size": size + 1}),
        "descriptor missing": first(flags=WITH_DESCRIPTOR),
        "descriptor that contradicts": first(flags=WITH_DESCRIPTOR, gap=struct.pack("<LLL", 1, packed, size)),
        "descriptor without its flag": first(gap=struct.pack("<LLL", zlib.crc32(module.content), packed, size)),
        "descriptor after sizes that contradict": described("<LLL", signature=True, local={"size": size + 1}),
        "zip64 sizes that contradict": first(central={"extra": zip64_field(size + 1, packed)}),
        "zip64 sizes that are missing": first(central=wide),
        "zip64 sizes that are cut": first(central=wide | {"extra": struct.pack("<HHL", 1, 4, size)}),
        "zip64 field with too much": first(central={"extra": zip64_field(size, packed, 0, 0, 0)}),
        "zip64 size of one header only": first(local={"size": ABSENT, "extra": zip64_field(size + 1)}),
        "zip64 end record that contradicts": replace(SOUND, zip64={"count": 5}),
        "zip64 locator that points elsewhere": replace(SOUND, zip64={"position": 0}),
        "extra field that is cut": first(central={"extra": b"\x55\x54\x09\x00\x01"}),
        "17 extra fields": first(local={"extra": b"".join(struct.pack("<HH", kind, 0) for kind in range(100, 117))}),
        "extra field twice": first(local={"extra": zip64_field(size, packed) * 2}),
        "unicode path of another name": first(central={"extra": unicode_path(module.name, b"sample/evil.py")}),
        "unicode path of another checksum": first(local={"extra": unicode_path(b"other", module.name)}),
    }
    for name, archive in cases.items():
        yield Wheel(name=name, data=archive if isinstance(archive, bytes) else archive.assemble(), code="E_ZIP_STRUCT")


def _hostile_names() -> Iterator[Wheel]:
    names = {
        "absolute": "/etc/passwd",
        "parent": "../evil.py",
        "parent in the middle": "sample/../../evil.py",
        "dot": "sample/./evil.py",
        "empty part": "sample//evil.py",
        "only a slash": "/",
        "no name": "",
        "backslash": "..\\evil.py",
        "drive": "C:evil.py",
        "NUL": "sample/a.py\0.txt",
        "escape sequence": "sample/\x1b[2Jevil.py",
        "newline": "sample/a\nb.py",
        "C1 control": "sample/a\x9bb.py",
        "bidi override": "sample/a\u202eyp.py",
        "zero width": "sample/a\u200bb.py",
        "line separator": "sample/a\u2028b.py",
        "invalid UTF-8": "sample/\udcff.py",
        "trailing dot": "sample/evil.py.",
        "trailing space in a folder": "sample /evil.py",
        "folder with a trailing dot and a bidi override": "sample\u202e./",
        "part of 256 bytes": f"sample/{'a' * 256}",
        "path of 515 bytes": "/".join(["a" * 171] * 3) + "/",
        "path of 600 bytes in 300 characters": "/".join(["é" * 99] * 3),
        "name of 60,000 bytes": "a" * 60_000,
    }
    for case, name in names.items():
        piece = Piece(name=name.encode("utf-8", "surrogateescape"), content=b"", method=0, flags=UTF8)
        yield Wheel(name=f"name: {case}", data=_with(piece), code="E_ZIP_NAME")
    undeclared = Piece(name="sample/é.py".encode(), content=b"")
    yield Wheel(name="name: not ASCII, not declared as UTF-8", data=_with(undeclared), code="E_ZIP_NAME")


def _with(*pieces: Piece) -> bytes:
    """The sound archive with more members, which RECORD does not know."""
    return replace(SOUND, pieces=(*SOUND.pieces, *pieces)).assemble()


def _hostile_features() -> Iterator[Wheel]:
    cases = {
        "encrypted": first(flags=0x0001),
        "strongly encrypted": first(flags=0x0041),
        "masked headers": first(flags=0x2000),
        "bzip2": first(method=12),
        "LZMA": first(method=14),
        "zstandard": first(method=93),
        "AES": first(method=99, flags=0x0001),
        "symlink": first(mode=0o120777),
        "character device": first(mode=0o020644),
        "block device": first(mode=0o060644),
        "pipe": first(mode=0o010644),
        "socket": first(mode=0o140644),
        "folder without a slash": first(mode=0o040755),
        "folder with contents": first(name=b"sample/"),
        "symlink with a slash": first(name=b"sample/", content=b"", mode=0o120777),
    }
    for name, archive in cases.items():
        yield Wheel(name=f"feature: {name}", data=archive.assemble(), code="E_ZIP_FEATURE")


def _hostile_limits() -> Iterator[Wheel]:
    big = 4 << 30
    huge = {"size": ABSENT, "extra": zip64_field(big + 1)}
    bomb = {"size": 65 << 20}
    metadata = SOUND.pieces[1]
    lying = replace(metadata, packed=deflated(metadata.content + bytes(1 << 20)))
    cases = {
        "50,001 members": replace(SOUND, end={"count": 50_001, "here": 50_001}),
        "65 folders deep": first(name=b"a/" * 65 + b"b"),
        "over 4 GiB": first(local=huge, central=huge),
        "ratio over 200": first(local=bomb, central=bomb),
        "METADATA longer than declared": replace(SOUND, pieces=(SOUND.pieces[0], lying, *SOUND.pieces[2:])),
        "RECORD of empty lines": archive_of(SOUND_CONTENTS, record_bytes(rows_of(SOUND_CONTENTS)) + b"\n" * (2 << 20)),
        "METADATA of 17 MiB": archive_of(SOUND_CONTENTS | {f"{DIST_INFO}/METADATA": bytes(17 << 20)}),
    }
    for name, archive in cases.items():
        yield Wheel(name=f"limit: {name}", data=archive.assemble(), code="E_ZIP_LIMIT")
    deep = [Piece(name=b"".join(b"%d.%d/" % (n, k) for k in range(60)) + b"x", content=b"") for n in range(840)]
    yield Wheel(name="limit: over 50,000 folders", data=_with(*deep), code="E_ZIP_LIMIT")
    many = [Piece(name=b"sample/%d" % n, content=b"", local=s, central=s) for n in range(5) for s in [_sizes(big)]]
    yield Wheel(name="limit: over 16 GiB in all", data=_with(*many), code="E_ZIP_LIMIT")
    flat = [
        Piece(name=b"sample/%d" % n, content=bytes(30 << 10), local=s, central=s)
        for n in range(3)
        for s in [_sizes(33 << 20)]
    ]
    yield Wheel(name="limit: ratio over 200 in all", data=_with(*flat), code="E_ZIP_LIMIT")


def _sizes(size: int) -> dict[str, object]:
    return {"size": ABSENT, "extra": zip64_field(size)}


def _hostile_collisions() -> Iterator[Wheel]:
    data = "sample-1.0.data"
    cases = {
        "one name twice": [MODULE],
        "upper case": ["sample/__INIT__.py"],
        "two compositions": ["sample/\u00e9.py", "sample/e\u0301.py"],
        "sharp s": ["sample/stra\u00dfe.py", "sample/STRASSE.py"],
        "purelib over the root": [f"{data}/purelib/{MODULE}"],
        "purelib over platlib": [f"{data}/purelib/x.py", f"{data}/platlib/X.py"],
        "file and folder": ["sample/a", "sample/a/b.py"],
        "file and folder in other case": ["sample/A/b.py", "sample/a"],
        "file and folder entry": ["sample/a", "sample/A/"],
        "folder after spreading": [f"{data}/purelib/sample"],
    }
    for name, members in cases.items():
        pieces = [piece_of(member, b"") for member in members]
        yield Wheel(name=f"collision: {name}", data=_with(*pieces), code="E_ZIP_COLLISION")
    other = SOUND_CONTENTS[MODULE].replace(b"1", b"2")
    for kind in ("purelib", "platlib"):
        twice = wheel_bytes({f"{data}/{kind}/{MODULE}": other})
        yield Wheel(name=f"collision: another file in {kind}", data=twice, code="E_ZIP_COLLISION")
    same = {f"{data}/purelib/{MODULE.upper()}": SOUND_CONTENTS[MODULE]}
    yield Wheel(name="collision: equal, in other case", data=wheel_bytes(same), code="E_ZIP_COLLISION")
    forged = piece_of(f"{data}/platlib/{MODULE}", _of_same_crc(SOUND_CONTENTS[MODULE]))
    yield Wheel(name="collision: another file of the same size and CRC", data=_with(forged), code="E_ZIP_COLLISION")
    contents = SOUND_CONTENTS | {f"{data}/platlib/{MODULE}": SOUND_CONTENTS[MODULE]}
    rows = [record_row(name, b"other" if ".data" in name else content) for name, content in contents.items()]
    sized = [[name, digest, str(len(contents[name]))] for name, digest, _ in rows]
    lying = archive_of(contents, record_bytes([*sized, [f"{DIST_INFO}/RECORD", "", ""]])).assemble()
    yield Wheel(name="collision: equal, RECORD says otherwise", data=lying, code="E_RECORD")


def _of_same_crc(content: bytes) -> bytes:
    """Other bytes with the size and the CRC of these, at least five of them: the last four make up for the first."""
    head = bytes([content[0] ^ 1]) + content[1:-4]
    wanted = zlib.crc32(content) ^ 0xFFFFFFFF
    order = []
    for _ in range(4):
        (index,) = [n for n in range(256) if _crc_step(n) >> 24 == wanted >> 24]
        order.append(index)
        wanted = ((wanted ^ _crc_step(index)) << 8) & 0xFFFFFFFF
    state, tail = zlib.crc32(head) ^ 0xFFFFFFFF, bytearray()
    for index in reversed(order):
        byte = (state & 0xFF) ^ index
        tail.append(byte)
        state = zlib.crc32(bytes([byte]), state ^ 0xFFFFFFFF) ^ 0xFFFFFFFF
    return head + bytes(tail)


def _crc_step(index: int) -> int:
    """The entry of the CRC-32 table with this index."""
    for _ in range(8):
        index = index >> 1 ^ (0xEDB88320 if index & 1 else 0)
    return index


def _hostile_layouts() -> Iterator[Wheel]:
    data = "sample-1.0.data"
    members = {
        "two dist-info folders": "other-1.0.dist-info/METADATA",
        "a second dist-info by way of purelib": f"{data}/purelib/other-1.0.dist-info/METADATA",
        "a dist-info in other case": "sample-1.0.DIST-INFO/x",
        "data of another project": "other-1.0.data/scripts/x",
        "data of another version": "sample-2.0.data/scripts/x",
        "data without version": "sample.data/x",
        "unknown kind of data": f"{data}/evil/x",
        "file right in data": f"{data}/x",
        "file in place of scripts": f"{data}/scripts",
        "script python": f"{data}/scripts/python",
        "script Python3.12": f"{data}/scripts/Python3.12",
        "script pythonw.exe": f"{data}/scripts/pythonw.exe",
        "data bin/python3": f"{data}/data/bin/python3",
        "data pyvenv.cfg": f"{data}/data/pyvenv.cfg",
        "data site-packages": f"{data}/data/lib/python3.12/site-packages/evil.pth",
    }
    for name, member in members.items():
        yield Wheel(name=f"layout: {name}", data=wheel_bytes({member: b"x"}), code="E_LAYOUT")
    bare = Archive(pieces=SOUND.pieces[:1]).assemble()
    yield Wheel(name="layout: no dist-info", data=bare, code="E_LAYOUT")
    yield Wheel(name="layout: no members", data=Archive(pieces=()).assemble(), code="E_LAYOUT")
    for filename in ("other-1.0-py3-none-any.whl", "sample-2.0-py3-none-any.whl", "sample.whl", "../" + FILENAME):
        yield Wheel(name=f"layout: named {filename}", data=SOUND.assemble(), code="E_LAYOUT", filename=filename)


def _hostile_metadata() -> Iterator[Wheel]:
    good = SOUND_CONTENTS[f"{DIST_INFO}/WHEEL"]
    wheel_files = {
        "format 2.0": good.replace(b"Wheel-Version: 1.0", b"Wheel-Version: 2.0"),
        "format one": good.replace(b"Wheel-Version: 1.0", b"Wheel-Version: one"),
        "no format": good.replace(b"Wheel-Version: 1.0\n", b""),
        "two formats": b"Wheel-Version: 1.1\n" + good,
        "tags that multiply": good.replace(b"py3-none-any", b"-".join([b".".join([b"a"] * 1000)] * 3)),
        "empty": b"",
        "not UTF-8": good + b"X: \xff\n",
    }
    metadata = {
        "another name": b"Metadata-Version: 2.1\nName: other\nVersion: 1.0\n",
        "another version": b"Metadata-Version: 2.1\nName: sample\nVersion: 1.1\n",
        "no version": b"Metadata-Version: 2.1\nName: sample\n",
        "version that is none": b"Metadata-Version: 2.1\nName: sample\nVersion: one\n",
        "version of 5,000 digits": b"Name: sample\nVersion: " + b"1" * 5000 + b"\n",
        "two names": b"Name: sample\nName: other\nVersion: 1.0\n",
        "name in the body": b"Metadata-Version: 2.1\n\nName: sample\nVersion: 1.0\n",
        "empty": b"",
        "binary": b"Name: sample\nVersion: 1.0\nSummary: \0\n\n",
        "escape sequence in a requirement": b"Name: sample\nVersion: 1.0\nRequires-Dist: a\x1b[2Jb\n",
        "headers of 2 MiB": b"Name: sample\nVersion: 1.0\nX: " + b"x" * (2 << 20),
        "escape sequence": b"Name: \x1b[31msample\nVersion: 1.0\n",
    }
    for file, contents in (("WHEEL", wheel_files), ("METADATA", metadata)):
        for name, content in contents.items():
            yield Wheel(name=f"{file}: {name}", data=wheel_bytes({f"{DIST_INFO}/{file}": content}), code="E_WHEEL_META")
        without = {name: content for name, content in SOUND_CONTENTS.items() if name != f"{DIST_INFO}/{file}"}
        yield Wheel(name=f"{file}: missing", data=archive_of(without).assemble(), code="E_WHEEL_META")
    yield Wheel(name="locked name", data=SOUND.assemble(), code="E_WHEEL_META", locked_name="other")
    yield Wheel(name="locked version", data=SOUND.assemble(), code="E_WHEEL_META", locked_version="1.1")
    metadata_piece = replace(SOUND.pieces[1], packed=b"\xff" * 30)
    broken = replace(SOUND, pieces=(SOUND.pieces[0], metadata_piece, *SOUND.pieces[2:]))
    yield Wheel(name="METADATA: no deflate stream", data=broken.assemble(), code="E_ZIP_STRUCT")
    for name, packed in {
        "bytes after its stream": SOUND.pieces[1].packed_bytes + b"\0",
        "shorter than declared": deflated(SOUND.pieces[1].content[:-1]),
        "a cut stream": SOUND.pieces[1].packed_bytes[:-2],
        "another CRC": deflated(SOUND.pieces[1].content.replace(b"sample", b"simple")),
    }.items():
        piece = replace(SOUND.pieces[1], packed=packed)
        archive = replace(SOUND, pieces=(SOUND.pieces[0], piece, *SOUND.pieces[2:]))
        yield Wheel(name=f"METADATA: {name}", data=archive.assemble(), code="E_ZIP_STRUCT")


def _hostile_records() -> Iterator[Wheel]:
    rows = rows_of(SOUND_CONTENTS)
    (path, digest, size), rest = rows[0], rows[1:]
    cases = {
        "traversal": record_bytes([*rows, ["../../etc/passwd", digest, size]]),
        "absolute": record_bytes([*rows, ["/etc/passwd", digest, size]]),
        "two digests": record_bytes([[path, rows[1][1], size], *rows]),
        "two sizes": record_bytes([["/" + path, digest, ""], *rows]),
        "wrong md5": record_bytes([[*record_row(path, b"other", "md5")[:2], size], *rest]),
        "short digest": record_bytes([[path, digest[:-2], size], *rest]),
        "digest in another alphabet": record_bytes([[path, f"sha256={'!' * 43}", size], *rest]),
        "wrong sha512": record_bytes([[*record_row(path, b"other", "sha512")[:2], size], *rest]),
        "wrong size": record_bytes([[path, digest, "1"], *rest]),
        "negative size": record_bytes([[path, digest, "-1"], *rest]),
        "size of 300 digits": record_bytes([[path, digest, "1" * 300], *rest]),
        "two columns": record_bytes([[path, digest], *rest]),
        "four columns": record_bytes([[path, digest, size, ""], *rest]),
        "not UTF-8": record_bytes(rows) + b"\xff,,\n",
        "open quote": record_bytes(rows) + b'"sample',
        "NUL": record_bytes(rows) + b"\0,,\n",
        "part of 256 bytes": record_bytes(rows) + b"a" * 256 + b",,\n",
        "escape sequence": record_bytes([*rows, ["\x1b]0;evil\x07", digest, size]]),
    }
    for name, record in cases.items():
        yield Wheel(name=f"RECORD: {name}", data=archive_of(SOUND_CONTENTS, record).assemble(), code="E_RECORD")
    yield Wheel(name="RECORD: missing", data=replace(SOUND, pieces=SOUND.pieces[:-1]).assemble(), code="E_RECORD")


def _hostile_entry_points() -> Iterator[Wheel]:
    texts = {
        "code as target": b"evil = os:system('x')",
        "code as module": b"evil = os;import sys:main",
        "no attribute": b"evil = sample",
        "no target": b"evil =",
        "no equals sign": b"evil",
        "not UTF-8": b"a\xff = sample:main",
    }
    for name, text in texts.items():
        data = wheel_bytes({f"{DIST_INFO}/entry_points.txt": b"[console_scripts]\n" + text + b"\n"})
        yield Wheel(name=f"entry point: {name}", data=data, code="E_ENTRYPOINT")
    outside = wheel_bytes({f"{DIST_INFO}/entry_points.txt": b"a = sample:main\n"})
    yield Wheel(name="entry point: outside a group", data=outside, code="E_ENTRYPOINT")


HOSTILE: tuple[Wheel, ...] = (
    *_hostile_digests(),
    *_hostile_structure(),
    *_hostile_names(),
    *_hostile_features(),
    *_hostile_limits(),
    *_hostile_collisions(),
    *_hostile_layouts(),
    *_hostile_metadata(),
    *_hostile_records(),
    *_hostile_entry_points(),
)
