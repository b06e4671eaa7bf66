"""The outlines of a store's entries: kept in the catalogue, or made from the manifests if it has none to be read."""

from collections.abc import Iterable, Sequence
from contextlib import suppress

from storectl_store.digest import Digest
from storectl_store.entries.catalogue import Catalogue
from storectl_store.entries.manifest import Manifest
from storectl_store.entries.readable import Readable, manifest_in
from storectl_store.environments.outlines.outline import (
    Outline,
    decode_outline,
    encode_outline,
    outline_kind,
    outline_of,
)
from storectl_store.errors import StoreFormatError


class Outlines:
    """Gives outlines, and keeps those that it had to make. Threads may share it, as they may share the store."""

    def __init__(self, store: Readable, catalogue: Catalogue) -> None:
        self._store = store
        self._catalogue = catalogue

    def get(self, digests: Sequence[Digest], extension_suffixes: Sequence[str]) -> list[Outline]:
        """The outlines of these entries, in order.

        Raises StoreError if an entry is not there, or its manifest is broken.
        """
        kind = outline_kind(extension_suffixes)
        found = dict(self._kept(kind, digests))
        made = [
            outline_of(manifest_in(self._store, digest), extension_suffixes)
            for digest in dict.fromkeys(digests)
            if digest not in found
        ]
        self._keep(kind, made)
        found.update((outline.digest, outline) for outline in made)
        return [found[digest] for digest in digests]

    def add(self, manifests: Iterable[Manifest], extension_suffixes: Sequence[str]) -> None:
        """Make and keep the outlines of new entries, while their manifests are at hand."""
        self._keep(outline_kind(extension_suffixes), [outline_of(each, extension_suffixes) for each in manifests])

    def _kept(self, kind: str, digests: Sequence[Digest]) -> Iterable[tuple[Digest, Outline]]:
        """The outlines that the catalogue has. It may lose any of them at any time."""
        for digest, data in self._catalogue.get_many(kind, digests).items():
            with suppress(StoreFormatError):
                yield digest, decode_outline(digest, data)

    def _keep(self, kind: str, outlines: Sequence[Outline]) -> None:
        if outlines:
            self._catalogue.put(kind, {outline.digest: encode_outline(outline) for outline in outlines})
