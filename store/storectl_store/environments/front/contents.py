"""What a front holds, read from the published view that it is made from.

    <front>/pyvenv.cfg  .gitignore  CACHEDIR.TAG
            bin/         python, scripts whose first line names the front's own python, activation scripts
            lib/pythonX.Y/site-packages/
                         links to the entries, the same as in the view; namespace packages are real folders
                         <name>.dist-info/    real files, and a RECORD that lists what the front has (``idna,,``)
            share/ etc/ include/ …            real files

uv and pip uninstall by RECORD: they remove the link, and never what is behind it. A wheel that adds to a namespace
package writes into its folder, so each such folder is a real one here.
"""

import csv
import io
import os
import posixpath
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from storectl_store.environments.environment_record import RECORD_NAME
from storectl_store.environments.front.uv_cache import uv_cache_of
from storectl_store.environments.identity import shim_sources
from storectl_store.environments.planning.overlap import BYTECODE_FOLDER
from storectl_store.environments.planning.plan import IMPORT_MAP
from storectl_store.environments.planning.scripts import shebang

DIST_INFO = ".dist-info"
STARTER = "_storectl.pth"
_DEEPEST_NAMESPACE = 3
_METADATA_DEPTH = 4
Row = tuple[str, str]
"""Digest and size in a RECORD."""

_UNHASHED: Row = ("", "")
_NAMESPACE_CALLS = (b"extend_path", b"declare_namespace")


@dataclass(frozen=True, slots=True, kw_only=True)
class RealFile:
    """A file of the front's own: these bytes, or a copy of the file at ``source``."""

    source: str
    content: bytes | None = None
    executable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """A project in a front: its RECORD, and the paths in the front that RECORD lists."""

    record: bytes
    paths: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """All of a front; paths are relative to it. ``folders`` are the real ones, parents first.

    ``distributions`` are by path of the metadata folder. ``customized`` says whether the shim has to let ``site`` look
    for ``sitecustomize``.
    """

    site_packages: str
    folders: tuple[str, ...]
    links: Mapping[str, str]
    files: Mapping[str, RealFile]
    distributions: Mapping[str, Distribution]
    customized: bool


def read_contents(view: Path, front: Path) -> Contents:
    """What a front at ``front`` holds of this environment. May raise OSError."""
    reader = _Reader(view, front)
    reader.walk("")
    bytecode = f"{reader.site_packages}/{BYTECODE_FOLDER}"
    if bytecode not in reader.folders:
        reader.folders.append(bytecode)  # a program that made it would change the time of site-packages
    reader.add_freshness()
    distributions = reader.distributions()
    records = {
        f"{path}/RECORD": RealFile(source="", content=distribution.record)
        for path, distribution in distributions.items()
    }
    starter = (view / reader.site_packages / STARTER).read_bytes()
    return Contents(
        site_packages=reader.site_packages,
        folders=tuple(reader.folders),
        links=reader.links,
        files=reader.files | records,
        distributions=distributions,
        customized=b"start_uncustomized" not in starter,
    )


def site_packages_of(view: Path) -> str:
    """The folder of packages of the environment or front in this folder, relative to it. FileNotFoundError if none."""
    for name in sorted(os.listdir(view / "lib")):
        if name.startswith("python") and (view / "lib" / name / "site-packages").is_dir():
            return f"lib/{name}/site-packages"
    raise FileNotFoundError(f"{view} has no site-packages")


