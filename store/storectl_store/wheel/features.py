"""Step 4: no features of zip archives that a wheel does not need: only plain files and folders, stored or deflated."""

import stat
from collections.abc import Iterable, Sequence

from storectl_store.wheel.archive_record import ArchiveRecord
from storectl_store.wheel.refusal import Code, refused, shown

STORED = 0
DEFLATED = 8
_KNOWN_FLAGS = 0x080E
"""Two bits of deflate's effort, the data descriptor, and UTF-8 names.

Others are encryption, patches and masked headers.
"""
_FOLDER_KINDS = frozenset({0, stat.S_IFDIR, stat.S_IFREG})
_FILE_KINDS = frozenset({0, stat.S_IFREG})


def check_features(records: Sequence[ArchiveRecord], names: Iterable[str]) -> None:
    """Raise E_ZIP_FEATURE for encryption, other methods, links, devices, pipes, and folders with contents."""
    for record, name in zip(records, names, strict=True):
        fault = _fault(record, folder=name.endswith("/"))
        if fault:
            raise refused(Code.FEATURE, f"{shown(name)} {fault}", member=name)


def _fault(record: ArchiveRecord, *, folder: bool) -> str | None:
    if record.flags & ~_KNOWN_FLAGS:
        return f"is encrypted, or has unknown flags 0x{record.flags:04x}"
    if record.method not in (STORED, DEFLATED):
        return f"is packed with method {record.method}, only stored and deflate are known"
    if stat.S_IFMT(record.mode) not in (_FOLDER_KINDS if folder else _FILE_KINDS):
        return f"is neither file nor folder (mode 0o{record.mode:o})"
    if folder and record.size:
        return "is a folder with contents"
    return None
