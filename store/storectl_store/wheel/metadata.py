"""Step 8: WHEEL and METADATA, against the file name and the lock file.

Nothing depends on WHEEL's tags and its Root-Is-Purelib: installers choose by the file name, and purelib and platlib are
one folder in an entry. So whatever they say, or do not say, is a remark.
"""

import re
from dataclasses import dataclass
from math import prod

from packaging.tags import parse_tag
from packaging.utils import canonicalize_name

from storectl_store.wheel.checked import Expectation
from storectl_store.wheel.filename import WheelFilename
from storectl_store.wheel.headers import Headers
from storectl_store.wheel.refusal import Code, refused, shown
from storectl_store.wheel.remarks import Remarks, Rule

_WHEEL_VERSION = re.compile(r"([0-9]{1,4})\.([0-9]{1,4})")
_MOST_TAGS = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelInfo:
    """What the WHEEL file says."""

    root_is_purelib: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """What METADATA says. ``requires_dist`` are the requirements as written there, each on one line."""

    requires_dist: tuple[str, ...]


def check_wheel_file(content: bytes, member: str, filename: WheelFilename, remarks: Remarks) -> WheelInfo:
    """The WHEEL file. Raises E_WHEEL_META if it cannot be read, or has another major version than 1 (or 0)."""
    headers = Headers(content, member, remarks)
    version = headers.one("Wheel-Version")
    if _minor_version(version, member):
        remarks.note(Rule.WHEEL_VERSION, version)
    purelib = " ".join(headers.all("Root-Is-Purelib")).lower()
    if purelib not in ("true", "false"):
        remarks.note(Rule.WHEEL_PURELIB, purelib or "nothing")
    _check_tags(headers, filename, remarks)
    return WheelInfo(root_is_purelib=purelib == "true")


def check_metadata(
    content: bytes, member: str, filename: WheelFilename, expectation: Expectation, remarks: Remarks
) -> Metadata:
    """The METADATA file. Raises E_WHEEL_META if it cannot be read or names another project or version.

    Name and version have to be those of the file name, and those of the lock file.
    """
    headers = Headers(content, member, remarks, lenient=True)
    name, version = headers.one("Name"), headers.one("Version")
    if not filename.fits(name, version):
        message = f"METADATA is of {shown(f'{name} {version}')}, the file name of {filename.name} {filename.version}"
        raise refused(Code.META, message, member=member)
    _check_expectation(filename, expectation)
    requires_dist = headers.all("Requires-Dist")
    if not all(map(str.isprintable, requires_dist)):
        raise refused(Code.META, "METADATA has a Requires-Dist with control characters", member=member)
    return Metadata(requires_dist=requires_dist)


def _check_expectation(filename: WheelFilename, expectation: Expectation) -> None:
    name, version = expectation.name, expectation.version
    if name is not None and canonicalize_name(name) != filename.name:
        raise refused(Code.META, f"the wheel is of {filename.name}, the lock file says {shown(name)}")
    if version is not None and not filename.is_version(version):
        raise refused(Code.META, f"the wheel is of version {filename.version}, the lock file says {shown(version)}")


def _minor_version(text: str, member: str) -> int:
    """The minor version after 1; 0 for the wheels of format 0.1 from before PEP 427 was final."""
    match = _WHEEL_VERSION.fullmatch(text)
    if match is None or int(match[1]) > 1:
        raise refused(Code.META, f"Wheel-Version is {shown(text)}, only 1.x is known", member=member)
    return int(match[2]) if match[1] == "1" else 0


def _check_tags(headers: Headers, filename: WheelFilename, remarks: Remarks) -> None:
    """Note a remark unless the tags, expanded, are those of the file name.

    One line may hold several tags, which were folded once. Raises E_WHEEL_META for more than 4096 tags.
    """
    texts = [tag for line in headers.all("Tag") for tag in line.split()]
    parts = [text.split("-") for text in texts]
    wrong = [text for text, part in zip(texts, parts, strict=True) if len(part) != 3 or not all(part)]
    if sum(prod(piece.count(".") + 1 for piece in part) for part in parts) > _MOST_TAGS:
        raise refused(Code.META, f"{headers.member} has more than {_MOST_TAGS} tags", member=headers.member)
    if wrong or {str(tag) for text in texts for tag in parse_tag(text)} != set(filename.tags):
        remarks.note(Rule.WHEEL_TAGS, wrong[0] if wrong else " ".join(texts) or "nothing")
