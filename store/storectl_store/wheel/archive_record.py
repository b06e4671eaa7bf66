"""One member of an archive: what its central header says and its local header confirms."""

from typing import NamedTuple


class ArchiveRecord(NamedTuple):
    """One member. Sizes and offsets are in bytes; ``data_offset`` is the offset of the stored or deflated bytes.

    ``raw_name`` is not decoded, ``method`` not understood yet. ``mode`` is the upper half of the external attributes: a
    Unix ``st_mode``, or 0 from writers that know none. It is a tuple, because there is one for every member: it is made
    in a quarter of the time that a frozen dataclass takes.
    """

    raw_name: bytes
    flags: int
    method: int
    crc: int
    size: int
    compressed_size: int
    mode: int
    data_offset: int
