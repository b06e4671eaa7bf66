"""The face of every store: what a reader may ask of a store, a layer or an image, however it keeps its entries.

An implementation answers from what is committed, and changes nothing by answering. A path that it gives stays right as
long as the entry or environment is there. One suite (``tests/support/conformance.py``) says all that the answers mean,
and every implementation passes it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from packaging.utils import NormalizedName

from storectl_store.digest import Digest
from storectl_store.entries.manifest import Manifest
from storectl_store.errors import StoreError


class Addressed(Protocol):
    """What leads to the folder of an entry: its manifest, or its outline."""

    @property
    def name(self) -> NormalizedName:
        """The name of its project."""
        ...

    @property
    def digest(self) -> Digest:
        """The digest of its wheel."""
        ...


class Readable(Protocol):
    """Answers about committed entries and published environments. Threads may share it."""

    def has(self, digest: Digest) -> bool:
        """Whether the entry with this digest is visible: it has a manifest, whole or not."""
        ...

    def manifest(self, digest: Digest) -> Manifest | None:
        """The manifest of a visible entry; None if there is none.

        Raises StoreFormatError if it is broken, or another entry's.
        """
        ...

    def entry_folder(self, entry: Addressed) -> Path:
        """The folder of a visible entry; it holds ``site-packages`` and the other parts."""
        ...

    def lower_roots(self, entries: Sequence[Addressed]) -> Mapping[Digest, Path]:
        """The roots of the stores that these entries are in, by digest, but for those of the own store."""
        ...

    def environment(self, environment_id: str) -> Path | None:
        """The folder of a published environment; None if there is none with this id, or the text is no id."""
        ...


def manifest_in(store: Readable, digest: Digest) -> Manifest:
    """The manifest of an entry. Raises StoreError if there is none, or it is broken."""
    manifest = store.manifest(digest)
    if manifest is None:
        raise StoreError(f"the entry {digest} is gone from the store", hint="warm the project again", digest=digest)
    return manifest
