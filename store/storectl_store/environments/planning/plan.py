"""Plan an environment: everything a view will hold, from outlines. Pure, except that it may read manifests.

    <id>/pyvenv.cfg  environment.json  import-map
    <id>/bin/          python, console and gui scripts, .data/scripts
    <id>/lib/pythonX.Y/site-packages/     one link for each top-level name of each entry; real folders if they overlap
                       and for .dist-info, whose files are copies
    <id>/include/site/pythonX.Y/<name>/   .data/headers, as with pip
    <id>/share/ etc/ …                    .data/data
    <id>/lib/pythonX.Y/flat-source/<package>  a link to the source folder of a local project that is a package itself

Nothing but packages leads into an entry: all else is real down to the files, as programs write there (ADR 37).

Manifests are read for the few entries that overlap, and the file that names a flat source folder.

Bytecode: CPython looks for it in ``__pycache__`` beside the path a module was found by. So each real folder in
site-packages that shows modules has a real ``__pycache__``, with a link for each module to its bytecode in the entry.
Until that is compiled the link dangles, which CPython takes for "no bytecode".
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from packaging.utils import NormalizedName

from storectl_store.digest import Digest, EnvironmentId
from storectl_store.entries.flat_source import FLAT_FOLDER, FLAT_SOURCE, decode_flat_source
from storectl_store.entries.layout import StoreLayout
from storectl_store.entries.readable import Readable, manifest_in
from storectl_store.environments.environment_record import RECORD_NAME, EnvironmentRecord, encode_record
from storectl_store.environments.identity import NOTHING, environment_id
from storectl_store.environments.import_map import Section
from storectl_store.environments.outlines.outline import Files, Outline
from storectl_store.environments.planning.order import InstallationOrder
from storectl_store.environments.planning.overlap import (
    BYTECODE_FOLDER,
    Claim,
    CopyLayer,
    EntryLayer,
    Layer,
    MergedTree,
    ScriptLayer,
    made_layer,
    merge_layers,
)
from storectl_store.environments.planning.runtime_files import runtime_files
from storectl_store.environments.planning.scripts import entry_point_script, is_wrapper
from storectl_store.environments.planning.tree import Leaf, Link, SameFile, SmallFile, StoreScript
from storectl_store.environments.planning.venv_files import has_lib64, site_packages, starting_files, venv_leaves
from storectl_store.errors import EnvironmentBuildError
from storectl_store.selection.target import Interpreter
from storectl_store.wheel.checked import Part

IMPORT_MAP = "import-map"

__all__ = ["IMPORT_MAP", "EnvironmentPlan", "TopLevelName", "environment_id", "plan_environment"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TopLevelName:
    """One name in site-packages: the entries it is seen from, and what is seen below it.

    ``owners`` is empty for a name of storectl's own. ``paths`` are relative to site-packages, with forward slashes; one
    that ends with a slash is a whole folder. ``section`` is what the import map shows of a folder that a single entry
    has.
    """

    owners: tuple[Digest, ...]
    paths: tuple[str, ...]
    section: Section | None = None

    @property
    def shared(self) -> bool:
        """Whether several entries make it up, so that no single manifest lists all of it."""
        return len(self.owners) > 1


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentPlan:
    """A view to be published at ``path``.

    ``folders`` are the real ones, parents first; paths are relative to ``path``.
    """

    id: EnvironmentId
    path: Path
    interpreter: Interpreter
    site_packages: str
    folders: tuple[str, ...]
    links: tuple[Link, ...]
    same_files: tuple[SameFile, ...]
    files: tuple[SmallFile, ...]
    scripts: tuple[StoreScript, ...]
    names: Mapping[str, TopLevelName]
    warnings: tuple[str, ...]

    @property
    def python(self) -> str:
        """The absolute path of the interpreter that runs the environment's programs."""
        return str(self.path / "bin" / "python")


