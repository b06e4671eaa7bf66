"""Merge layers into one tree, as pip would by installing them one after the other into one folder.

A layer is one part of one entry, or what storectl itself adds. A folder that a single layer writes into is one link to
that layer's folder. A folder that two or more layers write into is a real one that holds links, and so on down, only as
deep as the overlap goes.

Two layers conflict if they have files of one path with different bytes, or if one has a file and the other a folder
there. Then the layer that pip would install last wins, and a warning names both. Equal bytes are no conflict.

``__pycache__`` of a wheel is never merged: a real folder gets its own, see ``plan``.

Most folders are listed as wholes (``outline``). Only a folder that two layers write into has its files looked up.
"""

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from packaging.utils import NormalizedName

from storectl_store.digest import Digest
from storectl_store.environments.planning.order import InstallationOrder
from storectl_store.environments.planning.tree import Leaf, Link, SameFile, SmallFile, StoreScript

BYTECODE_FOLDER = "__pycache__"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layer(ABC):
    """Files below one folder of the view, its ``mount`` ("" is the view itself).

    ``files`` maps each path below the mount to the sha256 of its file, or to a placeholder if it has none. A path that
    ends with a slash is a whole folder. ``real_folders`` are folders below the mount that must not be links.
    ``project`` is None for what storectl itself adds.
    """

    label: str
    mount: str
    files: Mapping[str, str]
    project: NormalizedName | None = None
    digest: Digest | None = None
    real_folders: frozenset[str] = frozenset()

    def view_path(self, path: str) -> str:
        """The path in the view of this path below the mount."""
        return f"{self.mount}/{path}" if self.mount else path

    def below_mount(self, view_path: str) -> str | None:
        """The path below the mount of this path in the view; "" for the mount itself; None above or beside it."""
        if not self.mount:
            return view_path
        if view_path == self.mount:
            return ""
        return view_path[len(self.mount) + 1 :] if view_path.startswith(f"{self.mount}/") else None

    @abstractmethod
    def leaf(self, path: str) -> Leaf:
        """The file at this path below the mount, as a view shows it."""

    def every_file(self) -> Mapping[str, str]:
        """The files, with none hidden in a whole folder: path -> sha256 hex."""
        return self.files

    def folder_link(self, path: str) -> Link | None:  # noqa: ARG002 the answer of layers that have no folders
        """The folder at this path below the mount ("" is the mount) as one link; None if there is no such folder."""
        return None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EntryLayer(Layer):
    """One part of an entry. ``root`` is the absolute folder in the store that is seen at the mount.

    ``look_up`` gives every file, if ``files`` has whole folders. ``metadata`` is the folder of the project's metadata.
    It must be a real one, as every installer makes it: uv and other tools that read folders without following links
    ignore a link there, and take the project for not installed.
    """

    root: str
    metadata: str = ""
    look_up: Callable[[], Mapping[str, str]] | None = None

    def every_file(self) -> Mapping[str, str]:
        """The files, with none hidden in a whole folder: path -> sha256 hex."""
        return self.files if self.look_up is None else self.look_up()

    def leaf(self, path: str) -> Leaf:
        """A link to the file in the store; of the metadata, a copy."""
        view_path, target = self.view_path(path), f"{self.root}/{path}"
        if self.metadata and path.startswith(f"{self.metadata}/"):
            return SameFile(path=view_path, target=target, sha256=self.files.get(path) or self.every_file()[path])
        return Link(path=view_path, target=target)

    def folder_link(self, path: str) -> Link:
        """A link to the folder in the store."""
        if not path:
            return Link(path=self.mount, target=self.root, folder=True)
        return Link(path=self.view_path(path), target=f"{self.root}/{path}", folder=True)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CopyLayer(Layer):
    """One part of an entry, in ``root``, that programs may write into or beside: data, headers.

    So its folders are real, and its files are copies, except for what it puts into ``packages``, the folder of packages
    in the view.
    """

    root: str
    packages: str

    def leaf(self, path: str) -> Leaf:
        """A copy of the file; a link to it among the packages."""
        view_path, target = self.view_path(path), f"{self.root}/{path}"
        if view_path.startswith(f"{self.packages}/"):
            return Link(path=view_path, target=target)
        return SameFile(path=view_path, target=target, sha256=self.files[path])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScriptLayer(Layer):
    """The scripts of an entry, in ``root``. Whether they become links depends on their first line."""

    root: str

    def leaf(self, path: str) -> StoreScript:
        """The script; the publisher, which reads it, makes a link or a copy."""
        return StoreScript(path=self.view_path(path), source=f"{self.root}/{path}", sha256=self.files[path])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MadeLayer(Layer):
    """Files and links that no wheel holds; ``leaves`` maps paths below the mount to them."""

    leaves: Mapping[str, Leaf]

    def leaf(self, path: str) -> Leaf:
        """The file or link as it was made."""
        return self.leaves[path]


