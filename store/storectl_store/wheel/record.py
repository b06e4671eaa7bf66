"""Step 9: RECORD, a bijection between its rows and the files of the archive.

Rows are ``path,sha256=<urlsafe base64, unpadded>,<size in bytes>`` as CSV (PEP 376, PEP 427); RECORD itself and its
signatures have neither digest nor size. Two oddities of real wheels mean nothing else and are accepted: paths with one
slash before them (selenium 4.1.0), and digests in hex (gmsh).
"""

import binascii
import csv
import hashlib
import io
import re
from collections.abc import Iterable, Mapping
from mmap import mmap
from typing import NamedTuple

from storectl_store.wheel.archive_record import ArchiveRecord
from storectl_store.wheel.contents import iterate_contents
from storectl_store.wheel.refusal import Code, refused, shown

_ALGORITHMS = {"sha256": 32, "sha384": 48, "sha512": 64}
"""Accepted in RECORD, with the length of their digests in bytes: sha256 or better."""
_SIZE = re.compile(r"[0-9]{1,15}")
_HEX = re.compile(r"[0-9a-f]+")
_SIGNATURES = ("RECORD.jws", "RECORD.p7s")
_ROW = 160
"""Bytes of a row beside its path: the longest digest, a size, commas and quotes, and some to spare."""


class RecordRow(NamedTuple):
    """One row: the digest with its algorithm, and the size in bytes; both empty texts for RECORD itself."""

    path: str
    digest: str
    size: str


def longest_record(files: Mapping[str, ArchiveRecord]) -> int:
    """The bytes that a RECORD of these files can need, with every character of a path quoted."""
    return sum(_ROW + 2 * len(record.raw_name) for record in files.values())


def check_record(
    content: bytes,
    dist_info: str,
    files: Mapping[str, ArchiveRecord],
    data: mmap | bytes,
) -> dict[str, str | None]:
    """The sha256 of each file as 64 hex digits, None for RECORD and its signatures; E_RECORD unless all fits.

    ``files`` are all files of the archive by name. A file whose row has a better algorithm than sha256 is hashed here,
    with both.
    """
    rows = _read_rows(content, files)
    _check_complete(rows, files, dist_info)
    exempt = {f"{dist_info}/RECORD", *(f"{dist_info}/{name}" for name in _SIGNATURES)}
    digests: dict[str, str | None] = dict.fromkeys(exempt & files.keys())
    for path, row in rows.items():
        if path in exempt and not row.digest and not row.size:
            continue
        if path == f"{dist_info}/RECORD":
            raise refused(Code.RECORD, "RECORD has a digest or a size of itself", member=path)
        digests[path] = _checked_digest(row, files[path], data)
    return digests


def _read_rows(content: bytes, files: Mapping[str, ArchiveRecord]) -> dict[str, RecordRow]:
    """The rows by path. It stops at the first that is no file of the archive, so it never grows beyond those."""
    rows: dict[str, RecordRow] = {}
    text = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8", newline="")
    try:
        for fields in filter(None, csv.reader(text, strict=True)):
            path, digest, size = fields
            path = path.removeprefix("/")
            if path not in files:
                raise refused(Code.RECORD, f"RECORD lists {shown(path)}, which is not in the archive", member=path)
            if path in rows:
                raise refused(Code.RECORD, f"RECORD lists {shown(path)} twice", member=path)
            rows[path] = RecordRow(path, digest, size)
    except UnicodeDecodeError:
        raise refused(Code.RECORD, "RECORD is not UTF-8") from None
    except (csv.Error, ValueError):
        raise refused(Code.RECORD, f"RECORD is no table of path, digest and size after {len(rows)} rows") from None
    return rows


def _check_complete(rows: Iterable[str], files: Mapping[str, ArchiveRecord], dist_info: str) -> None:
    """E_RECORD for a file without a row, unless it is a signature of RECORD."""
    signatures = {f"{dist_info}/{name}" for name in _SIGNATURES}
    unlisted = min(files.keys() - signatures - set(rows), default=None)
    if unlisted is not None:
        raise refused(Code.RECORD, f"{shown(unlisted)} is not listed in RECORD", member=unlisted)


def _checked_digest(row: RecordRow, record: ArchiveRecord, data: mmap | bytes) -> str:
    """The sha256 of the row's file as hex digits."""
    if row.size != str(record.size) and (not _SIZE.fullmatch(row.size) or int(row.size) != record.size):
        message = f"RECORD says {shown(row.size)} bytes of {shown(row.path)}, the archive has {record.size}"
        raise refused(Code.RECORD, message, member=row.path)
    algorithm, _, encoded = row.digest.partition("=")
    if algorithm not in _ALGORITHMS:
        message = f"RECORD has {shown(algorithm) if algorithm else 'no digest'} for {shown(row.path)}, expected sha256"
        raise refused(Code.RECORD, message, member=row.path)
    digest = _decoded(encoded, _ALGORITHMS[algorithm], row.path)
    return digest.hex() if algorithm == "sha256" else _rehashed(row, digest, algorithm, record, data)


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
    """The sha256 of a file that RECORD knows by another algorithm, which has to match first."""
    sha256, other = hashlib.sha256(), hashlib.new(algorithm)
    for piece in iterate_contents(data, record):
        sha256.update(piece)
        other.update(piece)
    if other.digest() != expected:
        raise refused(Code.RECORD, f"{shown(row.path)} has not the {algorithm} that RECORD says", member=row.path)
    return sha256.hexdigest()
