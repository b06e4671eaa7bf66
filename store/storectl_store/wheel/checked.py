"""What the checks know about a wheel that passed them: all that unpacking and mapping need."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from packaging.utils import NormalizedName


class Part(StrEnum):
    """The four parts of an entry; purelib and platlib are one."""

    SITE_PACKAGES = "site-packages"
    SCRIPTS = "scripts"
    DATA = "data"
    HEADERS = "headers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What the lock file says of a wheel. ``digests`` maps algorithm to hex digest: all that are given must match."""

    filename: str
    digests: dict[str, str]
    size: int | None = None
    name: NormalizedName | None = None
    version: str | None = None


class Member(NamedTuple):
    """One file of the archive and its place in the entry.

    Sizes and offsets are in bytes; ``data_offset`` is the offset of its stored or deflated bytes. ``sha256`` is what
    RECORD says, as 64 hex digits; None if RECORD does not say it, as of itself. It is a tuple, as there are many.
    """

    archive_name: str
    part: Part
    path: str
    size: int
    compressed_size: int
    deflated: bool
    data_offset: int
    crc: int
    sha256: str | None
    executable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryPoint:
    """A console or gui script: ``name = module:attribute``."""

    name: str
    module: str
    attribute: str
    gui: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedWheel:
    """A wheel that passed every check.

    ``members`` are in archive order. ``warnings`` are for a person, each with its rule.
    """

    filename: str
    name: NormalizedName
    version: str
    tags: tuple[str, ...]
    root_is_purelib: bool
    dist_info: str
    members: tuple[Member, ...]
    entry_points: tuple[EntryPoint, ...]
    requires_dist: tuple[str, ...]
    warnings: tuple[str, ...] = ()
