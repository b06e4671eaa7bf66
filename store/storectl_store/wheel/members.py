"""The members to unpack: every file of the archive except bytecode, each with its place, digest and mode."""

from collections.abc import Mapping

from storectl_store.wheel.archive_record import ArchiveRecord
from storectl_store.wheel.checked import Member, Part
from storectl_store.wheel.features import DEFLATED
from storectl_store.wheel.layout import spread

_ANY_EXECUTE_BIT = 0o111


def place_members(files: Mapping[str, ArchiveRecord], digests: Mapping[str, str | None]) -> tuple[Member, ...]:
    """The members of these files, in the same order.

    Bytecode is dropped: storectl compiles it anew and trusts no other.
    """
    return tuple(
        _member(name, record, digests[name])
        for name, record in files.items()
        if "__pycache__" not in name or "__pycache__" not in name.split("/")[:-1]
    )


def _member(name: str, record: ArchiveRecord, sha256: str | None) -> Member:
    part, path = spread(name)
    _, _, method, crc, size, compressed_size, mode, data_offset = record
    return Member(
        archive_name=name,
        part=part,
        path=path,
        size=size,
        compressed_size=compressed_size,
        deflated=method == DEFLATED,
        data_offset=data_offset,
        crc=crc,
        sha256=sha256,
        executable=part is Part.SCRIPTS or mode & _ANY_EXECUTE_BIT != 0,
    )
