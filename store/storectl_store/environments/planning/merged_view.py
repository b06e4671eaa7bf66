"""The view of an environment, merged from the layers of its entries: all but what is told of it as a whole."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import NormalizedName

from storectl_store.digest import Digest, EnvironmentId
from storectl_store.entries.layout import StoreLayout
from storectl_store.entries.readable import Readable
from storectl_store.environments.environment_record import RECORD_NAME
from storectl_store.environments.identity import environment_id
from storectl_store.environments.layers_record import LAYERS_NAME
from storectl_store.environments.outlines.outline import Outline
from storectl_store.environments.planning.order import InstallationOrder
from storectl_store.environments.planning.overlap import Layer, MergedTree, made_layer, merge_layers
from storectl_store.environments.planning.runtime_files import runtime_files
from storectl_store.environments.planning.tree import SmallFile
from storectl_store.environments.planning.venv_files import venv_leaves
from storectl_store.environments.planning.view_layers import ViewLayers
from storectl_store.errors import EnvironmentBuildError
from storectl_store.selection.target import Interpreter

IMPORT_MAP = "import-map"
RESERVED = frozenset({RECORD_NAME, IMPORT_MAP, LAYERS_NAME})
"""Paths that no wheel's data may take: what is there is known, or made, only after the tree."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MergedView:
    """What the view at ``path`` shows of these entries, sorted by project, and what storectl adds.

    ``direct_urls`` are the contents of ``direct_url.json``, by project. ``lower`` are the roots of other stores that
    entries are in, by digest.
    """

    id: EnvironmentId
    path: Path
    entries: tuple[Outline, ...]
    interpreter: Interpreter
    direct_urls: Mapping[NormalizedName, str]
    tree: MergedTree
    lower: Mapping[Digest, Path]

    @property
    def digests(self) -> tuple[Digest, ...]:
        """The digests of the entries, in their order."""
        return tuple(entry.digest for entry in self.entries)


def merge_view(
    entries: Sequence[Outline],
    interpreter: Interpreter,
    store: Readable,
    layout: StoreLayout,
    direct_urls: Mapping[NormalizedName, str],
) -> MergedView:
    """The view of these entries. Raises EnvironmentBuildError if they cannot have one; see ``plan_environment``."""
    entries = one_per_project(entries)
    identity = environment_id([entry.digest for entry in entries], interpreter, direct_urls)
    view = ViewLayers(interpreter, layout.environment(identity), store)
    layers = [*view.of_entries(entries, direct_urls), *storectl_layers(entries, interpreter, view.site_packages)]
    tree = merge_layers(layers, InstallationOrder(entries, interpreter.markers), view.real_folders)
    return MergedView(
        id=identity,
        path=view.path,
        entries=entries,
        interpreter=interpreter,
        direct_urls=direct_urls,
        tree=tree,
        lower=store.lower_roots(entries),
    )


def storectl_layers(entries: Sequence[Outline], interpreter: Interpreter, site_packages: str) -> Iterator[Layer]:
    """What storectl adds to a view of these entries. It comes after the layers of all entries."""
    reserved = (SmallFile(path=path, content=b"") for path in sorted(RESERVED))
    yield made_layer("storectl", [*venv_leaves(interpreter), *reserved])
    yield made_layer("storectl", list(runtime_files(entries, site_packages)))


def one_per_project(entries: Sequence[Outline]) -> tuple[Outline, ...]:
    """The entries, sorted by project. Raises EnvironmentBuildError if two are of one."""
    by_name = {entry.name: entry for entry in entries}
    if len(by_name) < len(entries):
        twice = sorted(name for name in by_name if sum(entry.name == name for entry in entries) > 1)
        raise EnvironmentBuildError(
            f"{twice[0]} is selected in more than one version",
            hint="an environment holds one version of a project; look at the lock file's markers and conflicts",
            name=twice[0],
        )
    return tuple(by_name[name] for name in sorted(by_name))
