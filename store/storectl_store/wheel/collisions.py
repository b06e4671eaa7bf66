"""Step 6: no two members on one path, on any file system: after spreading, Unicode composition and case folding.

Two members may be one file: a wheel can have it in its root and in ``.data/platlib``, as setuptools makes it with mixed
purelib and platlib files. They are twins if the path is exactly one and the bytes are equal; then no reader can see
another.
"""

import hashlib
import unicodedata
from collections.abc import Mapping, Sequence
from mmap import mmap
from typing import NamedTuple

from storectl_store.errors import WheelError
from storectl_store.wheel.archive_record import ArchiveRecord
from storectl_store.wheel.contents import iterate_contents
from storectl_store.wheel.layout import spread
from storectl_store.wheel.limits import check_folders
from storectl_store.wheel.refusal import Code, refused, shown
from storectl_store.wheel.remarks import Remarks, Rule

Members = Sequence[tuple[str, ArchiveRecord]]
"""The members of an archive in its order, with their names."""


class Twin(NamedTuple):
    """Two members on one path, with one size and CRC, by their numbers in the archive.

    The second one is left out.
    """

    first: int
    second: int


def check_collisions(members: Members) -> tuple[Twin, ...]:
    """The twins. Raises E_ZIP_COLLISION for two other files on one path, or for a file on the path of a folder.

    Folder entries may repeat.
    """
    files: dict[str, int] = {}
    folders: dict[str, str] = {}
    twins: list[Twin] = []
    for number, (name, _) in enumerate(members):
        part, path = spread(name)
        key = _folded(f"{part}/{path}")
        if key.endswith("/"):
            folders.setdefault(key[:-1], name)
        elif key in files:
            twins.append(_twin(members, files[key], number))
        else:
            files[key] = number
        parent = key.removesuffix("/").rpartition("/")[0]
        while parent and parent not in folders:
            folders[parent] = name
            parent = parent.rpartition("/")[0]
        check_folders(len(folders))
    _check_kinds({key: members[number][0] for key, number in files.items() if key in folders}, folders)
    return tuple(twins)


def _twin(members: Members, first: int, second: int) -> Twin:
    (name, one), (other_name, other) = members[first], members[second]
    if spread(name) != spread(other_name) or (one.size, one.crc) != (other.size, other.crc):
        raise _one_path(name, other_name)
    return Twin(first, second)


def check_twins(
    data: mmap | bytes, members: Members, twins: Sequence[Twin], digests: Mapping[str, str | None], remarks: Remarks
) -> set[int]:
    """The numbers of the members to leave out, if all twins have equal bytes, and those that RECORD states.

    ``digests`` are the sha256 by name as 64 hex digits, None for an unknown one. Raises E_ZIP_COLLISION or E_RECORD
    otherwise.
    """
    for twin in twins:
        (name, one), (other_name, other) = (members[number] for number in twin)
        sha256 = _sha256(data, one)
        if sha256 != _sha256(data, other):
            raise _one_path(name, other_name)
        for path in (name, other_name):
            if digests[path] not in (None, sha256):
                raise refused(Code.RECORD, f"{shown(path)} has not the sha256 that RECORD says", member=path)
        remarks.note(Rule.MEMBER_REPEATED, other_name)
    return {twin.second for twin in twins}


def _sha256(data: mmap | bytes, record: ArchiveRecord) -> str:
    digest = hashlib.sha256()
    for piece in iterate_contents(data, record):
        digest.update(piece)
    return digest.hexdigest()


def _one_path(first: str, second: str) -> WheelError:
    return refused(Code.COLLISION, f"{shown(second)} and {shown(first)} are one path", member=second)


def _check_kinds(files: dict[str, str], folders: dict[str, str]) -> None:
    key = min(files.keys() & folders.keys(), default=None)
    if key is not None:
        file, below = files[key], folders[key]
        raise refused(Code.COLLISION, f"{shown(file)} is a file, and a folder for {shown(below)}", member=file)


def _folded(path: str) -> str:
    if path.isascii():
        return path.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())
