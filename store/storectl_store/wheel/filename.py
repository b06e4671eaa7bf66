"""The file name of a wheel, ``name-version[-build]-python-abi-platform.whl``: all that is inside is measured by it."""

import re
from dataclasses import dataclass

from packaging.utils import InvalidWheelFilename, NormalizedName, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from storectl_store.wheel.refusal import Code, refused, shown

_LONGEST_FILENAME = 255
_SAFE = re.compile(r"[A-Za-z0-9_.+!-]{1,251}\.whl")


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelFilename:
    """What a file name says. ``tags`` are expanded and sorted, each ``py-abi-platform``."""

    name: NormalizedName
    version: Version
    tags: tuple[str, ...]

    def fits(self, name: str, version: str) -> bool:
        """Whether these mean the same project and version, however they are spelled."""
        return canonicalize_name(name) == self.name and self.is_version(version)

    def is_version(self, text: str) -> bool:
        """Whether this is a spelling of the file name's version. No version is longer than a file name can be."""
        try:
            return len(text) <= _LONGEST_FILENAME and Version(text) == self.version
        except InvalidVersion:
            return False


def parse_filename(filename: str) -> WheelFilename:
    """The parts of a file name. Raises E_LAYOUT if no wheel can have it."""
    if not _SAFE.fullmatch(filename):
        raise refused(Code.LAYOUT, f"{shown(filename)} is not the file name of a wheel")
    try:
        name, version, _, tags = parse_wheel_filename(filename)
    except InvalidWheelFilename:
        raise refused(Code.LAYOUT, f"{shown(filename)} is not name-version-python-abi-platform.whl") from None
    return WheelFilename(name=name, version=version, tags=tuple(sorted(map(str, tags))))
