"""The end record of a zip archive, which says where the central directory is. Nothing may follow it.

    <members> <central directory> [<zip64 end record> <zip64 locator>] <end record> <archive comment>

(PKWARE APPNOTE 6.3.10, sections 4.3.14 to 4.3.16.) Readers find the end record by searching backwards, and do not agree
how. So an archive in which a second one could be found is refused.
"""

import struct
from dataclasses import dataclass
from mmap import mmap

from storectl_store.wheel.refusal import Code, refused

_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_END_SIGNATURE = b"PK\x05\x06"
_END64_SIGNATURE = b"PK\x06\x06"
_LOCATOR_SIGNATURE = b"PK\x06\x07"
_LONGEST_COMMENT = 0xFFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """The central directory: ``count`` records in the bytes from ``start`` to ``end``."""

    count: int
    start: int
    end: int


def find_directory(data: mmap | bytes) -> Directory:
    """The central directory that the one end record points to.

    Raises E_ZIP_STRUCT if there is no end record, or several.
    """
    position = _find_end_record(data)
    _, disk, directory_disk, here, count, size, start, _ = _END.unpack(data[position : position + _END.size])
    if disk or directory_disk or here != count:
        raise refused(Code.STRUCT, "the archive says that it spans several disks")
    narrow = Directory(count=count, start=start, end=start + size)
    directory, stop = _widen(data, position, narrow)
    if directory.end != stop:
        raise refused(Code.STRUCT, "the central directory does not reach to the end record")
    return directory


def _find_end_record(data: mmap | bytes) -> int:
    total = len(data)
    positions: list[int] = []
    position = data.find(_END_SIGNATURE, max(0, total - _END.size - _LONGEST_COMMENT))
    last = position
    while position >= 0:
        last = position
        if position + _END.size <= total and position + _END.size + _comment_length(data, position) == total:
            positions.append(position)
        position = data.find(_END_SIGNATURE, position + 1)
    if not positions:
        raise refused(Code.STRUCT, "no zip end record at the end: truncated, followed by other bytes, or no wheel")
    if positions != [last]:
        raise refused(Code.STRUCT, "more than one zip end record")
    return last


def _comment_length(data: mmap | bytes, position: int) -> int:
    return data[position + 20] | data[position + 21] << 8


def _widen(data: mmap | bytes, position: int, narrow: Directory) -> tuple[Directory, int]:
    """The directory after zip64, and the offset at which it has to end."""
    locator = position - _LOCATOR.size
    if locator < 0 or data[locator : locator + 4] != _LOCATOR_SIGNATURE:
        return narrow, position
    _, disk, offset, disks = _LOCATOR.unpack(data[locator:position])
    if disk or disks > 1 or offset + _END64.size != locator:
        raise refused(Code.STRUCT, "the zip64 locator does not point to a zip64 end record before it")
    return _read_end64(data, offset, narrow), offset


def _read_end64(data: mmap | bytes, offset: int, narrow: Directory) -> Directory:
    record = _END64.unpack(data[offset : offset + _END64.size])
    signature, length, _, _, disk, directory_disk, here, count, size, start = record
    if signature != _END64_SIGNATURE or length != _END64.size - 12 or disk or directory_disk or here != count:
        raise refused(Code.STRUCT, "broken zip64 end record")
    narrow_size = narrow.end - narrow.start
    agree = (
        narrow.count in (count, 0xFFFF) and narrow_size in (size, 0xFFFFFFFF) and narrow.start in (start, 0xFFFFFFFF)
    )
    if not agree:
        raise refused(Code.STRUCT, "the zip64 end record contradicts the end record")
    return Directory(count=count, start=start, end=start + size)
