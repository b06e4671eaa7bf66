"""Step 2: the zip archive, read so strictly that no two readers can see two things in it.

    <local header> <name> <extra> <data> [<data descriptor>]     for each member, from offset 0, no gaps
    <central header> <name> <extra> <comment>                    for each member
    <end record>                                                 see end_record.py

(PKWARE APPNOTE 6.3.10, section 4.3.) The pieces must tile the file exactly, and each member's two headers must say the
same. Nothing here looks at what a name or a method means.

Data descriptors are a known oddity of real wheels. They are accepted if they repeat what the central directory says.
"""

import struct
from collections.abc import Iterator
from mmap import mmap
from operator import attrgetter
from typing import NamedTuple

from storectl_store.wheel.archive_record import ArchiveRecord
from storectl_store.wheel.end_record import Directory, find_directory
from storectl_store.wheel.extra_fields import check_unicode_path, parse_extra, widen
from storectl_store.wheel.limits import check_count
from storectl_store.wheel.refusal import Code, refused, shown

_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL_SIGNATURE = b"PK\x01\x02"
_LOCAL_SIGNATURE = b"PK\x03\x04"
_DESCRIPTOR_SIGNATURE = b"PK\x07\x08"
_ENCRYPTED = 0x0001
_WITH_DESCRIPTOR = 0x0008
_STORED = 0


class _Listed(NamedTuple):
    """What the central directory says of one member."""

    name: bytes
    flags: int
    method: int
    crc: int
    size: int
    compressed_size: int
    mode: int
    offset: int


def read_archive(data: mmap | bytes) -> tuple[ArchiveRecord, ...]:
    """The members, in the order of their data. Raises E_ZIP_STRUCT unless the archive is sound and unambiguous."""
    directory = find_directory(data)
    check_count(directory.count)
    listed = sorted(_read_central(data, directory), key=attrgetter("offset"))
    bounds = [member.offset for member in listed] + [directory.start]
    if bounds[0]:
        raise refused(Code.STRUCT, "there are bytes before the first member")
    return tuple(_confirmed(data, member, end) for member, end in zip(listed, bounds[1:], strict=True))


def _read_central(data: mmap | bytes, directory: Directory) -> Iterator[_Listed]:
    position = directory.start
    for _ in range(directory.count):
        if position + _CENTRAL.size > directory.end:
            raise refused(Code.STRUCT, f"the central directory ends before its {directory.count} members")
        listed, position = _read_central_header(data, position)
        if position > directory.end or listed.offset >= directory.start:
            raise refused(Code.STRUCT, f"{shown(listed.name)} reaches out of the central directory")
        yield listed
    if position != directory.end:
        raise refused(Code.STRUCT, f"the central directory goes on after its {directory.count} members")


def _read_central_header(data: mmap | bytes, position: int) -> tuple[_Listed, int]:
    """One member, and the offset at which the next one begins."""
    header = _CENTRAL.unpack_from(data, position)
    signature, _, _, flags, method, _, _, crc, packed, size, name_length, extra_length, comment_length = header[:13]
    disk, _, attributes, offset = header[13:]
    position += _CENTRAL.size
    name = data[position : position + name_length]
    position += name_length
    if signature != _CENTRAL_SIGNATURE or disk:
        raise refused(Code.STRUCT, f"broken central header of {shown(name)}")
    if extra_length:
        fields = parse_extra(data[position : position + extra_length], name)
        check_unicode_path(fields, name)
        size, packed, offset = widen((size, packed, offset), fields, name)
    elif 0xFFFFFFFF in (size, packed, offset):
        raise refused(Code.STRUCT, f"the zip64 field of {shown(name)} is missing")
    listed = _Listed(name, flags, method, crc, size, packed, attributes >> 16, offset)
    return listed, position + extra_length + comment_length


def _confirmed(data: mmap | bytes, listed: _Listed, end: int) -> ArchiveRecord:
    """The member, if its local header agrees and its data reach exactly to ``end``. Raises E_ZIP_STRUCT otherwise."""
    if listed.offset + _LOCAL.size > end:
        raise refused(Code.STRUCT, f"{shown(listed.name)} overlaps another member", member=shown(listed.name))
    local = _LOCAL.unpack_from(data, listed.offset)
    signature, _, flags, method, _, _, crc, packed, size, name_length, extra_length = local
    start = listed.offset + _LOCAL.size
    data_offset = start + name_length + extra_length
    name = data[start : start + name_length]
    if signature != _LOCAL_SIGNATURE or data_offset > end:
        raise refused(Code.STRUCT, f"broken local header of {shown(listed.name)}")
    if extra_length:
        fields = parse_extra(data[start + name_length : data_offset], name)
        check_unicode_path(fields, name)
        size, packed = widen((size, packed), fields, name)
    if (name, flags, method) != (listed.name, listed.flags, listed.method):
        raise refused(Code.STRUCT, f"the two headers of {shown(listed.name)} differ in name, flags or method")
    _check_sizes(listed, (crc, size, packed))
    _check_end(data, listed, data_offset + listed.compressed_size, end)
    return ArchiveRecord(*listed[:-1], data_offset)


def _check_sizes(listed: _Listed, local: tuple[int, int, int]) -> None:
    """Raise E_ZIP_STRUCT if both headers differ in CRC, size or compressed size.

    In the local header they may be 0 if a descriptor follows.
    """
    expected = (listed.crc, listed.size, listed.compressed_size)
    deferred = listed.flags & _WITH_DESCRIPTOR
    if local != expected and not (deferred and all(a in (0, b) for a, b in zip(local, expected, strict=True))):
        raise refused(Code.STRUCT, f"the two headers of {shown(listed.name)} differ in size or CRC")
    if listed.method == _STORED and listed.size != listed.compressed_size and not listed.flags & _ENCRYPTED:
        raise refused(Code.STRUCT, f"{shown(listed.name)} is stored with two different sizes")


def _check_end(data: mmap | bytes, listed: _Listed, data_end: int, end: int) -> None:
    """Raise E_ZIP_STRUCT unless the data, with the descriptor if there is one, reach exactly to ``end``."""
    if not listed.flags & _WITH_DESCRIPTOR:
        if data_end != end:
            raise refused(Code.STRUCT, f"there is a gap or an overlap after {shown(listed.name)}")
    elif not 12 <= end - data_end <= 24 or data[data_end:end] not in _descriptors(listed):
        raise refused(
            Code.STRUCT, f"the data descriptor of {shown(listed.name)} is missing or contradicts the directory"
        )


def _descriptors(listed: _Listed) -> Iterator[bytes]:
    """All four spellings of the member's data descriptor: with and without signature, 32 and 64 bit."""
    for layout in ("<LLL", "<LQQ"):
        if layout == "<LLL" and max(listed.size, listed.compressed_size) > 0xFFFFFFFF:
            continue
        descriptor = struct.pack(layout, listed.crc, listed.compressed_size, listed.size)
        yield descriptor
        yield _DESCRIPTOR_SIGNATURE + descriptor
