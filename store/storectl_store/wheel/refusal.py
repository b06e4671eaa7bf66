"""Refusals: how a check says no. One code for each step, one hint for each code, untrusted text cropped."""

from enum import StrEnum

from storectl_store.errors import WheelError

_SHOWN = 120


class Code(StrEnum):
    """The steps of the check, in their order; stable and machine-readable."""

    HASH = "E_HASH"
    STRUCT = "E_ZIP_STRUCT"
    NAME = "E_ZIP_NAME"
    FEATURE = "E_ZIP_FEATURE"
    LIMIT = "E_ZIP_LIMIT"
    COLLISION = "E_ZIP_COLLISION"
    LAYOUT = "E_LAYOUT"
    META = "E_WHEEL_META"
    RECORD = "E_RECORD"
    ENTRY_POINT = "E_ENTRYPOINT"


_HINTS = {
    Code.HASH: "the file is not the one that was locked: fetch it again, or lock again if the release was replaced",
    Code.STRUCT: "the archive is damaged, or made to be read in two ways: "
    "fetch it again, then ask its project for another",
    Code.NAME: "no installer should unpack such a name: ask its project for another wheel",
    Code.FEATURE: "wheels hold plain files, stored or deflated: ask its project for another wheel",
    Code.LIMIT: "the wheel is larger than any real one, or says so: ask its project for another wheel",
    Code.COLLISION: "the files would overwrite each other: ask its project for another wheel",
    Code.LAYOUT: "it is not laid out as a wheel of its file name: ask its project for another, or lock another version",
    Code.META: "its metadata does not fit its file name or the lock file: lock again, or lock another version",
    Code.RECORD: "it was changed after it was built, or built wrongly: fetch it again, or lock another version",
    Code.ENTRY_POINT: "its scripts cannot be made: ask its project for another wheel, or lock another version",
}


def refused(code: Code, message: str, *, member: str | None = None) -> WheelError:
    """The error to raise. ``facts['member']`` is set if a member of the archive is to blame."""
    facts = {} if member is None else {"member": member}
    return WheelError(message, code=code.value, hint=_HINTS[code], **facts)


def shown(text: str | bytes) -> str:
    r"""Untrusted text, quoted and cropped to what fits in a line; undecodable bytes as ``\xff``."""
    decoded = text.decode("utf-8", "backslashreplace") if isinstance(text, bytes) else text
    return f"'{decoded}'" if len(decoded) <= _SHOWN else f"'{decoded[:_SHOWN]}…'"
