import zlib

import pytest

from storectl_store.errors import WheelError
from storectl_store.wheel.archive import read_archive
from storectl_store.wheel.archive_record import ArchiveRecord
from storectl_store.wheel.contents import iterate_contents, read_contents
from support.zip_pieces import SOUND, first

LARGE = bytes(range(256)) * (3 << 12) + b"end"


def module_of(**changes: object) -> tuple[bytes, ArchiveRecord]:
    data = first(**changes).assemble()
    return data, read_archive(data)[0]


@pytest.mark.parametrize("method", [0, 8])
@pytest.mark.parametrize("content", [b"", b"x", LARGE], ids=["empty", "one byte", "3 MiB"])
def test_contents_come_back_in_pieces_of_at_most_a_mebibyte(method: int, content: bytes) -> None:
    pieces = list(iterate_contents(*module_of(method=method, content=content)))
    assert b"".join(pieces) == content
    assert all(len(piece) <= 1 << 20 for piece in pieces)


def test_incompressible_contents_longer_than_a_piece_come_back() -> None:
    state, blocks = 1, []
    for _ in range(100_000):
        state = zlib.crc32(state.to_bytes(4, "big") * 2)
        blocks.append(state.to_bytes(4, "big") * 4)
    content = b"".join(blocks)
    data, record = module_of(content=content)
    assert read_contents(data, record, limit=len(content)) == content


def test_more_than_the_limit_is_not_read() -> None:
    data, record = module_of(content=b"12345")
    with pytest.raises(WheelError, match="E_ZIP_LIMIT"):
        read_contents(data, record, limit=4)


@pytest.mark.parametrize("method", [0, 8])
@pytest.mark.parametrize(("declared", "code"), [(len(LARGE) - 1, "E_ZIP_LIMIT"), (len(LARGE) + 1, "E_ZIP_STRUCT")])
def test_another_size_than_declared_is_refused(method: int, declared: int, code: str) -> None:
    data, record = module_of(method=method, content=LARGE)
    with pytest.raises(WheelError, match=code):
        read_contents(data, record._replace(size=declared), limit=2 * len(LARGE))


def test_inflating_stops_one_byte_after_the_declared_size() -> None:
    data, record = module_of(content=bytes(8 << 20))
    seen: list[bytes] = []
    with pytest.raises(WheelError, match="E_ZIP_LIMIT"):
        seen.extend(iterate_contents(data, record._replace(size=10)))
    assert len(b"".join(seen)) <= 11


@pytest.mark.parametrize("method", [0, 8])
def test_another_crc_is_refused(method: int) -> None:
    data, record = module_of(method=method, content=LARGE)
    with pytest.raises(WheelError, match="CRC"):
        read_contents(data, record._replace(crc=record.crc ^ 1), limit=len(LARGE))


def test_every_cut_of_a_deflate_stream_is_refused() -> None:
    data = SOUND.assemble()
    record = read_archive(data)[0]
    for length in range(record.compressed_size):
        with pytest.raises(WheelError, match="E_ZIP_STRUCT"):
            read_contents(data, record._replace(compressed_size=length), limit=record.size)


@pytest.mark.parametrize("garbage", [b"\0", b"\0" * (3 << 20)], ids=["one byte", "3 MiB"])
def test_bytes_after_a_deflate_stream_are_refused(garbage: bytes) -> None:
    piece = SOUND.pieces[0]
    data, record = module_of(packed=piece.packed_bytes + garbage)
    with pytest.raises(WheelError, match="deflate stream"):
        read_contents(data, record, limit=record.size)
