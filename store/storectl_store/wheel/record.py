"""Step 9: RECORD, against the files of the archive.

Rows are ``path,sha256=<urlsafe base64, unpadded>,<size in bytes>`` as CSV (PEP 376, PEP 427); RECORD itself and its
signatures have neither digest nor size.

A row that contradicts the archive is refused: another digest, another size, or a path outside. A row that RECORD leaves
out, or a field that a row leaves out, is a remark: the wheel's own digest has vouched for every byte, and an entry's
RECORD is written anew from what was unpacked. Two oddities of real wheels mean nothing else and are not even a remark:
paths with one slash before them (selenium 4.1.0), and digests in hex (gmsh).
"""

import binascii
import csv
import hashlib
import io
import re
from collections.abc import Mapping
from mmap import mmap
from typing import NamedTuple

from storectl_store.wheel.archive_record import ArchiveRecord
from storectl_store.wheel.contents import iterate_contents
from storectl_store.wheel.names import fault_of
from storectl_store.wheel.refusal import Code, refused, shown
from storectl_store.wheel.remarks import Remarks, Rule

_ALGORITHMS = {"sha256": 32, "sha384": 48, "sha512": 64, "md5": 16, "sha1": 20, "sha224": 28}
"""The algorithms that are compared, with the length of their digests in bytes."""
_STRONG = frozenset({"sha256", "sha384", "sha512"})
_SIZE = re.compile(r"[0-9]{1,15}")
_HEX = re.compile(r"[0-9a-f]+")
_SIGNATURES = ("RECORD.jws", "RECORD.p7s")
_ROW = 160
"""Most bytes of a row beside its path: the longest digest, a size, commas and quotes, and some to spare."""
_SPARE = 1 << 20
"""Bytes for rows of files that are not in the archive."""


class RecordRow(NamedTuple):
    """One row: the digest with its algorithm, and the size in bytes; both empty texts for RECORD itself."""

    path: str
    digest: str
    size: str


def longest_record(files: Mapping[str, ArchiveRecord]) -> int:
    """The bytes that a RECORD of these files may have, with every character of a path quoted, and some rows more."""
    return _SPARE + sum(_ROW + 2 * len(record.raw_name) for record in files.values())


def check_record(
    content: bytes,
    dist_info: str,
    files: Mapping[str, ArchiveRecord],
    data: mmap | bytes,
    remarks: Remarks,
) -> dict[str, str | None]:
    """The sha256 of each file as 64 hex digits; None if RECORD does not say it. Raises E_RECORD if it is wrong.

    ``files`` are all files of the archive by name. A file whose row has another algorithm than sha256 is hashed here,
    with both.
    """
    record = f"{dist_info}/RECORD"
    exempt = {record, *(f"{dist_info}/{name}" for name in _SIGNATURES)}
    digests: dict[str, str | None] = dict.fromkeys(files)
    rows = _read_rows(content, files, remarks)
    for path, row in rows.items():
        if path == record and (row.digest or row.size):
            remarks.note(Rule.RECORD_ITSELF, path)
        elif path not in exempt or row.digest or row.size:
            digests[path] = _checked_digest(row, files[path], data, remarks)
    for path in files:
        if path not in rows and (path == record or path not in exempt):
            remarks.note(Rule.RECORD_UNLISTED, path)
    return digests


def _read_rows(content: bytes, files: Mapping[str, ArchiveRecord], remarks: Remarks) -> dict[str, RecordRow]:
    """The rows of files of the archive, by path. Raises E_RECORD if it is no table of path, digest and size."""
    rows: dict[str, RecordRow] = {}
    text = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8", newline="")
    try:
        for fields in filter(None, csv.reader(text, strict=True)):
            written, digest, size = fields
            path = written.removeprefix("/")
            if path not in files:
                _check_absent(written)
                remarks.note(Rule.RECORD_ABSENT, written)
                continue
            if path in rows:
                _check_repeated(rows[path], digest, size)
                remarks.note(Rule.RECORD_REPEATED, path)
            rows[path] = RecordRow(path, digest, size)
    except UnicodeDecodeError:
        raise refused(Code.RECORD, "RECORD is not UTF-8") from None
    except (csv.Error, ValueError):
        raise refused(Code.RECORD, f"RECORD is no table of path, digest and size after {len(rows)} rows") from None
    return rows


def _check_absent(path: str) -> None:
    """Raise E_RECORD if the path of a file that is absent lies outside the archive, or is unsafe to show."""
    fault = fault_of(path)
    if fault:
        raise refused(Code.RECORD, f"RECORD lists {shown(path)}, which {fault}", member=path)


def _check_repeated(row: RecordRow, digest: str, size: str) -> None:
    if (digest, size) != (row.digest, row.size):
        raise refused(Code.RECORD, f"RECORD lists {shown(row.path)} twice, and differently", member=row.path)


def _checked_digest(row: RecordRow, record: ArchiveRecord, data: mmap | bytes, remarks: Remarks) -> str | None:
    """The sha256 of the row's file as hex digits; None if the row has no digest that can be compared."""
    _check_size(row, record, remarks)
    algorithm, _, encoded = row.digest.partition("=")
    if algorithm not in _STRONG:
        remarks.note(Rule.RECORD_DIGEST, row.path)
    if algorithm not in _ALGORITHMS:
        return None
    digest = _decoded(encoded, _ALGORITHMS[algorithm], row.path)
    return digest.hex() if algorithm == "sha256" else _rehashed(row, digest, algorithm, record, data)


def _check_size(row: RecordRow, record: ArchiveRecord, remarks: Remarks) -> None:
    if not row.size:
        remarks.note(Rule.RECORD_SIZE, row.path)
    elif row.size != str(record.size) and (not _SIZE.fullmatch(row.size) or int(row.size) != record.size):
        message = f"RECORD says {shown(row.size)} bytes of {shown(row.path)}, the archive has {record.size}"
        raise refused(Code.RECORD, message, member=row.path)


def _decoded(encoded: str, length: int, path: str) -> bytes:
    if len(encoded) == 2 * length and _HEX.fullmatch(encoded):
        return bytes.fromhex(encoded)
    padded = encoded.rstrip("=") + "=" * (-length % 3)
    try:
        digest = binascii.a2b_base64(padded.replace("-", "+").replace("_", "/"), strict_mode=True)
    except ValueError:
        digest = b""
    if len(digest) != length:
        raise refused(Code.RECORD, f"RECORD has a broken digest for {shown(path)}", member=path)
    return digest


def _rehashed(row: RecordRow, expected: bytes, algorithm: str, record: ArchiveRecord, data: mmap | bytes) -> str:
    """The sha256 of a file that RECORD lists with another algorithm. Raises E_RECORD unless that digest matches."""
    sha256, other = hashlib.sha256(), hashlib.new(algorithm, usedforsecurity=False)
    for piece in iterate_contents(data, record):
        sha256.update(piece)
        other.update(piece)
    if other.digest() != expected:
        raise refused(Code.RECORD, f"{shown(row.path)} has not the {algorithm} that RECORD says", member=row.path)
    return sha256.hexdigest()
