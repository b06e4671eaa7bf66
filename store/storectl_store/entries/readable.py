"""The face of every store: what a reader may ask of a store, a layer or an image, however it keeps its entries.

An implementation answers from what is committed, and changes nothing by answering. A path that it gives stays right as
long as the entry or environment is there. One suite (``tests/support/conformance.py``) says all that the answers mean,
and every implementation passes it.
"""

from pathlib import Path
from typing import Protocol

from storectl_store.digest import Digest
from storectl_store.entries.manifest import Manifest


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

    def entry_folder(self, manifest: Manifest) -> Path:
        """The folder of the entry with this manifest; it holds ``site-packages`` and the other parts."""
        ...

    def environment(self, environment_id: str) -> Path | None:
        """The folder of a published environment; None if there is none with this id, or the text is no id."""
        ...
