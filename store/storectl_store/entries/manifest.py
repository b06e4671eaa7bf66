"""The manifest of an entry: what the wheel was, and every file that came of it. Published last, as JSON.

The format, version 2, is one JSON object with the fields of ``Manifest`` in sorted order and no spaces, sealed
(``sealed``). ``files`` is a list of ``[part, path, size, sha256 hex, executable]`` sorted by part and path. The
manifest is a pure function of the wheel's bytes and file name. Version 1, which is read too, has no seal.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from packaging.utils import NormalizedName

from storectl_store.digest import Digest, parse_digest
from storectl_store.entries.sealed import opened, sealed
from storectl_store.errors import StoreFormatError
from storectl_store.wheel.checked import EntryPoint, Part

MANIFEST_FORMAT = 2
_FORMAT_WITHOUT_SEAL = 1

_PARTS = {part.value: part for part in Part}


class ManifestFile(NamedTuple):
    """One file of an entry. ``path`` is relative to its part, with forward slashes; ``size`` is in bytes.

    It is a tuple because there are tens of thousands: to make them, send them between processes and read them again
    takes half to two thirds of the time that it would take otherwise.
    """

    part: Part
    path: str
    size: int
    sha256: str
    executable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The record of an entry.

    ``wheel_size`` is the archive's size in bytes. ``escaping_libraries`` are the paths, in site-packages, of ELF files
    whose RPATH or RUNPATH leaves the wheel; their folders must be real in a view.
    """

    digest: Digest
    filename: str
    name: NormalizedName
    version: str
    wheel_size: int
    tags: tuple[str, ...]
    root_is_purelib: bool
    dist_info: str
    requires_dist: tuple[str, ...]
    entry_points: tuple[EntryPoint, ...]
    escaping_libraries: tuple[str, ...]
    files: tuple[ManifestFile, ...]

    @property
    def unpacked_size(self) -> int:
        """The size of all files of the entry in bytes, bytecode not counted."""
        return sum(file.size for file in self.files)


def encode_manifest(manifest: Manifest) -> bytes:
    """The manifest as the bytes of its file in ``meta/``."""
    value = {
        "format": MANIFEST_FORMAT,
        "digest": manifest.digest,
        "filename": manifest.filename,
        "name": manifest.name,
        "version": manifest.version,
        "wheel_size": manifest.wheel_size,
        "tags": list(manifest.tags),
        "root_is_purelib": manifest.root_is_purelib,
        "dist_info": manifest.dist_info,
        "requires_dist": list(manifest.requires_dist),
        "entry_points": [[e.name, e.module, e.attribute, e.gui] for e in manifest.entry_points],
        "escaping_libraries": list(manifest.escaping_libraries),
        "files": sorted([f.part.value, f.path, f.size, f.sha256, f.executable] for f in manifest.files),
    }
    return sealed(json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() + b"\n")


def decode_manifest(data: bytes) -> Manifest:
    """The manifest in these bytes. Raises StoreFormatError if they are no manifest of a version that is read."""
    try:
        content, has_seal = opened(data)
        value: dict[str, Any] = json.loads(content)
        if value["format"] != (MANIFEST_FORMAT if has_seal else _FORMAT_WITHOUT_SEAL):
            raise StoreFormatError(f"manifest format {value['format']!r} is not {MANIFEST_FORMAT}")
        return Manifest(
            digest=parse_digest(value["digest"]),
            filename=value["filename"],
            name=value["name"],
            version=value["version"],
            wheel_size=value["wheel_size"],
            tags=tuple(value["tags"]),
            root_is_purelib=value["root_is_purelib"],
            dist_info=value["dist_info"],
            requires_dist=tuple(value["requires_dist"]),
            entry_points=tuple(
                EntryPoint(name=n, module=m, attribute=a, gui=g) for n, m, a, g in value["entry_points"]
            ),
            escaping_libraries=tuple(value["escaping_libraries"]),
            files=tuple(
                ManifestFile(_PARTS[part], path, size, sha256, executable)
                for part, path, size, sha256, executable in value["files"]
            ),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise StoreFormatError(f"broken manifest: {error}") from error


def folders_above(paths: Iterable[str]) -> set[str]:
    """Every folder on the way to these paths, which are relative to one folder; without that folder itself."""
    folders: set[str] = set()
    for path in paths:
        folder = path.rpartition("/")[0]
        while folder and folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    return folders
