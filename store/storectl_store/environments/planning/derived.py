"""The view of an environment, derived from a known one of nearly the same entries.

Names in site-packages, scripts, and the other places of a view are merged each by itself. So what the entries that came
or went have a part in is merged anew, from all entries that have a part in it, and everything else is as it was. Only
where entries conflict does the order of all of them count: then there is no derived view.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

from packaging.utils import NormalizedName

from storectl_store.digest import Digest
from storectl_store.entries.flat_source import FLAT_FOLDER
from storectl_store.entries.layout import StoreLayout
from storectl_store.entries.readable import Readable
from storectl_store.environments.identity import environment_id
from storectl_store.environments.outlines.outline import Outline
from storectl_store.environments.planning.merged_view import MergedView, one_per_project, storectl_layers
from storectl_store.environments.planning.order import InstallationOrder
from storectl_store.environments.planning.overlap import Layer, MergedTree, merge_layers
from storectl_store.environments.planning.runtime_files import COVERAGE_START
from storectl_store.environments.planning.tree import Leaf, SmallFile
from storectl_store.environments.planning.view_layers import ViewLayers
from storectl_store.selection.target import Interpreter
from storectl_store.wheel.checked import Part

MOST_CHANGED = 64
"""So many entries may come or go. With more of them, little is left to be derived."""

OutlinesOf = Callable[[Sequence[Digest]], Sequence[Outline]]
"""Gives the outlines of entries. Raises StoreError if one is not there."""


def changed_entries(
    known: MergedView, digests: Iterable[Digest], direct_urls: Mapping[NormalizedName, str]
) -> tuple[set[Digest], list[Outline]]:
    """The entries that came, and those that are gone or are told to be from elsewhere now."""
    wanted = set(digests)
    gone = [
        entry
        for entry in known.entries
        if entry.digest not in wanted or known.direct_urls.get(entry.name) != direct_urls.get(entry.name)
    ]
    return wanted - {entry.digest for entry in known.entries}, gone


def derive_view(
    known: MergedView,
    digests: Sequence[Digest],
    interpreter: Interpreter,
    direct_urls: Mapping[NormalizedName, str],
    *,
    outlines_of: OutlinesOf,
    store: Readable,
    layout: StoreLayout,
) -> MergedView | None:
    """The view of these entries, with the contents that ``merge_view`` gives it, in another order.

    None if it has to be merged as a whole. Raises StoreError if an entry that came is not there.
    """
    came, gone = changed_entries(known, digests, direct_urls)
    if interpreter != known.interpreter or known.tree.warnings or len(came) + len(gone) > MOST_CHANGED:
        return None
    new = outlines_of(sorted(came))
    wanted = set(digests)
    entries = one_per_project([*(entry for entry in known.entries if entry.digest in wanted), *new])
    lower = store.lower_roots(entries)
    if any(lower.get(entry.digest) != known.lower.get(entry.digest) for entry in entries if entry.digest not in came):
        return None  # links would lead to where entries were
    identity = environment_id(digests, interpreter, direct_urls)
    view = ViewLayers(interpreter, layout.environment(identity), store)
    places = _Places(view)
    layers = [*view.of_entries(new, direct_urls), *ViewLayers(interpreter, known.path, store).of_parts(gone)]
    touched = places.of(layers) | places.of_extras()
    if not touched.isdisjoint(view.real_folders):
        return None  # a file in the place of such a folder
    anew_in = _Touched(touched)
    parted = [entry for entry in entries if places.has_part(entry, touched, direct_urls)]
    anew = [*view.of_entries(parted, direct_urls), *storectl_layers(entries, interpreter, view.site_packages)]
    order = InstallationOrder(entries, interpreter.markers)
    tree = merge_layers(list(anew_in.only(anew)), order, view.real_folders)
    if tree.warnings:
        return None
    rest = anew_in.without(known.tree)
    there = frozenset(rest.folders)
    moved = partial(_moved, os.fsencode(known.path), os.fsencode(view.path))
    return MergedView(
        id=identity,
        path=view.path,
        entries=entries,
        interpreter=interpreter,
        direct_urls=direct_urls,
        tree=MergedTree(
            folders=(*rest.folders, *(folder for folder in tree.folders if folder not in there)),
            leaves=(*map(moved, rest.leaves), *tree.leaves),
            visible=(*rest.visible, *tree.visible),
            shared=rest.shared | tree.shared,
            warnings=(),
        ),
        lower=lower,
    )


class _Places:
    """The places of a view, each of which is merged by itself: a path right below one of the folders always there."""

    def __init__(self, view: ViewLayers) -> None:
        self._site_packages = view.site_packages
        self._modules = f"{view.site_packages}/"
        self._folders = tuple(f"{folder}/" for folder in sorted(view.real_folders, key=len, reverse=True))

    def of_path(self, path: str) -> str:
        """The place that this path of a view belongs to."""
        start = len(self._modules)
        if not path.startswith(self._modules):
            start = next((len(folder) for folder in self._folders if path.startswith(folder)), 0)
        end = path.find("/", start)
        return path if end < 0 else path[:end]

    def of(self, layers: Iterable[Layer]) -> set[str]:
        """All places of these layers."""
        return {self.of_path(layer.view_path(path)) for layer in layers for path in layer.files}

    def of_extras(self) -> set[str]:
        """Places that are always merged anew: what storectl adds may come or go there."""
        library = self._site_packages.rpartition("/")[0]
        return {f"{self._modules}{COVERAGE_START}", f"{library}/{FLAT_FOLDER}"}

    def has_part(self, entry: Outline, touched: set[str], direct_urls: Mapping[NormalizedName, str]) -> bool:
        """Whether the entry may have a part in one of these places. Few have anything but modules and scripts."""
        files = entry.files
        return bool(
            files[Part.DATA]
            or files[Part.HEADERS]
            or entry.name in direct_urls
            or any(self._modules + path.partition("/")[0] in touched for path in files[Part.SITE_PACKAGES])
            or any(f"bin/{path.partition('/')[0]}" in touched for path in files[Part.SCRIPTS])
            or any(f"bin/{script.name}" in touched for script in entry.entry_points)
        )


class _Touched:
    """Places that are merged anew; none of them is a folder that is always real."""

    def __init__(self, places: Iterable[str]) -> None:
        self._places = frozenset(places)
        self._folders = tuple(f"{place}/" for place in self._places)

    def has(self, path: str) -> bool:
        """Whether this path of a view is in one of the places."""
        return path.startswith(self._folders) or path in self._places

    def only(self, layers: Iterable[Layer]) -> Iterator[Layer]:
        """What the layers have in these places."""
        for layer in layers:
            files = {path: check for path, check in layer.files.items() if self.has(layer.view_path(path))}
            if files:
                yield replace(layer, files=files)

    def without(self, tree: MergedTree) -> MergedTree:
        """What the tree has in all other places."""
        has = self.has
        return MergedTree(
            folders=tuple(folder for folder in tree.folders if not has(folder)),
            leaves=tuple(leaf for leaf in tree.leaves if not has(leaf.path)),
            # All paths of a claim are in one place.
            visible=tuple(x for x in tree.visible if not x.paths or not has(x.layer.view_path(x.paths[0]))),
            shared=frozenset(folder for folder in tree.shared if not has(folder)),
            warnings=(),
        )


def _moved(before: bytes, after: bytes, leaf: Leaf) -> Leaf:
    """The leaf in an environment at another path, which is as long.

    The scripts of entry points name the environment's Python in their first line.
    """
    if isinstance(leaf, SmallFile) and leaf.executable:
        return replace(leaf, content=leaf.content.replace(before, after))
    return leaf
