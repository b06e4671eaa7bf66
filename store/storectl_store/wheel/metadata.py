"""Step 8: WHEEL and METADATA, against the file name and the lock file.

WHEEL's tags may differ from those of the file name: installers choose by the file name, and retagged wheels often keep
their old WHEEL. So that is a warning, while tags that cannot be read are refused.
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

_WHEEL_VERSION = re.compile(r"([0-9]{1,4})\.([0-9]{1,4})")
_MOST_TAGS = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelInfo:
    """What the WHEEL file says."""

    root_is_purelib: bool
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """What METADATA says. ``requires_dist`` are requirements as they stand there, on one line each."""

    requires_dist: tuple[str, ...]


def check_wheel_file(content: bytes, member: str, filename: WheelFilename) -> WheelInfo:
    """The WHEEL file; E_WHEEL_META for another major version than 1 (or 0), or a field that is missing or unreadable."""
    headers = Headers(content, member)
    minor = _check_version(headers.one("Wheel-Version"), member)
    purelib = headers.one("Root-Is-Purelib").lower()
    if purelib not in ("true", "false"):
        raise refused(Code.META, f"Root-Is-Purelib is {shown(purelib)}, not true or false", member=member)
    tags = _tags(headers)
    warnings = [f"made to wheel format 1.{minor}, which is newer than 1.0"] if minor else []
    if tags != set(filename.tags):
        warnings.append("its WHEEL file has other tags than its file name")
    return WheelInfo(root_is_purelib=purelib == "true", warnings=tuple(warnings))


def check_metadata(content: bytes, member: str, filename: WheelFilename, expectation: Expectation) -> Metadata:
    """METADATA; E_WHEEL_META unless name and version are those of the file name, and both those of the lock file."""
    headers = Headers(content, member)
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


def _check_version(text: str, member: str) -> int:
    """The minor version after 1, and 0 for the wheels of format 0.1 from before PEP 427 was final."""
    match = _WHEEL_VERSION.fullmatch(text)
    if match is None or int(match[1]) > 1:
        raise refused(Code.META, f"Wheel-Version is {shown(text)}, only 1.x is known", member=member)
    return int(match[2]) if match[1] == "1" else 0


def _tags(headers: Headers) -> set[str]:
    """The tags, expanded. One line may hold several, from the time when they were folded."""
    texts = [tag for line in headers.all("Tag") for tag in line.split()]
    if not texts:
        raise refused(Code.META, f"{headers.member} has no Tag", member=headers.member)
    parts = [text.split("-") for text in texts]
    if any(len(part) != 3 or not all(part) for part in parts):
        raise refused(Code.META, f"{headers.member} has a Tag that is not python-abi-platform", member=headers.member)
    if sum(prod(piece.count(".") + 1 for piece in part) for part in parts) > _MOST_TAGS:
        raise refused(Code.META, f"{headers.member} has more than {_MOST_TAGS} tags", member=headers.member)
    return {str(tag) for text in texts for tag in parse_tag(text)}