def plan_environment(
    entries: Sequence[Outline],
    interpreter: Interpreter,
    store: Readable,
    layout: StoreLayout,
    *,
    direct_urls: Mapping[NormalizedName, str] = NOTHING,
) -> EnvironmentPlan:
    """The plan of the environment of these entries. Raises EnvironmentBuildError if they cannot make one.

    The outlines are those for the interpreter's extension suffixes. ``store`` has the entries; it is asked for the
    manifests of the few that write into one folder, and StoreError is raised if one is gone. ``layout`` says where the
    environment will be. ``direct_urls`` are the contents of ``direct_url.json`` (PEP 610) of projects that come from no
    index. They belong to the environment: for another user the same wheel, and so the same entry, may come from an
    index.
    """
    entries = _one_per_project(entries)
    digests = tuple(entry.digest for entry in entries)
    identity = environment_id(digests, interpreter, direct_urls)
    view = _View(interpreter, layout.environment(identity), store)
    layers = [layer for entry in entries for layer in view.layers(entry)]
    layers += [view.direct_url(entry, direct_urls[entry.name]) for entry in entries if entry.name in direct_urls]
    layers += [layer for entry in entries if entry.name in direct_urls for layer in view.flat_source(entry)]
    layers.append(made_layer("storectl", [*venv_leaves(interpreter), *_reserved()]))
    layers.append(made_layer("storectl", list(runtime_files(entries, view.site_packages))))
    tree = merge_layers(layers, InstallationOrder(entries, interpreter.markers), view.real_folders)
    bytecode = list(_bytecode_links(tree.leaves, view.site_packages, interpreter.cache_tag))
    record = EnvironmentRecord.of(identity, interpreter, digests, direct_urls, tree.warnings)
    sections = {entry.digest: entry.sections for entry in entries}
    names = _top_level_names(tree, view.site_packages, sections)
    starting = {file.path: file for file in starting_files(interpreter, names)}
    leaves = [starting.get(leaf.path, leaf) for leaf in tree.leaves if leaf.path not in _RESERVED]
    return EnvironmentPlan(
        id=identity,
        path=view.path,
        interpreter=interpreter,
        site_packages=view.site_packages,
        folders=(*tree.folders, *dict.fromkeys(link.path.rpartition("/")[0] for link in bytecode)),
        links=(*(leaf for leaf in leaves if isinstance(leaf, Link)), *bytecode),
        same_files=tuple(leaf for leaf in leaves if isinstance(leaf, SameFile)),
        files=(
            *(leaf for leaf in leaves if isinstance(leaf, SmallFile)),
            SmallFile(path=RECORD_NAME, content=encode_record(record)),
        ),
        scripts=tuple(leaf for leaf in leaves if isinstance(leaf, StoreScript)),
        names=names,
        warnings=tree.warnings,
    )


_RESERVED = frozenset({RECORD_NAME, IMPORT_MAP})


def _reserved() -> Iterator[Leaf]:
    """Files at paths that no wheel's data may take: their content is known, or made, only after the tree."""
    return (SmallFile(path=path, content=b"") for path in sorted(_RESERVED))


def _one_per_project(entries: Sequence[Outline]) -> list[Outline]:
    by_name = {entry.name: entry for entry in entries}
    if len(by_name) < len(entries):
        twice = sorted(name for name in by_name if sum(entry.name == name for entry in entries) > 1)
        raise EnvironmentBuildError(
            f"{twice[0]} is selected in more than one version",
            hint="an environment holds one version of a project; look at the lock file's markers and conflicts",
            name=twice[0],
        )
    return [by_name[name] for name in sorted(by_name)]


