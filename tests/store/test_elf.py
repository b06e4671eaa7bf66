"""The reader of ELF files, on the least files that have a search path, whole and broken."""

import io
import struct

import pytest

from storectl_store.entries.native.elf import search_paths

LAYOUTS = {
    # class: header, program header with its fields in order, tag; sizes in bytes
    1: ("HHLLLLLHHHHHH", "LLLLLLLL", "lL"),
    2: ("HHLQQQLHHHHHH", "LLQQQQQQ", "qQ"),
}


def segment(kind: int, offset: int, address: int, size: int, elf_class: int) -> tuple[int, ...]:
    if elf_class == 1:
        return (kind, offset, address, address, size, size, 4, 4096)
    return (kind, 4, offset, address, address, size, size, 4096)


def library(paths: dict[int, str], *, elf_class: int = 2, order: str = "<", address: int = 0, strtab: int = 0) -> bytes:
    """A library with these tags; it is loaded at ``address``, and says that its strings are ``strtab`` further on."""
    header, program_header, tag = (order + layout for layout in LAYOUTS[elf_class])
    head = 16 + struct.calcsize(header)
    dynamic = head + 2 * struct.calcsize(program_header)
    strings, tags = b"\0", []
    for kind, text in paths.items():
        tags.append((kind, len(strings)))
        strings += text.encode() + b"\0"
    size = (len(tags) + 2) * struct.calcsize(tag)
    tags = [(5, address + dynamic + size + strtab), *tags, (0, 0)]
    total = dynamic + size + len(strings)
    ident = b"\x7fELF" + bytes([elf_class, 1 if order == "<" else 2, 1]) + bytes(9)
    return b"".join(
        [
            ident,
            struct.pack(header, 3, 62, 1, 0, head, 0, 0, head, struct.calcsize(program_header), 2, 0, 0, 0),
            struct.pack(program_header, *segment(1, 0, address, total, elf_class)),
            struct.pack(program_header, *segment(2, dynamic, address + dynamic, size, elf_class)),
            *(struct.pack(tag, *pair) for pair in tags),
            strings,
        ]
    )


@pytest.mark.parametrize("elf_class", [1, 2])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("address", [0, 0x400000])
def test_every_class_and_byte_order_is_read(elf_class: int, order: str, address: int) -> None:
    data = library({15: "$ORIGIN/a", 29: "/b:é" + "x" * 9000}, elf_class=elf_class, order=order, address=address)
    assert search_paths(io.BytesIO(data)) == ["$ORIGIN/a", "/b:é" + "x" * 9000]


def test_a_library_without_search_paths_has_none() -> None:
    assert search_paths(io.BytesIO(library({}))) == []


@pytest.mark.parametrize("strtab", [1 << 20, (1 << 63) - 1000, -300])
def test_strings_outside_of_what_is_loaded_are_refused(strtab: int) -> None:
    with pytest.raises(ValueError):
        search_paths(io.BytesIO(library({29: "$ORIGIN"}, address=1000, strtab=strtab)))


def test_every_truncation_and_every_changed_byte_is_an_answer_or_a_value_error() -> None:
    data = library({29: "$ORIGIN/../x"})
    for position in range(len(data)):
        for broken in (data[:position], data[:position] + b"\xff" + data[position + 1 :]):
            try:
                assert all(isinstance(path, str) for path in search_paths(io.BytesIO(broken)))
            except ValueError:
                continue
