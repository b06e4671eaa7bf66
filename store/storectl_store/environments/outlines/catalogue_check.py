"""Compare the catalogue with the manifests that it can be built from again."""

import sqlite3
from collections.abc import Iterator

from storectl_store.entries.catalogue import summary_of
from storectl_store.entries.store import Store
from storectl_store.environments.outlines.outline import OUTLINE_FORMAT, decode_outline
from storectl_store.errors import StoreFormatError

_OUTLINE = f"outline {OUTLINE_FORMAT} "
_KINDS = ("outline ", "shim ")


def catalogue_problems(store: Store) -> list[str]:
    """A sentence for each thing in the catalogue that does not match the manifests; empty if all is well."""
    try:
        return store.catalogue.problems() or [*_rows(store), *_blobs(store)]
    except (sqlite3.Error, OSError, ValueError, TypeError) as error:
        return [f"it cannot be read: {error}"]


def _rows(store: Store) -> Iterator[str]:
    known = {summary.digest: summary for summary in store.catalogue.summaries()}
    right = {manifest.digest: summary_of(manifest) for manifest in store.manifests()}
    for digest in sorted(known.keys() | right.keys()):
        if known.get(digest) != right.get(digest) and (digest in right or not store.has(digest)):
            yield f"what it says of {digest} is not what the manifest says"


def _blobs(store: Store) -> Iterator[str]:
    for digest, kind, data in store.catalogue.blobs():
        if kind.startswith(_OUTLINE):
            try:
                decode_outline(digest, data)
            except StoreFormatError as error:
                yield error.message
        elif not kind.startswith(_KINDS):
            yield f"it holds {kind!r}, which nothing reads"
