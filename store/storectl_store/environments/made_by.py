"""Which storectl made an environment. Its id tells that: it is a digest over the shim and all that the record names."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from enum import Enum, auto
from pathlib import Path

from storectl_store.digest import Digest
from storectl_store.entries.layout import UNPUBLISHED, StoreLayout
from storectl_store.environments.environment_record import EnvironmentRecord, read_environment
from storectl_store.environments.identity import VIEW_FORMAT, digest_of_shim, identity_of, shim_digest, shim_sources
from storectl_store.environments.layers_record import read_layers
from storectl_store.errors import StoreError


class Maker(Enum):
    """Which storectl made an environment. UNKNOWN: its id is not the digest of what its record says, so none did."""

    THIS = auto()
    ANOTHER = auto()
    UNKNOWN = auto()


def maker_of(folder: Path, record: EnvironmentRecord) -> Maker:
    """Which storectl made the environment in this folder, which has this record."""
    if folder.name == record.id == _identity(record, shim_digest(), VIEW_FORMAT):
        return Maker.THIS
    shims = [shim_digest(), *_own_shims(folder)]
    ids = {_identity(record, shim, view_format) for shim in shims for view_format in range(1, VIEW_FORMAT + 1)}
    return Maker.ANOTHER if folder.name == record.id and record.id in ids else Maker.UNKNOWN


def shown_digests(layout: StoreLayout) -> set[Digest]:
    """The digest of every own entry that an environment leads to, for all environments whose record can be read."""
    return {digest for record in environment_records(layout) for digest in own_digests(layout, record)}


def own_digests(layout: StoreLayout, record: EnvironmentRecord) -> tuple[Digest, ...]:
    """The entries of the environment that links of it lead to in its own store. If nobody can tell, all of them."""
    with suppress(OSError, StoreError):
        elsewhere = {entry.digest for entry in read_layers(layout.environment(record.id))}
        return tuple(digest for digest in record.digests if digest not in elsewhere)
    return record.digests


def environment_records(layout: StoreLayout) -> Iterator[EnvironmentRecord]:
    """The record of every environment whose record can be read, by id."""
    for folder in environment_folders(layout):
        with suppress(StoreError):
            yield read_environment(folder)


def environment_folders(layout: StoreLayout) -> Iterable[Path]:
    """Every published environment, by id."""
    return sorted(path for path in layout.environments.iterdir() if not path.name.startswith(UNPUBLISHED))


def _identity(record: EnvironmentRecord, shim: Digest, view_format: int) -> str:
    return identity_of(
        record.digests, record.interpreter_identity, record.direct_urls, shim=shim, view_format=view_format
    )


def _own_shims(folder: Path) -> Iterator[Digest]:
    """The digest of the shim in the environment itself."""
    for library in folder.glob("lib/python*"):
        with suppress(OSError):
            paths = [path for path in shim_sources() if (library / path).exists()]  # older shims have fewer
            yield digest_of_shim({path: (library / path).read_bytes() for path in paths})
