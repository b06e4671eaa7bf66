"""Paths and variables as text of the API: every byte arrives, and what no command sends is refused."""

import json

import pytest

from storectl_shim.wire_text import decode_text, encode_text


def fsdecoded(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


@pytest.mark.parametrize(
    ("data", "wire"),
    [
        (b"", ""),
        (b"/plain", "/plain"),
        (b"/100%", "/100%"),
        ("/café/日本/🎈".encode(), "/café/日本/🎈"),
        (b"/caf\xe9", "/caf\0e9"),
        (b"\xff\x80a\xc3", "\0ff\x0080a\0c3"),
        (b"\xed\xb3\xa9", "\0ed\0b3\0a9"),  # a surrogate as UTF-8 would write it is no UTF-8
    ],
)
def test_every_byte_arrives(data: bytes, wire: str) -> None:
    assert encode_text(fsdecoded(data)) == wire
    assert json.loads(json.dumps(wire).encode("utf-8")) == wire
    assert decode_text(wire).encode("utf-8", "surrogateescape") == data


def test_all_bytes_arrive_beside_any_other() -> None:
    for byte in range(1, 256):
        for data in (bytes([byte]), b"a" + bytes([byte]) + b"80", "é".encode() + bytes([byte])):
            assert decode_text(encode_text(fsdecoded(data))).encode("utf-8", "surrogateescape") == data


def test_bytes_that_make_a_character_are_that_character() -> None:
    assert decode_text("\0c3\0a9") == "é"


@pytest.mark.parametrize("wire", ["\0", "a\0", "\0e", "\x007f", "\x0000", "\0E9", "\0\0e9"])
def test_a_nul_that_stands_for_no_byte_is_refused(wire: str) -> None:
    with pytest.raises(ValueError, match="NUL"):
        decode_text(wire)
