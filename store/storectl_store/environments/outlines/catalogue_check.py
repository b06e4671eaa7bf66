"""Compare the catalogue with the manifests that it can be built from again."""

import sqlite3
from collections.abc import Iterator

from storectl_store.entries.catalogue import summary_of
from storectl_store.entries.disk_use import (
    OF_WHEEL,
    is_counted,
    records_by_entry,
    use_of_wheel,
    uses_of_bytecode,
)
from storectl_store.entries.store import Store
from storectl_store.environments.outlines.outline import OUTLINE_FORMAT, decode_outline
from storectl_store.errors import StoreFormatError

_OUTLINE = f"outline {OUTLINE_FORMAT} "
_KINDS = ("outline ", "shim ")


def catalogue_problems(store: Store) -> list[str]:
    """A sentence for each thing in the catalogue that does not match the manifests; empty if all is well."""
    try:
        return store.catalogue.problems() or [*_rows(store), *_bytecode(store), *_blobs(store)]
    except (sqlite3.Error, OSError, ValueError, TypeError) as error:
        return [f"it cannot be read: {error}"]


def _rows(store: Store) -> Iterator[str]:
    uses = {digest: some.get(OF_WHEEL) for digest, some in store.catalogue.uses().items()}
    known = {summary.digest: (summary, uses.get(summary.digest)) for summary in store.catalogue.summaries()}
    right = {
        # What was not counted yet is no fault: the catalogue may be from before there was counting.
        manifest.digest: (summary_of(manifest), use_of_wheel(manifest) if uses.get(manifest.digest) else None)
        for manifest in store.manifests()
    }
    for digest in sorted(known.keys() | right.keys()):
        if known.get(digest) != right.get(digest) and (digest in right or not store.has(digest)):
            yield f"what it says of {digest} is not what the manifest says"


def _bytecode(store: Store) -> Iterator[str]:
    """What it says of bytecode that is still the bytecode of which it says that."""
    records = records_by_entry(store.layout)
    for digest, uses in sorted(store.catalogue.uses().items()):
        sides = records[digest].sides if digest in records else {}
        manifest = store.usable_manifest(digest) if sides and is_counted(uses, sides) else None
        if manifest is not None:
            right = uses_of_bytecode(manifest, store.entry_folder(manifest), sides)
            if right != [use for tag, use in sorted(uses.items()) if tag != OF_WHEEL]:
                yield f"what it says of the bytecode of {digest} is not what its side manifests say"


def _blobs(store: Store) -> Iterator[str]:
    for digest, kind, data in store.catalogue.blobs():
        if kind.startswith(_OUTLINE):
            try:
                decode_outline(digest, data)
            except StoreFormatError as error:
                yield error.message
        elif not kind.startswith(_KINDS):
            yield f"it holds {kind!r}, which nothing reads"
