"""Extra fields of zip headers: the two that can contradict their header.

A run of ``<u16 id><u16 length><bytes>`` (PKWARE APPNOTE 6.3.10, section 4.5). 0x0001 holds 64-bit sizes, 0x7075 the
member's name in UTF-8. All others (times, user ids) say nothing that is used here.
"""

import struct
import zlib

from storectl_store.wheel.refusal import Code, refused, shown

_HEAD = struct.Struct("<HH")
_UNICODE_PATH_HEAD = struct.Struct("<BL")
_ZIP64 = 0x0001
_UNICODE_PATH = 0x7075
_MOST_FIELDS = 16
_ABSENT = 0xFFFFFFFF
"""In a 32-bit field: the value is in the zip64 extra field."""


def parse_extra(extra: bytes, name: bytes) -> dict[int, bytes]:
    """The fields by id.

    Raises E_ZIP_STRUCT if they do not fill the run exactly, if an id comes twice, or if they are too many.
    """
    fields: dict[int, bytes] = {}
    position = 0
    while position < len(extra):
        if position + _HEAD.size > len(extra):
            raise refused(Code.STRUCT, f"broken extra field of {shown(name)}")
        kind, length = _HEAD.unpack_from(extra, position)
        position += _HEAD.size + length
        if position > len(extra) or kind in fields or len(fields) == _MOST_FIELDS:
            raise refused(Code.STRUCT, f"broken, repeated or one of too many extra fields of {shown(name)}")
        fields[kind] = extra[position - length : position]
    return fields


def check_unicode_path(fields: dict[int, bytes], name: bytes) -> None:
    """Raise E_ZIP_STRUCT unless the unicode path is absent or repeats the name."""
    field = fields.get(_UNICODE_PATH)
    if field is None:
        return
    if len(field) < _UNICODE_PATH_HEAD.size:
        raise refused(Code.STRUCT, f"broken unicode path of {shown(name)}")
    version, crc = _UNICODE_PATH_HEAD.unpack_from(field)
    if version != 1 or crc != zlib.crc32(name) or field[_UNICODE_PATH_HEAD.size :] != name:
        raise refused(Code.STRUCT, f"{shown(name)} has another name in its unicode path")


def widen(values: tuple[int, ...], fields: dict[int, bytes], name: bytes) -> tuple[int, ...]:
    """The 32-bit ``values`` (size, compressed size, and in the directory offset) with those of zip64 filled in.

    The field holds only the absent values. Some writers put all values there without need: then they must agree. Raises
    E_ZIP_STRUCT if it fits neither.
    """
    wide = values.count(_ABSENT)
    field = fields.get(_ZIP64)
    if field is None and not wide:
        return values
    numbers = _numbers(field or b"", name)
    if len(numbers) == wide:
        filler = iter(numbers)
        return tuple(next(filler) if value == _ABSENT else value for value in values)
    if 2 <= len(numbers) <= len(values):
        return _agreeing(values, numbers, name)
    raise refused(Code.STRUCT, f"the zip64 field of {shown(name)} does not fit its header")


def _numbers(field: bytes, name: bytes) -> tuple[int, ...]:
    if len(field) % 8:
        raise refused(Code.STRUCT, f"the zip64 field of {shown(name)} has {len(field)} bytes")
    return struct.unpack(f"<{len(field) // 8}Q", field)


def _agreeing(values: tuple[int, ...], numbers: tuple[int, ...], name: bytes) -> tuple[int, ...]:
    rest = values[len(numbers) :]
    if _ABSENT in rest or any(v not in (_ABSENT, n) for v, n in zip(values, numbers, strict=False)):
        raise refused(Code.STRUCT, f"the zip64 field of {shown(name)} contradicts its header")
    return (*numbers, *rest)
