"""The layers of a view: what each entry shows, and where."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from packaging.utils import NormalizedName

from storectl_store.digest import Digest
from storectl_store.entries.flat_source import FLAT_FOLDER, FLAT_SOURCE, decode_flat_source
from storectl_store.entries.readable import Readable, manifest_in
from storectl_store.environments.outlines.outline import Files, Outline
from storectl_store.environments.planning.overlap import CopyLayer, EntryLayer, Layer, ScriptLayer, made_layer
from storectl_store.environments.planning.scripts import entry_point_script, is_wrapper
from storectl_store.environments.planning.tree import Link, SmallFile
from storectl_store.environments.planning.venv_files import has_lib64, site_packages
from storectl_store.selection.target import Interpreter
from storectl_store.wheel.checked import Part


class ViewLayers:
    """Makes the layers of entries, for the view of one interpreter at ``path``."""

    def __init__(self, interpreter: Interpreter, path: Path, store: Readable) -> None:
        self.path = path
        self.site_packages = site_packages(interpreter)
        self.real_folders = ("bin", "lib", f"lib/{interpreter.library_folder}", self.site_packages)
        self._headers = f"include/site/python{interpreter.feature_version}"
        self._lib64 = has_lib64(interpreter)
        self._python = str(path / "bin" / "python")
        self._store = store

    def of_entries(self, entries: Sequence[Outline], direct_urls: Mapping[NormalizedName, str]) -> Iterator[Layer]:
        """All layers of these entries, those with what is told of their origins last.

        ``direct_urls`` are the contents of ``direct_url.json``, by project.
        """
        yield from self.of_parts(entries)
        told = [entry for entry in entries if entry.name in direct_urls]
        yield from (self._direct_url(entry, direct_urls[entry.name]) for entry in told)
        yield from (layer for entry in told for layer in self._flat_source(entry))

    def of_parts(self, entries: Iterable[Outline]) -> Iterator[Layer]:
        """The layers of what is in the entries. No entry has to be there for this."""
        return (layer for entry in entries for layer in self._layers(entry))

    def _layers(self, entry: Outline) -> Iterator[Layer]:
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

    def _direct_url(self, entry: Outline, content: str) -> Layer:
        """A layer with the project's ``direct_url.json``, beside its metadata."""
        path = f"{self.site_packages}/{entry.dist_info}/direct_url.json"
        return made_layer(_label(entry), [SmallFile(path=path, content=content.encode())], entry.name)

    def _flat_source(self, entry: Outline) -> Iterator[Layer]:
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