class _View:
    """The places of an entry's parts in the view of one interpreter."""

    def __init__(self, interpreter: Interpreter, path: Path, store: Readable) -> None:
        self.path = path
        self.site_packages = site_packages(interpreter)
        self.real_folders = ("bin", "lib", f"lib/{interpreter.library_folder}", self.site_packages)
        self._headers = f"include/site/python{interpreter.feature_version}"
        self._lib64 = has_lib64(interpreter)
        self._python = str(path / "bin" / "python")
        self._store = store

    def layers(self, entry: Outline) -> Iterator[Layer]:
        """The layers of one entry, in the order in which pip writes them."""
        files, folder = entry.files, str(self._store.entry_folder(entry))
        if files[Part.SITE_PACKAGES]:
            yield self._modules(entry, f"{folder}/{Part.SITE_PACKAGES}")
        if files[Part.DATA]:
            yield from self._data(entry, files[Part.DATA], f"{folder}/{Part.DATA}")
        if headers := files[Part.HEADERS]:
            mount = f"{self._headers}/{entry.distribution}"
            yield self._copied(entry, mount, headers, f"{folder}/{Part.HEADERS}")
        if files[Part.SCRIPTS] or entry.entry_points:
            yield from self._scripts(entry, files[Part.SCRIPTS], f"{folder}/{Part.SCRIPTS}")

    def direct_url(self, entry: Outline, content: str) -> Layer:
        """A layer with the project's ``direct_url.json``, beside its metadata."""
        path = f"{self.site_packages}/{entry.dist_info}/direct_url.json"
        return made_layer(_label(entry), [SmallFile(path=path, content=content.encode())], entry.name)

    def flat_source(self, entry: Outline) -> Iterator[Layer]:
        """A layer with the link to a local project's source folder, if that is a package itself."""
        listed = f"{entry.dist_info}/{FLAT_SOURCE}"
        if listed in entry.files[Part.SITE_PACKAGES]:
            file = self._store.entry_folder(entry) / Part.SITE_PACKAGES / listed
            if named := decode_flat_source(file.read_bytes()):
                path = f"{self.site_packages.rpartition('/')[0]}/{FLAT_FOLDER}/{named[0]}"
                yield made_layer(_label(entry), [Link(path=path, target=named[1], folder=True)], entry.name)

    def _modules(self, entry: Outline, root: str) -> EntryLayer:
        return EntryLayer(
            label=_label(entry),
            project=entry.name,
            digest=entry.digest,
            mount=self.site_packages,
            files=entry.files[Part.SITE_PACKAGES],
            real_folders=entry.real_folders,
            metadata=entry.dist_info,
            root=root,
            look_up=partial(self._look_up, entry.digest),
        )

    def _look_up(self, digest: Digest) -> Files:
        files = manifest_in(self._store, digest).files
        return {file.path: file.sha256 for file in files if file.part is Part.SITE_PACKAGES}

    def _data(self, entry: Outline, files: Files, root: str) -> Iterator[Layer]:
        """The layers of ``.data/data``.

        If ``lib64`` is a link to ``lib`` in the view, files below ``lib64`` go to ``lib``.
        """
        in_lib64 = {path.removeprefix("lib64/"): sha for path, sha in files.items() if path.startswith("lib64/")}
        if self._lib64 and in_lib64:
            yield self._copied(entry, "lib", in_lib64, f"{root}/lib64")
            files = {path: sha for path, sha in files.items() if not path.startswith("lib64/")}
        yield self._copied(entry, "", files, root)

    def _scripts(self, entry: Outline, files: Files, root: str) -> Iterator[Layer]:
        names = frozenset(entry_point.name for entry_point in entry.entry_points)
        yield ScriptLayer(
            label=_label(entry),
            project=entry.name,
            digest=entry.digest,
            mount="bin",
            files={path: sha for path, sha in files.items() if not is_wrapper(path, names)},
            root=root,
        )
        made = [entry_point_script(entry_point, self._python) for entry_point in entry.entry_points]
        yield made_layer(_label(entry), made, entry.name)

    def _copied(self, entry: Outline, mount: str, files: Files, root: str) -> CopyLayer:
        return CopyLayer(
            label=_label(entry),
            project=entry.name,
            digest=entry.digest,
            mount=mount,
            files=files,
            root=root,
            packages=self.site_packages,
        )


def _label(entry: Outline) -> str:
    return f"{entry.name} {entry.version}"


def _bytecode_links(leaves: Sequence[Leaf], folder: str, cache_tag: str) -> Iterator[Link]:
    """A link to the bytecode of every module that is a link of its own in site-packages."""
    for leaf in leaves:
        if (
            isinstance(leaf, Link)
            and not leaf.folder
            and leaf.path.endswith(".py")
            and leaf.path.startswith(f"{folder}/")
        ):
            yield Link(path=_bytecode_path(leaf.path, cache_tag), target=_bytecode_path(leaf.target, cache_tag))


def _bytecode_path(module: str, cache_tag: str) -> str:
    """The path at which CPython keeps the bytecode of this file, as ``importlib.util.cache_from_source`` says."""
    folder, _, name = module.rpartition("/")
    return f"{folder}/{BYTECODE_FOLDER}/{name.removesuffix('.py')}.{cache_tag}.pyc"


def _top_level_names(
    tree: MergedTree, folder: str, sections: Mapping[Digest, Mapping[str, Section]]
) -> dict[str, TopLevelName]:
    owners: dict[str, set[Digest]] = {}
    paths: dict[str, list[str]] = {}
    for claim in tree.visible:
        if seen := list(_in_site_packages(claim, folder)):
            # The paths of one claim are below one name: the tree is walked name by name.
            name = seen[0].partition("/")[0]
            paths.setdefault(name, []).extend(seen)
            owners.setdefault(name, set()).update([claim.layer.digest] if claim.layer.digest else [])
    names = {}
    for name, seen in paths.items():
        alone = len(owners[name]) == 1 and f"{folder}/{name}" not in tree.shared
        section = sections[min(owners[name])].get(name) if alone else None
        names[name] = TopLevelName(owners=tuple(sorted(owners[name])), paths=tuple(seen), section=section)
    return names


def _in_site_packages(claim: Claim, folder: str) -> Iterator[str]:
    if claim.layer.mount == folder:
        yield from claim.paths
        return
    for path in claim.paths:
        view_path = claim.layer.view_path(path)
        if view_path.startswith(f"{folder}/"):
            yield view_path[len(folder) + 1 :]
