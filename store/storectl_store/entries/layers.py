"""An ordered list of stores: the own one, and lower ones that are read by their files alone.

The own store answers first, then each layer in order. Two stores that have the entry of one digest have the same entry,
so it does not matter which of them answers. A hit in a lower layer is not copied into the own store.

A layer is another account's. Its folder is looked at when it is opened (``trusted_path``), and each thing in it when it
is used: it must belong to the layer's owner or root, and nobody else may write it. What does not is not there.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import NormalizedName

from storectl_store.digest import Digest, is_environment_id
from storectl_store.entries.layer_settings import LayerSettings
from storectl_store.entries.layout import StoreLayout
from storectl_store.entries.manifest import Manifest
from storectl_store.entries.read_only import ReadOnlyStore
from storectl_store.entries.readable import Addressed
from storectl_store.entries.trusted_path import check_trusted, is_kept
from storectl_store.errors import LayerError, StoreError, StoreFormatError, UntrustedLayerError


class KeptStore(ReadOnlyStore):
    """A store of which only that is there which these owners keep: nobody else can have written it."""

    def __init__(self, layout: StoreLayout, owners: frozenset[int]) -> None:
        super().__init__(layout)
        self.owners = owners

    def has(self, digest: Digest) -> bool:
        """Whether the entry with this digest is visible, and its manifest is kept by the owners."""
        return self._is_kept(self.layout.manifest_text(digest))

    def manifest(self, digest: Digest) -> Manifest | None:
        """The manifest of a visible entry; None if there is none. Raises StoreFormatError if it is broken."""
        return super().manifest(digest) if self.has(digest) else None

    def seems_whole(self, name: NormalizedName, digest: Digest) -> bool:
        """Whether the entry is visible and has its ``site-packages``, all kept by the owners."""
        modules = self.layout.modules_text(name, digest)
        return self.has(digest) and self._is_kept(modules) and self._is_kept(os.path.dirname(modules))

    def usable_manifest(self, digest: Digest) -> Manifest | None:
        """The manifest of an entry that is whole and kept by the owners, otherwise None."""
        manifest = super().usable_manifest(digest)
        return manifest if manifest is not None and self.seems_whole(manifest.name, digest) else None

    def environment(self, environment_id: str) -> Path | None:
        """The folder of a published environment that is kept by the owners and was published at this path."""
        folder = super().environment(environment_id)
        if folder is None or not all(map(self._is_kept, (str(folder), f"{folder}/pyvenv.cfg"))):
            return None
        return folder

    def check(self) -> None:
        """Raise UntrustedLayerError unless only the owners can change what is in the store."""
        layout = self.layout
        check_trusted(layout.root, self.owners)
        for part in (layout.version_file, layout.entries, layout.meta, layout.environments):
            if os.path.lexists(part) and not self._is_kept(str(part)):
                raise UntrustedLayerError(
                    f"the layer {layout.root} is not used: {part} is another account's, or others may write it",
                    hint=f"its owner can: chmod go-w {part}",
                    path=str(layout.root),
                )

    def _is_kept(self, path: str) -> bool:
        try:
            status = os.lstat(path)
        except OSError:
            return False
        return is_kept(status, self.owners)


@dataclass(frozen=True, slots=True)
class Layer:
    """A lower store, and what the settings say of it."""

    store: KeptStore
    settings: LayerSettings

    @property
    def root(self) -> Path:
        """The folder of the store."""
        return self.store.layout.root


def open_layer(settings: LayerSettings) -> Layer:
    """Open this layer, and write nothing. May block as long as its file system does.

    Raises LayerError if it cannot be used: UntrustedLayerError if others could have written it.
    """
    owners = settings.owners()
    store = KeptStore(StoreLayout(settings.path), owners)
    store.check()
    with suppress(OSError):
        os.statvfs(settings.path)  # asks its server, too, where all else is answered from a cache
    try:
        ReadOnlyStore.open(settings.path)
    except StoreError as error:
        raise LayerError(
            f"the layer {settings.path} is not used: {error.message}", hint=error.hint, path=str(settings.path)
        ) from error
    return Layer(store, settings)


class Layers:
    """The own store and those below it. Threads may share it.

    ``lower`` and ``silent`` may be replaced at any time. The latter are the errors of layers that do not answer, by
    their roots: they are left out, and yet they may be there.
    """

    def __init__(self, own: ReadOnlyStore, lower: Sequence[Layer] = ()) -> None:
        self.own = own
        self.lower: tuple[Layer, ...] = tuple(lower)
        self.silent: Mapping[Path, LayerError] = {}

    @property
    def layout(self) -> StoreLayout:
        """The paths of the own store, the only one that is written."""
        return self.own.layout

    @property
    def stores(self) -> Iterator[ReadOnlyStore]:
        """All stores, in the order in which they are asked."""
        yield self.own
        yield from (layer.store for layer in self.lower)

    def has(self, digest: Digest) -> bool:
        """Whether one of the stores has the entry."""
        return any(store.has(digest) for store in self.stores)

    def digests(self) -> Iterator[Digest]:
        """The digest of every visible entry, each once, in no order."""
        seen: set[Digest] = set()
        for store in self.stores:
            new = set(store.digests()) - seen
            seen |= new
            yield from new

    def manifest(self, digest: Digest) -> Manifest | None:
        """The manifest of a visible entry, of the first store that has one that can be read.

        Raises StoreFormatError if all that there are of it are broken.
        """
        broken: StoreFormatError | None = None
        for store in self.stores:
            try:
                manifest = store.manifest(digest)
            except StoreFormatError as error:
                broken = broken or error
                continue
            if manifest is not None:
                return manifest
        if broken is not None:
            raise broken
        return None

    def usable_manifest(self, digest: Digest) -> Manifest | None:
        """The manifest of an entry that is whole in one of the stores; None if it has to be made."""
        found = (store.usable_manifest(digest) for store in self.stores)
        return next((manifest for manifest in found if manifest is not None), None)

    def readable(self, digests: Sequence[Digest]) -> Iterator[Manifest]:
        """The manifests of these entries, in their order; those that are gone or broken are left out."""
        for digest in digests:
            with suppress(StoreError):
                manifest = self.manifest(digest)
                if manifest is not None:
                    yield manifest

    def seems_whole(self, name: NormalizedName, digest: Digest) -> bool:
        """Whether one of the stores has the entry with its ``site-packages``. Its manifest is not read."""
        return any(store.seems_whole(name, digest) for store in self.stores)

    def entry_folder(self, entry: Addressed) -> Path:
        """The folder of a visible entry, in the first store where it is whole."""
        if self.lower:
            for store in self.stores:
                if store.seems_whole(entry.name, entry.digest):
                    return store.entry_folder(entry)
        return self.own.entry_folder(entry)

    def environment(self, environment_id: str) -> Path | None:
        """The folder of a published environment, of the first store that has it; None if none has."""
        if not is_environment_id(environment_id):
            return None
        found = (store.environment(environment_id) for store in self.stores)
        return next((folder for folder in found if folder is not None), None)

    def layer_of(self, digest: Digest) -> ReadOnlyStore | None:
        """The lower store that the entry is used from; None if the own one has it, or none."""
        return self._first_lower(lambda store: store.has(digest))

    def lower_entry(self, entry: Addressed) -> ReadOnlyStore | None:
        """The lower store that the folder of this entry is in; None if it is the own one's, or nowhere."""
        return self._first_lower(lambda store: store.seems_whole(entry.name, entry.digest))

    def lower_roots(self, entries: Sequence[Addressed]) -> Mapping[Digest, Path]:
        """The roots of the lower stores that these entries are used from, by digest; without those of the own one."""
        if not self.lower:
            return {}
        found = {entry.digest: self.lower_entry(entry) for entry in entries}
        return {digest: store.layout.root for digest, store in found.items() if store is not None}

    def at(self, root: Path) -> ReadOnlyStore | None:
        """The store with this root; None if it is no layer, or is left out now."""
        if root == self.own.layout.root:
            return self.own
        return next((layer.store for layer in self.lower if layer.root == root), None)

    def check_reachable(self, roots: Iterable[Path]) -> None:
        """Raise LayerError if one of these stores is a layer that does not answer now."""
        for root in roots:
            if root in self.silent:
                raise self.silent[root]

    def pinned(self, roots: Mapping[Digest, Path]) -> "PinnedLayers":
        """The same stores, with each of these entries from the store at this root, and all others from the own one."""
        return PinnedLayers(self, roots)

    def _first_lower(self, holds: Callable[[ReadOnlyStore], bool]) -> ReadOnlyStore | None:
        if not self.lower or holds(self.own):
            return None
        return next((layer.store for layer in self.lower if holds(layer.store)), None)


class PinnedLayers:
    """A ``Readable`` that says of each entry in which store it is, as a view says that was published before."""

    def __init__(self, layers: Layers, roots: Mapping[Digest, Path]) -> None:
        self._layers = layers
        self._roots = roots

    def has(self, digest: Digest) -> bool:
        """Whether one of the stores has the entry."""
        return self._layers.has(digest)

    def manifest(self, digest: Digest) -> Manifest | None:
        """As ``Layers.manifest``."""
        return self._layers.manifest(digest)

    def entry_folder(self, entry: Addressed) -> Path:
        """The folder of the entry in the store that is named for it."""
        root = self._roots.get(entry.digest)
        layout = self._layers.layout if root is None else StoreLayout(root)
        return layout.entry(entry.name, entry.digest)

    def lower_roots(self, entries: Sequence[Addressed]) -> Mapping[Digest, Path]:
        """The roots that are named for these entries."""
        return {entry.digest: self._roots[entry.digest] for entry in entries if entry.digest in self._roots}

    def environment(self, environment_id: str) -> Path | None:
        """As ``Layers.environment``."""
        return self._layers.environment(environment_id)
