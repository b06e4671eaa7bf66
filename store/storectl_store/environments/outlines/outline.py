"""The outline of an entry: all that planning an environment needs of it, a hundredth of its manifest.

A folder that need not be real is listed as a whole, by its path with a slash behind it. Its files are in the manifest,
which is read if another entry writes into the same folder. What an import map says of the entry's folders is ready
made.

What the catalogue keeps, format 1: the CRC-32 of the rest as four bytes, the lowest first; then ``marshal`` (version 2)
of one tuple: the fields of ``Outline`` in their order without the digest, as tuples, lists, dicts and texts.
"""

import marshal
import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from packaging.utils import NormalizedName

from storectl_store.digest import Digest
from storectl_store.entries.manifest import Manifest, folders_above
from storectl_store.environments.import_map import MARSHAL_VERSION, Section, index_paths, section_of
from storectl_store.errors import StoreFormatError
from storectl_store.wheel.checked import EntryPoint, Part

OUTLINE_FORMAT = 1
_CHECK_BYTES = 4

Files = Mapping[str, str]
"""Path -> sha256 hex. A path that ends with a slash is a whole folder and has ""."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """What has to be known of an entry before it can be shown.

    ``distribution`` is the project as the wheel's file name spells it. ``real_folders`` are folders of site-packages
    that must not be links. ``sections`` are those of the folders right below site-packages that can be imported, for
    one set of extension suffixes. ``source_size`` is the size of all modules in bytes.
    """

    digest: Digest
    name: NormalizedName
    version: str
    distribution: str
    dist_info: str
    requires_dist: tuple[str, ...]
    entry_points: tuple[EntryPoint, ...]
    real_folders: frozenset[str]
    files: Mapping[Part, Files]
    sections: Mapping[str, Section]
    source_size: int


def outline_of(manifest: Manifest, extension_suffixes: Sequence[str]) -> Outline:
    """The outline of the entry with this manifest, for interpreters with these suffixes."""
    files: dict[Part, dict[str, str]] = {part: {} for part in Part}
    for file in manifest.files:
        files[file.part][file.path] = file.sha256
    # A library that looks for another wheel's by `$ORIGIN/../..` has `..` resolved through the file system, which leads
    # from a linked folder into the store, where no other wheel is. `$ORIGIN` itself is the path by which the library
    # was opened, links not followed. So it is enough that every folder on the way to the library is real.
    real_folders = frozenset(folders_above(manifest.escaping_libraries)) | {manifest.dist_info}
    modules = files[Part.SITE_PACKAGES]
    return Outline(
        digest=manifest.digest,
        name=manifest.name,
        version=manifest.version,
        distribution=manifest.filename.partition("-")[0],
        dist_info=manifest.dist_info,
        requires_dist=manifest.requires_dist,
        entry_points=manifest.entry_points,
        real_folders=real_folders,
        files={**files, Part.SITE_PACKAGES: _with_wholes(modules, real_folders)},
        sections=_sections(modules, extension_suffixes),
        source_size=sum(file.size for file in manifest.files if file.path.endswith(".py")),
    )


def _with_wholes(files: Files, real_folders: frozenset[str]) -> dict[str, str]:
    """The files; a folder that need not be real takes the place of all files below it."""
    told: dict[str, str] = {}
    for path, fingerprint in files.items():
        whole = _whole_folder(path, real_folders)
        if whole is None:
            told[path] = fingerprint
        else:
            told[f"{whole}/"] = ""
    return told


def _whole_folder(path: str, real_folders: frozenset[str]) -> str | None:
    """The topmost folder on the way to the file that need not be real; None if there is none."""
    end = path.find("/")
    while end >= 0 and path[:end] in real_folders:
        end = path.find("/", end + 1)
    return None if end < 0 else path[:end]


def _sections(paths: Iterable[str], extension_suffixes: Sequence[str]) -> dict[str, Section]:
    below: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        folder, slash, _ = path.partition("/")
        if slash:
            below[folder].append(path)
    found = {folder: section_of(folder, index_paths(inside, extension_suffixes)) for folder, inside in below.items()}
    return {folder: section for folder, section in found.items() if section}


def outline_kind(extension_suffixes: Sequence[str]) -> str:
    """The kind under which the catalogue keeps outlines for these suffixes."""
    return f"outline {OUTLINE_FORMAT} {sha256(' '.join(extension_suffixes).encode()).hexdigest()[:16]}"


def encode_outline(outline: Outline) -> bytes:
    """The outline as the catalogue keeps it."""
    value = (
        outline.name,
        outline.version,
        outline.distribution,
        outline.dist_info,
        outline.requires_dist,
        tuple((e.name, e.module, e.attribute, e.gui) for e in outline.entry_points),
        tuple(sorted(outline.real_folders)),
        {part.value: files for part, files in outline.files.items() if files},
        {folder: (s.record, s.content, s.check) for folder, s in outline.sections.items()},
        outline.source_size,
    )
    data = marshal.dumps(value, MARSHAL_VERSION)
    return zlib.crc32(data).to_bytes(_CHECK_BYTES, "little") + data


def decode_outline(digest: Digest, data: bytes) -> Outline:
    """The outline of this entry in these bytes. Raises StoreFormatError if they are none."""
    if int.from_bytes(data[:_CHECK_BYTES], "little") != zlib.crc32(memoryview(data)[_CHECK_BYTES:]):
        raise StoreFormatError(f"the outline of {digest} is damaged")
    try:
        value: tuple[Any, ...] = marshal.loads(memoryview(data)[_CHECK_BYTES:])  # noqa: S302  # of our own making, checked
        name, version, distribution, dist_info, requires_dist, scripts, real_folders, files, sections, size = value
        return Outline(
            digest=digest,
            name=name,
            version=version,
            distribution=distribution,
            dist_info=dist_info,
            requires_dist=requires_dist,
            entry_points=tuple(EntryPoint(name=n, module=m, attribute=a, gui=g) for n, m, a, g in scripts),
            real_folders=frozenset(real_folders),
            files={part: files.get(part.value, {}) for part in Part},
            sections={f: Section(record=r, content=c, check=k) for f, (r, c, k) in sections.items()},
            source_size=size,
        )
    except (ValueError, TypeError, EOFError, AttributeError) as error:
        raise StoreFormatError(f"the outline of {digest} cannot be read: {error}") from error
