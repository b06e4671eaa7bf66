"""A staged entry: what staging hands on, apart from what stages, which only worker processes load."""

from dataclasses import dataclass
from pathlib import Path

from storectl_store.entries.manifest import Manifest

INSTALLER = b"storectl\n"
"""The content of every entry's ``INSTALLER``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedEntry:
    """An entry in ``folder``, ready to commit. ``warnings`` are sentences of the checks for a person."""

    folder: Path
    manifest: Manifest
    warnings: tuple[str, ...] = ()

    @property
    def entry(self) -> Path:
        """The folder of the entry, to be renamed to its address."""
        return self.folder / "entry"

    @property
    def manifest_file(self) -> Path:
        """The entry's manifest, to be renamed into ``meta/``."""
        return self.folder / "manifest.json"
