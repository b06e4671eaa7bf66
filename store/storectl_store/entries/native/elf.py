"""The search paths of ELF files: the folders in which the dynamic linker looks for a library's own dependencies.

    <header> -> <program headers> -> PT_DYNAMIC: tags -> DT_RPATH, DT_RUNPATH: offsets in the string table
                                     PT_LOAD: from the address in DT_STRTAB to its place in the file

(System V ABI, "Object Files" and "Program Loading and Dynamic Linking".) Like the loader it reads the program headers,
since section headers may be stripped. Bytes are untrusted: what does not fit raises ValueError, and the amount read of
one file is bounded.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

MAGIC = b"\x7fELF"
_PT_LOAD, _PT_DYNAMIC = 1, 2
_DT_NULL, _DT_STRTAB, _DT_RPATH, _DT_RUNPATH = 0, 5, 15, 29
_MOST_SEGMENTS = 512
_MOST_TAGS = 4096
_PIECE = 4096
_LONGEST_STRING = 1 << 20  # bytes; real ones have a few hundred
_BYTE_ORDERS = {1: "<", 2: ">"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Class:
    """The struct layouts of one ELF class.

    ``place`` holds the indexes of a segment's type, offset, address and size in the file.
    """

    header: str
    segment: str
    tag: str
    place: tuple[int, int, int, int]


_CLASSES = {
    # e_phoff, e_phentsize, e_phnum; p_type, p_offset, p_vaddr, p_paddr, p_filesz, with p_flags second or last
    1: _Class(header="28xL10xHH", segment="LLLLL12x", tag="lL", place=(0, 1, 2, 4)),
    2: _Class(header="32xQ14xHH", segment="LLQQQQ16x", tag="qQ", place=(0, 2, 3, 5)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Segment:
    """One program header; ``size`` is its size in the file, in bytes."""

    kind: int
    offset: int
    address: int
    size: int


def search_paths(file: BinaryIO) -> list[str]:
    """Every RPATH and RUNPATH of a seekable ELF file, in the order of its tags.

    Raises ValueError if the file is not sound.
    """
    ident = _read(file, 0, 6)
    order, kind = _BYTE_ORDERS.get(ident[5]), _CLASSES.get(ident[4])
    if not ident.startswith(MAGIC) or order is None or kind is None:
        raise ValueError("no ELF file of a known class and byte order")
    segments = list(_segments(file, order, kind))
    found: list[str] = []
    for segment in segments:
        if segment.kind == _PT_DYNAMIC:
            found += _paths_of(file, list(_tags(file, segment, order, kind)), segments)
    return found


def _segments(file: BinaryIO, order: str, kind: _Class) -> Iterator[_Segment]:
    offset, entry_size, count = _unpack(order + kind.header, file, 0)
    if count > _MOST_SEGMENTS:
        raise ValueError(f"{count} segments")
    for number in range(count):
        fields = _unpack(order + kind.segment, file, offset + number * entry_size)
        segment_kind, start, address, size = (fields[index] for index in kind.place)
        yield _Segment(kind=segment_kind, offset=start, address=address, size=size)


def _tags(file: BinaryIO, segment: _Segment, order: str, kind: _Class) -> Iterator[tuple[int, int]]:
    """The tags with their values, up to DT_NULL."""
    layout = struct.Struct(order + kind.tag)
    most = min(segment.size // layout.size, _MOST_TAGS) * layout.size
    data = _read(file, segment.offset, most)
    for tag, value in layout.iter_unpack(data):
        if tag == _DT_NULL:
            return
        yield tag, value


def _paths_of(file: BinaryIO, tags: list[tuple[int, int]], segments: list[_Segment]) -> Iterator[str]:
    wanted = [value for tag, value in tags if tag in (_DT_RPATH, _DT_RUNPATH)]
    if not wanted:
        return
    strings = next((value for tag, value in tags if tag == _DT_STRTAB), None)
    if strings is None:
        raise ValueError("no string table")
    start = _place_of(strings, segments)
    for value in wanted:
        yield _string(file, start + value)


def _place_of(address: int, segments: list[_Segment]) -> int:
    for segment in segments:
        if segment.kind == _PT_LOAD and segment.address <= address < segment.address + segment.size:
            return address - segment.address + segment.offset
    raise ValueError("the string table is in no segment")


def _string(file: BinaryIO, offset: int) -> str:
    found = bytearray()
    _seek(file, offset)
    while len(found) < _LONGEST_STRING:
        piece = file.read(_PIECE)
        text, end, _ = piece.partition(b"\0")
        found += text
        if end:
            return found.decode("utf-8", "surrogateescape")
        if not piece:
            raise ValueError("a string ends with the file")
    raise ValueError(f"a string of more than {_LONGEST_STRING} bytes")


def _unpack(layout: str, file: BinaryIO, offset: int) -> tuple[int, ...]:
    return struct.unpack(layout, _read(file, offset, struct.calcsize(layout)))


def _read(file: BinaryIO, offset: int, size: int) -> bytes:
    """Exactly ``size`` bytes at this offset. Raises ValueError if the file ends before."""
    _seek(file, offset)
    data = file.read(size)
    if len(data) != size:
        raise ValueError("the file ends too early")
    return data


def _seek(file: BinaryIO, offset: int) -> None:
    try:
        file.seek(offset)
    except (OverflowError, OSError) as error:
        raise ValueError("an offset that no file has") from error