class _Reader:
    """Walks through a view. Paths are relative to it."""

    def __init__(self, view: Path, front: Path) -> None:
        self._view = str(view)
        self._entries = f"{view.parent.parent}/store/"
        self._shebang, self._own_shebang = (shebang(f"{each}/bin/python") for each in (view, front))
        self.site_packages = site_packages_of(view)
        self._library = posixpath.dirname(self.site_packages)
        self._left_out = {"pyvenv.cfg", RECORD_NAME, IMPORT_MAP, f"{self._library}/{BYTECODE_FOLDER}"}
        modules = (name for name in shim_sources() if "/" not in name)
        self._left_out |= {f"{self._library}/{name}" for name in ("EXTERNALLY-MANAGED", *modules)}
        self._left_out |= {f"{self.site_packages}/{name}" for name in (STARTER, "_storectl.start")}
        self.folders: list[str] = []
        self.links: dict[str, str] = {}
        self.files: dict[str, RealFile] = {}

    def walk(self, folder: str) -> None:
        """Take what the view has in this folder, which is a real one in it."""
        with os.scandir(f"{self._view}/{folder}") as found:
            children = sorted(found, key=lambda child: child.name)
        for child in children:
            path = f"{folder}/{child.name}" if folder else child.name
            if path in self._left_out:
                continue
            if child.is_symlink():
                self._link(path, os.readlink(child.path))
            elif child.is_dir():
                self.folders.append(path)
                self.walk(path)
            else:
                self._file(path, child.path)

    def _link(self, path: str, target: str) -> None:
        if not target.startswith(self._entries):
            self.links[path] = target
        elif path.startswith(f"{self.site_packages}/") and DIST_INFO not in path:
            self._package(path, target)
        else:
            self._copy(path, target)

    def _package(self, path: str, target: str) -> None:
        """A link, or a folder of links if other wheels may write into it."""
        depth = path.count("/") - self.site_packages.count("/")
        if depth > _DEEPEST_NAMESPACE or not _is_namespace(target):
            self.links[path] = target
            return
        self.folders.append(path)
        for name in sorted(os.listdir(target)):
            if name != BYTECODE_FOLDER:
                self._package(f"{path}/{name}", f"{target}/{name}")

    def _copy(self, path: str, target: str) -> None:
        """The file or the whole folder in the store as real ones."""
        if not os.path.isdir(target):
            self._file(path, target)
            return
        self.folders.append(path)
        for name in sorted(os.listdir(target)):
            self._copy(f"{path}/{name}", f"{target}/{name}")

    def _file(self, path: str, source: str) -> None:
        executable = os.access(source, os.X_OK)
        content = None
        if path.startswith("bin/"):
            with open(source, "rb") as stream:
                if stream.read(len(self._shebang)) == self._shebang:
                    content = self._own_shebang + stream.read()
        self.files[path] = RealFile(source=source, content=content, executable=executable)

    def add_freshness(self) -> None:
        """Tell uv of each local project that it is as uv itself would have installed it just now."""
        for path in [path for path in self.files if path.endswith(f"{DIST_INFO}/direct_url.json")]:
            content = uv_cache_of(Path(self.files[path].source).read_bytes())
            if content is not None:
                self.files[f"{posixpath.dirname(path)}/uv_cache.json"] = RealFile(source="", content=content)

    def distributions(self) -> dict[str, Distribution]:
        """The projects of the view, by path of the metadata folder, each with its RECORD of what a front has of it."""
        metadata: dict[str, dict[str, Row]] = defaultdict(dict)
        bytecode: dict[str, list[str]] = defaultdict(list)
        for path in (*self.files, *self.links):
            folder = "/".join(path.split("/", _METADATA_DEPTH)[:_METADATA_DEPTH])
            if folder.endswith(DIST_INFO) and path != folder:
                metadata[folder][path] = _UNHASHED
            elif path.endswith(".pyc"):
                parent, _, name = path.rpartition(f"/{BYTECODE_FOLDER}/")
                bytecode[f"{parent}/{name.partition('.')[0]}.py"].append(path)
        return {folder: self._distribution(folder, rows, bytecode) for folder, rows in metadata.items()}

    def _distribution(self, metadata: str, rows: dict[str, Row], bytecode: Mapping[str, Iterable[str]]) -> Distribution:
        for path, row in self._rows(metadata):
            rows[path] = row
            rows.update(dict.fromkeys(bytecode.get(path, ()), _UNHASHED))
        text = io.StringIO()
        start, up = f"{self.site_packages}/", "../" * _METADATA_DEPTH
        listed = {
            path.removeprefix(start) if path.startswith(start) else f"{up[:-3]}{path}": row
            for path, row in rows.items()
        }
        csv.writer(text, lineterminator="\n").writerows([path, *listed[path]] for path in sorted(listed))
        return Distribution(record=text.getvalue().encode("utf-8", "surrogateescape"), paths=frozenset(rows))

    def _rows(self, metadata: str) -> Iterator[tuple[str, Row]]:
        """The paths of the front that stand for what the entry's RECORD lists, each with digest and size."""
        start = f"{self.site_packages}/"
        with open(f"{self._view}/{metadata}/RECORD", encoding="utf-8", errors="surrogateescape", newline="") as stream:
            for listed, digest, size in csv.reader(stream):
                top = start + listed.partition("/")[0]
                path = top if top in self.links else self._shown(start + listed)
                if path in self.links:
                    yield path, _UNHASHED
                elif path in self.files:
                    yield path, (digest, size)

    def _shown(self, path: str) -> str:
        """The link or file of the front that this path is at, or below; "" if there is none."""
        path = posixpath.normpath(path)
        while path and path not in self.links and path not in self.files:
            path = posixpath.dirname(path)
        return path


def _is_namespace(folder: str) -> bool:
    """Whether wheels of other projects may add to this folder: it is no package, or one that asks for its portions."""
    if not os.path.basename(folder).isidentifier() or not os.path.isdir(folder):
        return False
    inits = [name for name in os.listdir(folder) if name.startswith("__init__.")]
    if not inits:
        return True
    try:
        source = Path(folder, "__init__.py").read_bytes()
    except FileNotFoundError:
        return False
    return any(call in source for call in _NAMESPACE_CALLS)
