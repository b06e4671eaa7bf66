"""The contents of one member, inflated with care: never more than was declared, never unproven.

Inflating stops one byte after the declared size. Then the size, the CRC and the end of the deflate stream must all fit.
"""

import zlib
from collections.abc import Iterator
from mmap import mmap
from typing import Any, cast

from isal import isal_zlib

from storectl_store.errors import WheelError
from storectl_store.wheel.archive_record import ArchiveRecord
from storectl_store.wheel.features import DEFLATED
from storectl_store.wheel.refusal import Code, refused, shown

_CHUNK = 1 << 20
_DEFLATE_ERROR = cast("type[Exception]", isal_zlib.error)
"""It is a class, though its type stub declares it as an instance."""


def read_contents(data: mmap | bytes, record: ArchiveRecord, *, limit: int) -> bytes:
    """All bytes of a member of at most ``limit`` bytes.

    Raises E_ZIP_LIMIT beyond it, and the errors of ``iterate_contents``.
    """
    if record.size > limit:
        message = f"{shown(record.raw_name)} has {record.size} bytes, at most {limit} are read"
        raise refused(Code.LIMIT, message, member=shown(record.raw_name))
    return b"".join(iterate_contents(data, record))


def iterate_contents(data: mmap | bytes, record: ArchiveRecord) -> Iterator[bytes]:
    """The bytes of a stored or deflated member in pieces of at most 1 MiB.

    Raises E_ZIP_LIMIT as soon as the member is longer than declared. At the end it raises E_ZIP_STRUCT if the member is
    shorter, has another CRC, or has a deflate stream that does not end at its last byte.
    """
    pieces = _inflated(data, record) if record.method == DEFLATED else _stored(data, record)
    size = crc = 0
    for piece in pieces:
        size += len(piece)
        crc = isal_zlib.crc32(piece, crc)
        if size > record.size:
            message = f"{shown(record.raw_name)} is longer than the {record.size} bytes it declares"
            raise refused(Code.LIMIT, message, member=shown(record.raw_name))
        yield piece
    if (size, crc) != (record.size, record.crc):
        raise _broken(record, "has another size or CRC than it declares")


def _stored(data: mmap | bytes, record: ArchiveRecord) -> Iterator[bytes]:
    end = record.data_offset + record.compressed_size
    for position in range(record.data_offset, end, _CHUNK):
        yield data[position : min(position + _CHUNK, end)]


def _inflated(data: mmap | bytes, record: ArchiveRecord) -> Iterator[bytes]:
    """The inflated pieces, at most the declared size and one byte more."""
    inflate = isal_zlib.decompressobj(-zlib.MAX_WBITS)
    left = record.size + 1
    for packed in _stored(data, record):
        if inflate.eof:
            raise _broken(record, "has bytes after its deflate stream")
        rest = packed
        while left and not inflate.eof:
            piece = _inflate(inflate, rest, min(left, _CHUNK), record)
            if not piece:
                break
            rest = inflate.unconsumed_tail
            left -= len(piece)
            yield piece
    if left and (not inflate.eof or inflate.unused_data):
        raise _broken(record, "has a deflate stream that ends elsewhere")


def _inflate(inflate: Any, packed: bytes, most: int, record: ArchiveRecord) -> bytes:
    try:
        return bytes(inflate.decompress(packed, most))
    except _DEFLATE_ERROR:
        raise _broken(record, "is not a deflate stream") from None


def _broken(record: ArchiveRecord, fault: str) -> WheelError:
    return refused(Code.STRUCT, f"{shown(record.raw_name)} {fault}", member=shown(record.raw_name))
