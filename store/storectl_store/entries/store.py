"""The store as a subject: its folders, its format, and reading what is committed. It does not know its writer."""

import errno
import os
import re
import secrets
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

from storectl_store.digest import Digest, digest_of_hex, hex_of
from storectl_store.entries.catalogue import Catalogue, Summary, summary_of
from storectl_store.entries.durability import disk_errors, fsync_folder, sync_descriptor
from storectl_store.entries.layout import STORE_FORMAT, StoreLayout
from storectl_store.entries.manifest import Manifest, decode_manifest
from storectl_store.errors import StoreError, StoreFormatError

_MANIFEST_NAME = re.compile(r"([0-9a-f]{64})\.json")
_VERSION_TEXT = f"storectl store {STORE_FORMAT}\n"

UNFINISHED_VERSION = ".VERSION."
"""How the name of a VERSION begins that is still being written."""

_BEFORE_THE_STORE = {"start.lock", "state"}
"""What the command that starts a daemon may have made in the folder before it is a store."""


class Store:
    """A store on disk. ``layout`` says where everything is; ``catalogue`` is its database. Safe to share by threads."""

    def __init__(self, layout: StoreLayout) -> None:
        self.layout = layout
        self.catalogue = Catalogue(layout.index, self.manifests)

    @classmethod
    def open(cls, root: Path) -> Self:
        """The store in this folder, made (0700) where there is none.

        StoreFormatError for a store of another version and for a folder that holds other things; StoreError or
        StoreFullError where the folders cannot be made.
        """
        layout = StoreLayout(root)
        with disk_errors(f"open the store {root}"):
            if not layout.version_file.exists():
                _create(layout)
            _check_version(layout)
            if sum(_make_folder(folder) for folder in _folders(layout)):
                fsync_folder(root)
        return cls(layout)

    @property
    def empty(self) -> bool:
        """Whether no entry can be seen."""
        with suppress(OSError), os.scandir(self.layout.meta) as found:
            return next(found, None) is None
        return True

    @property
    def missing(self) -> Path | None:
        """A file or folder without which this is no store any more; None if all of them are there."""
        needed = (self.layout.version_file, *_folders(self.layout))
        return next((path for path in needed if not path.exists()), None)

    def has(self, digest: Digest) -> bool:
        """Whether the entry with this digest is visible."""
        return os.path.exists(self.layout.manifest(digest))

    def digests(self) -> Iterator[Digest]:
        """Every visible entry, in no order, straight from the folder."""
        with os.scandir(self.layout.meta) as found:
            matches = [_MANIFEST_NAME.fullmatch(file.name) for file in found]
        return (digest_of_hex(match[1]) for match in matches if match)

    def manifest(self, digest: Digest) -> Manifest | None:
        """The manifest of a visible entry, None where there is none; StoreFormatError where it is broken.

        It is read each time, and large: outlines are what to ask for many entries (``environments.outlines``).
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

    def manifests(self) -> Iterator[Manifest]:
        """Every manifest that can be read, in order of digest; broken ones are left to ``verify``."""
        return self.readable(sorted(self.digests()))

    def readable(self, digests: Iterable[Digest]) -> Iterator[Manifest]:
        """The manifests of these entries, in their order, but for those that are gone or broken."""
        for digest in digests:
            with suppress(StoreError):
                manifest = self.manifest(digest)
                if manifest is not None:
                    yield manifest

    def entry_folder(self, manifest: Manifest) -> Path:
        """The folder of the entry, which holds ``site-packages`` and the other parts."""
        return self.layout.entry(manifest.name, manifest.digest)

    def summaries(self) -> list[Summary]:
        """Every visible entry for a listing, by name, version and file name.

        The catalogue makes it quick; what it lacks, or all where it fails, comes from the manifests.
        """
        visible = set(self.digests())
        known = {summary.digest: summary for summary in self._catalogued() if summary.digest in visible}
        missing = [summary_of(manifest) for manifest in self.readable(visible - known.keys())]
        return sorted(
            [*known.values(), *missing], key=lambda summary: (summary.name, summary.version, summary.filename)
        )

    def _catalogued(self) -> list[Summary]:
        try:
            return self.catalogue.summaries()
        except sqlite3.Error:
            return []

    def close(self) -> None:
        """Let go of the catalogue's connection; the store may be used again."""
        self.catalogue.close()


def _broken(path: Path, reason: str) -> StoreFormatError:
    return StoreFormatError(
        f"the manifest {path.name} cannot be used: {reason}",
        hint="warm the project again: the entry is then unpacked anew",
        path=str(path),
    )


def _folders(layout: StoreLayout) -> tuple[Path, ...]:
    return (
        layout.entries,
        layout.meta,
        layout.environments,
        layout.links,
        layout.interpreters,
        layout.urls,
        layout.projects,
        layout.tmp,
        layout.trash,
        layout.quarantine,
    )


def _create(layout: StoreLayout) -> None:
    """Make the root folder a store: VERSION comes first, whole, so that two processes may do this at once."""
    root = layout.root
    root.mkdir(parents=True, exist_ok=True)
    strangers = [name for name in os.listdir(root) if not name.startswith(UNFINISHED_VERSION)]
    strangers = [name for name in strangers if name not in _BEFORE_THE_STORE]
    if strangers and not layout.version_file.exists():
        raise StoreFormatError(
            f"{root} is not a store and not empty: it holds {min(strangers)!r}",
            hint="choose an empty or new folder for the store (STORECTL_STORE)",
            path=str(root),
        )
    root.chmod(0o700)
    unfinished = root / f"{UNFINISHED_VERSION}{secrets.token_hex(8)}"
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
        os.write(descriptor, _VERSION_TEXT.encode())
        sync_descriptor(descriptor)
    finally:
        os.close(descriptor)
    unfinished.rename(layout.version_file)
    fsync_folder(root)


def _check_version(layout: StoreLayout) -> None:
    text = layout.version_file.read_bytes()[:100].decode(errors="replace")
    if text != _VERSION_TEXT:
        raise StoreFormatError(
            f"{layout.root} is {text.strip()!r}, and this storectl reads {_VERSION_TEXT.strip()!r}",
            hint="use the storectl that made it, or another folder (STORECTL_STORE)",
            found=text.strip(),
        )


def _make_folder(folder: Path) -> bool:
    """Make the folder where it is missing, its mode whatever the umask; whether it was."""
    try:
        folder.mkdir()
    except FileExistsError:
        return False
    folder.chmod(0o755)
    return True
