"""The entries of several stores as one: which of them are there, and which of some files an interpreter would take."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import cached_property

from storectl_store.digest import Digest
from storectl_store.entries.read_only import ReadOnlyStore
from storectl_store.errors import StoreError
from storectl_store.selection.choose import choose_wheel
from storectl_store.selection.pin import WheelFile
from storectl_store.selection.target import Interpreter


class Shelf:
    """The entries of these stores, as they were when they were first asked for. ``meta/`` of each is read once.

    To ask for each of a lock file's digests, a dozen for a wheel, would be a call to a slow file system each.
    """

    def __init__(self, stores: Sequence[ReadOnlyStore]) -> None:
        self.stores = tuple(stores)

    @cached_property
    def _digests(self) -> tuple[frozenset[Digest], ...]:
        """Those of each store."""
        found = []
        for store in self.stores:
            digests: frozenset[Digest] = frozenset()
            with suppress(OSError):
                digests = frozenset(store.digests())
            found.append(digests)
        return tuple(found)

    def has(self, digest: Digest) -> bool:
        """Whether a store has the entry."""
        return any(digest in digests for digests in self._digests)

    def best_of(self, digests: Iterable[Digest], interpreter: Interpreter) -> WheelFile | None:
        """The wheel that the interpreter prefers, of those with one of these digests that are there; None without."""
        files = (self._file(digest) for digest in digests if self.has(digest))
        return choose_wheel([file for file in files if file is not None], interpreter)

    def _file(self, digest: Digest) -> WheelFile | None:
        """The wheel of an entry, by its manifest."""
        for store, digests in zip(self.stores, self._digests, strict=True):
            with suppress(StoreError):
                if digest in digests and (manifest := store.manifest(digest)) is not None:
                    return WheelFile(filename=manifest.filename, digest=digest, url=f"file:///{manifest.filename}")
        return None
