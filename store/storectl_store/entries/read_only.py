"""A store that is only read, by its files alone: no lock, no database, nothing made and nothing mended.

For a store that this process cannot write: in an image, on a read-only file system, or of another user.
"""

import errno
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from packaging.utils import NormalizedName

from storectl_store.digest import Digest, digest_of_hex, hex_of, is_environment_id
from storectl_store.disk.durability import disk_errors
from storectl_store.entries.layout import StoreLayout
from storectl_store.entries.manifest import Manifest, decode_manifest
from storectl_store.entries.readable import Addressed
from storectl_store.entries.version_file import check_version
from storectl_store.errors import StoreError, StoreFormatError

_MANIFEST_NAME = re.compile(r"([0-9a-f]{64})\.json")


class ReadOnlyStore:
    """What is committed to the store on disk that ``layout`` describes. Threads may share it."""

    def __init__(self, layout: StoreLayout) -> None:
        self.layout = layout

    @classmethod
    def open(cls, root: Path) -> Self:
        """Open the store in this folder, and write nothing.

        Raises StoreFormatError if it is no store of this version, StoreError if it cannot be read.
        """
        layout = StoreLayout(root.absolute())
        with disk_errors(f"open the store {root}"):
            check_version(layout)
        return cls(layout)

    @property
    def empty(self) -> bool:
        """Whether no entry is visible."""
        with suppress(OSError), os.scandir(self.layout.meta) as found:
            return next(found, None) is None
        return True

    def has(self, digest: Digest) -> bool:
        """Whether the entry with this digest is visible."""
        return os.path.exists(self.layout.manifest_text(digest))

    def digests(self) -> Iterator[Digest]:
        """The digest of every visible entry, in no order, read from the folder ``meta/``."""
        with os.scandir(self.layout.meta) as found:
            matches = [_MANIFEST_NAME.fullmatch(file.name) for file in found]
        return (digest_of_hex(match[1]) for match in matches if match)

    def manifest(self, digest: Digest) -> Manifest | None:
        """The manifest of a visible entry; None if there is none. Raises StoreFormatError if it is broken.

        It is large, and read from disk each time. For many entries, use ``environments.outlines.kept``.
        """
        path = self.layout.manifest(digest)
        try:
            with disk_errors(f"read {path.name}"):
                manifest = decode_manifest(path.read_bytes())
        except StoreFormatError as error:
            raise _broken(path, error.message) from error
        except StoreError as error:
            if error.facts.get("errno") == errno.ENOENT:
                return None
            raise
        if manifest.digest != digest:
            raise _broken(path, f"it is about {hex_of(manifest.digest)}")
        return manifest

    def usable_manifest(self, digest: Digest) -> Manifest | None:
        """The manifest of an entry that is whole; None if its manifest is missing or broken, or its folder gone.

        In all of these cases the entry is then made anew.
        """
        with suppress(StoreFormatError):
            manifest = self.manifest(digest)
            if manifest is not None and self.entry_folder(manifest).is_dir():
                return manifest
        return None

    def manifests(self) -> Iterator[Manifest]:
        """Every manifest that can be read, in order of digest; broken ones are left to ``verify``."""
        return self.readable(sorted(self.digests()))

    def readable(self, digests: Iterable[Digest]) -> Iterator[Manifest]:
        """The manifests of these entries, in their order; those that are gone or broken are left out."""
        for digest in digests:
            with suppress(StoreError):
                manifest = self.manifest(digest)
                if manifest is not None:
                    yield manifest

    def entry_folder(self, entry: Addressed) -> Path:
        """The folder of the entry, which holds ``site-packages`` and the other parts."""
        return self.layout.entry(entry.name, entry.digest)

    def lower_roots(self, entries: Sequence[Addressed]) -> Mapping[Digest, Path]:  # noqa: ARG002 - of more stores than one
        """None: it is one store."""
        return {}

    def seems_whole(self, name: NormalizedName, digest: Digest) -> bool:
        """Whether the entry is visible and has its ``site-packages``. Its manifest is not read."""
        return self.has(digest) and os.path.isdir(self.layout.modules_text(name, digest))

    def environment(self, environment_id: str) -> Path | None:
        """The folder of a published environment; None if there is none with this id, or the text is no id."""
        if not is_environment_id(environment_id):
            return None
        folder = self.layout.environment(environment_id)
        return folder if os.path.isdir(folder) else None


def _broken(path: Path, reason: str) -> StoreFormatError:
    return StoreFormatError(
        f"the manifest {path.name} cannot be used: {reason}",
        hint="`storectl store verify --repair` fetches the entry again",
        path=str(path),
    )
