"""Step 3: member names. Each is text that is one path below one folder on every system, and shows as what it is."""

import re
import unicodedata
from collections.abc import Iterable

from storectl_store.wheel.archive_record import ArchiveRecord
from storectl_store.wheel.refusal import Code, refused, shown
from storectl_store.wheel.remarks import Remarks, Rule

_UTF8 = 0x0800
_LONGEST_PART = 255
_LONGEST_PATH = 512
_DRIVE = re.compile(r"/[A-Za-z]:")
_TRAILING = "has a part that ends with a dot or a space"
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories of control, format (with all bidi) and surrogate characters, and of line separators."""


def decode_names(records: Iterable[ArchiveRecord], remarks: Remarks) -> list[str]:
    """The members' names in the same order, those of folders with their final slash.

    Raises E_ZIP_NAME for an unsafe one.

    A folder that ends with a dot or a space is a remark, as long as it is empty (pyarrow 11.0.0 has an empty
    ``pyarrow./``). On a system that ignores such endings, its contents would fall together with something else.
    """
    return [_checked(_decoded(record), remarks) for record in records]


def _decoded(record: ArchiveRecord) -> str:
    """The name as text: UTF-8 if the member says so, otherwise ASCII.

    No writer means the specification's code page 437.
    """
    encoding = "utf-8" if record.flags & _UTF8 else "ascii"
    try:
        return record.raw_name.decode(encoding)
    except UnicodeDecodeError:
        name = shown(record.raw_name)
        raise refused(Code.NAME, f"{name} is not {encoding}", member=name) from None


def _checked(name: str, remarks: Remarks) -> str:
    fault = fault_of(name.removesuffix("/"))
    if fault == _TRAILING and name.endswith("/"):
        remarks.note(Rule.NAME_TRAILING, name)
    elif fault:
        raise refused(Code.NAME, f"{shown(name)} {fault}", member=name)
    return name


def fault_of(path: str) -> str | None:
    """What is wrong with a relative path without a final slash, as the end of a sentence; None if nothing is."""
    return _fault_of_length(path) or _fault_of_spelling(path)


def _fault_of_length(path: str) -> str | None:
    raw = path.encode("utf-8", "surrogatepass")
    if len(raw) > _LONGEST_PATH:
        return f"is longer than {_LONGEST_PATH} bytes"
    if len(raw) > _LONGEST_PART and max(map(len, raw.split(b"/"))) > _LONGEST_PART:
        return f"has a part longer than {_LONGEST_PART} bytes"
    return None


def _fault_of_spelling(path: str) -> str | None:
    parts = f"/{path}/"
    if "//" in parts:
        return "is absolute or has an empty part"
    if "/./" in parts or "/../" in parts:
        return "has a part '.' or '..'"
    if "\\" in parts or (":" in parts and _DRIVE.search(parts)):
        return "has a backslash or a drive"
    if has_invisible(path):
        return "has control or invisible characters"
    return _TRAILING if "./" in parts or " /" in parts else None


def has_invisible(text: str) -> bool:
    """Whether the text has a control, format or surrogate character, or a line separator."""
    return not text.isprintable() and any(unicodedata.category(character) in _INVISIBLE for character in text)