def made_layer(label: str, leaves: Iterable[Leaf], project: NormalizedName | None = None) -> MadeLayer:
    """A layer of these leaves, mounted at the view itself."""
    by_path = {leaf.path: leaf for leaf in leaves}
    files = {path: _fingerprint(leaf) for path, leaf in by_path.items()}
    return MadeLayer(label=label, mount="", files=files, project=project, leaves=by_path)


def _fingerprint(leaf: Leaf) -> str:
    return sha256(leaf.content).hexdigest() if isinstance(leaf, SmallFile) else f"made {leaf.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A claim of one layer to ``paths``, relative to its mount."""

    layer: Layer
    paths: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class MergedTree:
    """A merged tree. ``folders`` are the real ones, parents first; ``visible`` is all that can be seen.

    The paths of one claim are below one name of any folder that is always real. ``shared`` are those folders that
    several layers write into.
    """

    folders: tuple[str, ...]
    leaves: tuple[Leaf, ...]
    visible: tuple[Claim, ...]
    shared: frozenset[str]
    warnings: tuple[str, ...]


def merge_layers(layers: Sequence[Layer], order: InstallationOrder, real_folders: Iterable[str]) -> MergedTree:
    """Merge all layers into one tree. Of two layers of one project the later one wins.

    ``real_folders`` are those that are real in any view.
    """
    merge = _Merge(layers, order, real_folders)
    merge.fill("", [Claim(layer=layer, paths=tuple(layer.files)) for layer in layers if layer.files])
    return MergedTree(
        folders=tuple(merge.folders),
        leaves=tuple(merge.leaves),
        visible=tuple(merge.visible),
        shared=frozenset(merge.shared),
        warnings=tuple(merge.conflicts.warnings()),
    )


class _Conflicts:
    """Which layer lost which paths to which other layer.

    Each pair is told in one line: two builds of one library overlap in hundreds of files.
    """

    def __init__(self) -> None:
        self._paths: dict[tuple[str, str], list[str]] = defaultdict(list)

    def add(self, winner: Layer, losers: Iterable[Layer], path: str) -> None:
        for loser in losers:
            if loser.project != winner.project:
                self._paths[winner.label, loser.label].append(path)

    def warnings(self) -> Iterable[str]:
        for (winner, loser), paths in self._paths.items():
            more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
            yield f"{winner} and {loser} both provide {paths[0]}{more}: the one of {winner} is used"


@dataclass(slots=True)
class _Child:
    """What the layers have under one name in a folder."""

    files: list[Layer] = field(default_factory=list)
    folders: list[Claim] = field(default_factory=list)


