"""Step 3: member names, as text that is one path below one folder on every system, and shows as what it is."""

import re
import unicodedata
from collections.abc import Iterable

from storectl_store.wheel.archive_record import ArchiveRecord
from storectl_store.wheel.refusal import Code, refused, shown

_UTF8 = 0x0800
_LONGEST_PART = 255
_LONGEST_PATH = 512
_PLAIN = re.compile(r"[A-Za-z0-9_+\-]+(?:\.[A-Za-z0-9_+\-]+)*")
_DRIVE = re.compile(r"[A-Za-z]:")
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories of control, format (all bidi among them) and surrogate characters and line separators."""


def decode_names(records: Iterable[ArchiveRecord]) -> list[str]:
    """The members' names in the same order, those of folders with their final slash; E_ZIP_NAME for any unsafe one."""
    known: set[str] = set()
    return [_checked(_decoded(record), known) for record in records]


def _decoded(record: ArchiveRecord) -> str:
    """A name is UTF-8 where the member says so, else ASCII: the specification's code page 437 is nobody's intention."""
    encoding = "utf-8" if record.flags & _UTF8 else "ascii"
    try:
        return record.raw_name.decode(encoding)
    except UnicodeDecodeError:
        raise refused(Code.NAME, f"{shown(record.raw_name)} is not {encoding}", member=shown(record.raw_name)) from None


def _checked(name: str, known: set[str]) -> str:
    """The name. ``known`` holds the parts that were found safe so far, since most stand in many names."""
    if len(name) > _LONGEST_PATH or (not name.isascii() and len(name.encode()) > _LONGEST_PATH):
        raise refused(Code.NAME, f"{shown(name)} is longer than {_LONGEST_PATH} bytes", member=name)
    for part in name.removesuffix("/").split("/"):
        if part not in known:
            _check_part(part, name)
            known.add(part)
    return name


def _check_part(part: str, name: str) -> None:
    fault = fault_of(part)
    if fault:
        raise refused(Code.NAME, f"{shown(name)} {fault}", member=name)


def fault_of(part: str) -> str | None:
    """What is wrong with one part of a path, as the end of a sentence; None if nothing is."""
    if _PLAIN.fullmatch(part) and len(part) <= _LONGEST_PART:
        return None
    if part == "":
        return "is absolute or has an empty part"
    if part in (".", ".."):
        return f"has a part '{part}'"
    if len(part.encode("utf-8", "surrogatepass")) > _LONGEST_PART:
        return f"has a part longer than {_LONGEST_PART} bytes"
    if "\\" in part or _DRIVE.match(part):
        return "has a backslash or a drive"
    if part[-1] in ". ":
        return "has a part that ends with a dot or a space"
    if any(unicodedata.category(character) in _INVISIBLE for character in part):
        return "has control or invisible characters"
    return None
