"""Plan an environment: everything a view will hold, from outlines. Pure, except that it may read manifests.

    <id>/pyvenv.cfg  environment.json  import-map
    <id>/layers        which entries are in other stores, if any are (``layers_record``)
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
from pathlib import Path

from packaging.utils import NormalizedName

from storectl_store.digest import Digest, EnvironmentId
from storectl_store.entries.layout import StoreLayout
from storectl_store.entries.readable import Readable
from storectl_store.environments.environment_record import RECORD_NAME, EnvironmentRecord, encode_record
from storectl_store.environments.identity import NOTHING, environment_id
from storectl_store.environments.import_map import Section
from storectl_store.environments.layers_record import LAYERS_NAME, LinkedEntry, encode_layers
from storectl_store.environments.outlines.outline import Outline
from storectl_store.environments.planning.merged_view import IMPORT_MAP, RESERVED, MergedView, merge_view
from storectl_store.environments.planning.overlap import BYTECODE_FOLDER, Claim, MergedTree
from storectl_store.environments.planning.tree import Leaf, Link, SameFile, SmallFile, StoreScript
from storectl_store.environments.planning.venv_files import site_packages, starting_files
from storectl_store.selection.target import Interpreter

__all__ = ["IMPORT_MAP", "EnvironmentPlan", "TopLevelName", "environment_id", "plan_environment", "plan_of"]


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
    return plan_of(merge_view(entries, interpreter, store, layout, direct_urls))


def plan_of(view: MergedView) -> EnvironmentPlan:
    """The plan of this view."""
    tree, interpreter = view.tree, view.interpreter
    folder = site_packages(interpreter)
    bytecode = list(_bytecode_links(tree.leaves, folder, interpreter.cache_tag))
    record = EnvironmentRecord.of(view.id, interpreter, view.digests, view.direct_urls, tree.warnings)
    sections = {entry.digest: entry.sections for entry in view.entries}
    names = _top_level_names(tree, folder, sections)
    starting = {file.path: file for file in starting_files(interpreter, names)}
    leaves = [starting.get(leaf.path, leaf) for leaf in tree.leaves if leaf.path not in RESERVED]
    return EnvironmentPlan(
        id=view.id,
        path=view.path,
        interpreter=interpreter,
        site_packages=folder,
        folders=(*tree.folders, *dict.fromkeys(link.path.rpartition("/")[0] for link in bytecode)),
        links=(*(leaf for leaf in leaves if isinstance(leaf, Link)), *bytecode),
        same_files=tuple(leaf for leaf in leaves if isinstance(leaf, SameFile)),
        files=(
            *(leaf for leaf in leaves if isinstance(leaf, SmallFile)),
            SmallFile(path=RECORD_NAME, content=encode_record(record)),
            *_layers_file(view),
        ),
        scripts=tuple(leaf for leaf in leaves if isinstance(leaf, StoreScript)),
        names=names,
        warnings=tree.warnings,
    )


def _layers_file(view: MergedView) -> Iterator[SmallFile]:
    """The file that says which entries are in other stores; none if all are in the view's own."""
    if view.lower:
        linked = [
            LinkedEntry(name=entry.name, digest=entry.digest, root=view.lower[entry.digest])
            for entry in view.entries
            if entry.digest in view.lower
        ]
        yield SmallFile(path=LAYERS_NAME, content=encode_layers(linked))


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
        if seen := _in_site_packages(claim, folder):
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


def _in_site_packages(claim: Claim, folder: str) -> Sequence[str]:
    if claim.layer.mount == folder:
        return claim.paths
    paths = map(claim.layer.view_path, claim.paths)
    return [path[len(folder) + 1 :] for path in paths if path.startswith(f"{folder}/")]
