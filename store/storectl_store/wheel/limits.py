"""Step 5: limits, far above any real wheel and far below what does harm."""

from collections.abc import Iterable, Sequence

from storectl_store.wheel.archive_record import ArchiveRecord
from storectl_store.wheel.refusal import Code, refused, shown

_MEMBERS = 50_000
_FOLDERS = 50_000
_DEPTH = 64
_FILE_SIZE = 4 << 30
_TOTAL_SIZE = 16 << 30
_RATIO = 200
_RATIO_MATTERS_FROM = 64 << 20


def check_count(count: int) -> None:
    """Raise E_ZIP_LIMIT above 50,000 members. It is called before any of them is read."""
    if count > _MEMBERS:
        raise refused(Code.LIMIT, f"{count} members, at most {_MEMBERS} are unpacked")


def check_folders(count: int) -> None:
    """Raise E_ZIP_LIMIT above 50,000 folders; a few members with deep paths can need so many."""
    if count > _FOLDERS:
        raise refused(Code.LIMIT, f"more than {_FOLDERS} folders")


def check_limits(records: Sequence[ArchiveRecord], names: Iterable[str]) -> None:
    """Raise E_ZIP_LIMIT if a wheel is too deep or too large.

    The limits are 64 folders of depth, 4 GiB a file, and 16 GiB in all. A file, or the whole wheel, of more than 64 MiB
    must not have more than 200 times its packed size.
    """
    for record, name in zip(records, names, strict=True):
        if name.count("/") > _DEPTH:
            raise refused(Code.LIMIT, f"{shown(name)} is more than {_DEPTH} folders deep", member=name)
        if record.size > _FILE_SIZE:
            raise refused(
                Code.LIMIT, f"{shown(name)} unpacks to {record.size} bytes, at most {_FILE_SIZE}", member=name
            )
        if _explodes(record.size, record.compressed_size):
            raise refused(Code.LIMIT, f"{shown(name)} unpacks to more than {_RATIO} times its size", member=name)
    _check_total(sum(r.size for r in records), sum(r.compressed_size for r in records))


def _check_total(size: int, compressed_size: int) -> None:
    if size > _TOTAL_SIZE:
        raise refused(Code.LIMIT, f"it unpacks to {size} bytes, at most {_TOTAL_SIZE}")
    if _explodes(size, compressed_size):
        raise refused(Code.LIMIT, f"it unpacks to more than {_RATIO} times its size")


def _explodes(size: int, compressed_size: int) -> bool:
    return size > _RATIO_MATTERS_FROM and size > _RATIO * compressed_size