class _Merge:
    def __init__(self, layers: Sequence[Layer], order: InstallationOrder, real_folders: Iterable[str]) -> None:
        self._order = order
        self._place = {id(layer): place for place, layer in enumerate(layers)}
        self._looked_up: dict[int, Mapping[str, str]] = {}
        self._always_real = frozenset(real_folders)
        self._real = set(self._always_real)
        self._real.update(layer.view_path(folder) for layer in layers for folder in layer.real_folders)
        self.folders: list[str] = []
        self.leaves: list[Leaf] = []
        self.visible: list[Claim] = []
        self.shared: set[str] = set()
        self.conflicts = _Conflicts()

    def fill(self, folder: str, claims: Sequence[Claim]) -> None:
        """Make the content of a real folder from what is claimed below it."""
        children = _children(folder, claims)
        for name in sorted(children):
            if name != BYTECODE_FOLDER:
                self._place_child(f"{folder}/{name}" if folder else name, children[name])

    def _place_child(self, path: str, child: _Child) -> None:
        if child.files and child.folders:
            child = self._one_kind(path, child)
        if child.files:
            self._place_file(path, child.files)
        elif (link := self._folder_link(path, child.folders)) is not None:
            self.leaves.append(link)
            self.visible.append(child.folders[0])
        else:
            self.folders.append(path)
            if shared := len(child.folders) > 1:
                self.shared.add(path)
            claims = [self._opened(path, claim, shared=shared) for claim in child.folders]
            if shared or path in self._always_real or claims[0].layer.below_mount(path) is None:
                self.fill(path, claims)
            else:
                self._fill_alone(path, claims[0])

    def _fill_alone(self, folder: str, claim: Claim) -> None:
        """Make the content of a real folder that a single layer writes into; most such folders are metadata."""
        layer, shown = claim.layer, []
        below = layer.below_mount(folder)
        start = len(below) + 1 if below else 0
        for name, paths in sorted(_by_first_name(claim.paths, start).items()):
            if paths is not None:
                if name != BYTECODE_FOLDER:
                    self._place_child(f"{folder}/{name}", _Child(folders=[Claim(layer=layer, paths=paths)]))
            elif name != BYTECODE_FOLDER:
                path = f"{below}/{name}" if below else name
                self.leaves.append(layer.leaf(path))
                shown.append(path)
        self.visible.append(Claim(layer=layer, paths=shown))

    def _opened(self, folder: str, claim: Claim, *, shared: bool) -> Claim:
        """The claim with all files in place of whole folders: of this folder, and of any folder inside a shared one."""
        below = claim.layer.below_mount(folder)
        if not below:
            return claim
        itself = claim.paths[0] == f"{below}/"
        if not itself and not (shared and any(path.endswith("/") for path in claim.paths)):
            return claim
        files = self._every_file(claim.layer)
        return Claim(layer=claim.layer, paths=tuple(path for path in files if path.startswith(f"{below}/")))

    def _one_kind(self, path: str, child: _Child) -> _Child:
        """Only the files, or only the folders: whichever the layer has that is installed last."""
        folder_layers = [claim.layer for claim in child.folders]
        winner = self._last([*child.files, *folder_layers])
        if any(winner is layer for layer in child.files):
            self.conflicts.add(winner, folder_layers, path)
            return _Child(files=child.files)
        self.conflicts.add(winner, child.files, path)
        return _Child(folders=child.folders)

    def _place_file(self, path: str, layers: Sequence[Layer]) -> None:
        below = [layer.below_mount(path) or "" for layer in layers]
        prints = [self._fingerprint(layer, place) for layer, place in zip(layers, below, strict=True)]
        chosen = 0
        if len(set(prints)) > 1:
            winner = self._last(layers)
            chosen = next(place for place, layer in enumerate(layers) if layer is winner)
            differing = (x for x, fingerprint in zip(layers, prints, strict=True) if fingerprint != prints[chosen])
            self.conflicts.add(winner, differing, path)
        self.leaves.append(layers[chosen].leaf(below[chosen]))
        self.visible.append(Claim(layer=layers[chosen], paths=(below[chosen],)))

    def _every_file(self, layer: Layer) -> Mapping[str, str]:
        if id(layer) not in self._looked_up:
            self._looked_up[id(layer)] = layer.every_file()
        return self._looked_up[id(layer)]

    def _fingerprint(self, layer: Layer, path: str) -> str:
        return layer.files[path] if path in layer.files else self._every_file(layer)[path]

    def _folder_link(self, path: str, claims: Sequence[Claim]) -> Link | None:
        """The folder as one link, if a single layer has it and nothing asks for a real one; otherwise None."""
        below = claims[0].layer.below_mount(path)
        if len(claims) > 1 or below is None or path in self._real:
            return None
        return claims[0].layer.folder_link(below)

    def _last(self, layers: Sequence[Layer]) -> Layer:
        """The layer that pip would install last. What storectl adds comes after all wheels."""
        return max(layers, key=lambda layer: (self._order.rank(layer.project), self._place[id(layer)]))


def _children(folder: str, claims: Sequence[Claim]) -> dict[str, _Child]:
    children: dict[str, _Child] = defaultdict(_Child)
    for claim in claims:
        below = claim.layer.below_mount(folder) if folder or not claim.layer.mount else None
        if below is None:
            rest = claim.layer.mount[len(folder) + 1 if folder else 0 :]
            children[rest.partition("/")[0]].folders.append(claim)
            continue
        for name, paths in _by_first_name(claim.paths, len(below) + 1 if below else 0).items():
            if paths is None:
                children[name].files.append(claim.layer)
            else:
                children[name].folders.append(Claim(layer=claim.layer, paths=paths))
    return children


def _by_first_name(paths: Sequence[str], start: int) -> dict[str, list[str] | None]:
    """The paths grouped by their component that begins at ``start``; None for a path that ends with it.

    A path that ends with a slash stands for something below its folder.
    """
    groups: dict[str, list[str] | None] = {}
    for path in paths:
        end = path.find("/", start)
        if end < 0:
            groups[path[start:]] = None
        elif (group := groups.get(path[start:end])) is not None:
            group.append(path)
        else:
            groups[path[start:end]] = [path]
    return groups
