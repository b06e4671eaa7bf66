"""What an export holds, read from the published environment that it is made of.

    pyvenv.cfg  bin/  lib/ …      as in the environment, with files if that has links into entries

Left out is what makes a view one of storectl's: the shim, the import map, its record, and EXTERNALLY-MANAGED.

Of the bytecode only that of the environment's interpreter is taken. Entries have it unchecked, because no module of
theirs ever changes. In an export it is checked by the hash of its source (PEP 552): so it is right in any place and
with any time, and an edit counts.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path

from storectl_store.entries.layout import StoreLayout
from storectl_store.environments.environment_record import RECORD_NAME, EnvironmentRecord
from storectl_store.environments.identity import shim_sources
from storectl_store.environments.layers_record import LAYERS_NAME, layer_roots
from storectl_store.environments.planning.overlap import BYTECODE_FOLDER
from storectl_store.environments.planning.plan import IMPORT_MAP
from storectl_store.environments.planning.runtime_files import COVERAGE_START
from storectl_store.environments.planning.scripts import RELOCATABLE_SHEBANG, shebang

_STARTING = ("_storectl.pth", "_storectl.start", COVERAGE_START)
_UNCHECKED, _CHECKED = b"\x01\0\0\0", b"\x03\0\0\0"  # the flags of a .pyc, behind its magic number


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedFile:
    """One file: ``content``, or the bytes of ``source``, whose size is given in bytes.

    ``of_entry`` is true if the source is a file of an entry.
    """

    source: str
    size: int
    executable: bool = False
    content: bytes | None = None
    of_entry: bool = False

    @property
    def made(self) -> bool:
        """Whether the bytes are others than those of the source."""
        return self.content is not None or self.source.endswith(".pyc")

    def read(self) -> bytes:
        """The bytes to be exported."""
        if self.content is not None:
            return self.content
        content = Path(self.source).read_bytes()
        if self.made and content[4:8] == _UNCHECKED:
            return content[:4] + _CHECKED + content[8:]
        return content


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """All of an export, by path relative to it. ``folders`` has parents before what is in them."""

    site_packages: str
    folders: list[str] = field(default_factory=list)
    links: dict[str, str] = field(default_factory=dict)
    files: dict[str, ExportedFile] = field(default_factory=dict)


def own_file(content: bytes, *, executable: bool = False) -> ExportedFile:
    """A file with these bytes."""
    return ExportedFile(source="", size=len(content), executable=executable, content=content)


def read_contents(layout: StoreLayout, view: Path, record: EnvironmentRecord, target: Path | None) -> Contents:
    """What an export of this environment holds; its RECORD files are still those of the entries.

    Scripts name the Python below ``target``; if that is None they find the one beside themselves. May raise OSError,
    and EnvironmentBuildError if no first line can name the Python.
    """
    reader = _Reader(layout, view, record.cache_tag, target)
    reader.walk("")
    return reader.contents


class _Reader:
    """Walks through a view. Paths are relative to it."""

    def __init__(self, layout: StoreLayout, view: Path, cache_tag: str, target: Path | None) -> None:
        stores = [layout, *map(StoreLayout, layer_roots(view))]
        self._entries = tuple(f"{store.entries}/" for store in stores)
        self._view = str(view)
        self._tag = f".{cache_tag}."
        self._shebang = shebang(f"{view}/bin/python")
        self._own_shebang = RELOCATABLE_SHEBANG if target is None else shebang(f"{target}/bin/python")
        self._configured = b"relocatable = true\n" if target is None else b""
        library = next(view.glob("lib/python*/site-packages")).parent.relative_to(view).as_posix()
        self.contents = Contents(site_packages=f"{library}/site-packages")
        self._left_out = {
            RECORD_NAME,
            IMPORT_MAP,
            LAYERS_NAME,
            f"{library}/EXTERNALLY-MANAGED",
            f"{library}/{BYTECODE_FOLDER}",
        }
        self._left_out |= {f"{library}/{path}" for path in shim_sources()}
        self._left_out |= {f"{library}/site-packages/{name}" for name in _STARTING}
        self._bytecode_of_shim = f"{library}/site-packages/{BYTECODE_FOLDER}/_storectl."

    def walk(self, folder: str) -> None:
        """Take what the view has in this folder, which is a real one in it; "" is the view itself."""
        for child in _children(f"{self._view}/{folder}"):
            path = f"{folder}/{child.name}" if folder else child.name
            if path in self._left_out or path.startswith(self._bytecode_of_shim):
                continue
            if child.is_symlink():
                self._link(path, os.readlink(child.path))
            elif child.is_dir():
                self.contents.folders.append(path)
                self.walk(path)
            else:
                self._own(path, child.path)

    def _link(self, path: str, target: str) -> None:
        if not target.startswith(self._entries):
            self.contents.links[path] = target
        elif os.path.isdir(target):
            self._folder(path, target)
        elif os.path.exists(target):  # a link to bytecode leads nowhere until that is compiled
            self._of_entry(path, target, os.stat(target))

    def _folder(self, path: str, source: str) -> None:
        """A folder of an entry, with all that is in it. Entries hold no links."""
        self.contents.folders.append(path)
        for child in _children(source):
            inner = f"{path}/{child.name}"
            if child.is_dir():
                self._folder(inner, child.path)
            elif self._tag in child.name or not path.endswith(f"/{BYTECODE_FOLDER}"):
                self._of_entry(inner, child.path, child.stat())

    def _of_entry(self, path: str, source: str, status: os.stat_result) -> None:
        executable = bool(status.st_mode & 0o100)
        self.contents.files[path] = ExportedFile(
            source=source, size=status.st_size, executable=executable, of_entry=True
        )

    def _own(self, path: str, source: str) -> None:
        """A file of the view's own. What names the view names the export: ``pyvenv.cfg``, first lines of scripts."""
        status = os.stat(source)
        content = None
        if path == "pyvenv.cfg":
            lines = Path(source).read_bytes().splitlines(keepends=True)
            content = b"".join(line for line in lines if not line.startswith(b"storectl ")) + self._configured
        elif path.startswith("bin/"):
            content = self._script(source)
        executable = bool(status.st_mode & 0o100)
        self.contents.files[path] = (
            ExportedFile(source=source, size=status.st_size, executable=executable)
            if content is None
            else own_file(content, executable=executable)
        )

    def _script(self, source: str) -> bytes | None:
        """The script with a first line of the export's; None if it does not name the view's Python."""
        with open(source, "rb") as stream:
            if stream.read(len(self._shebang)) != self._shebang:
                return None
            return self._own_shebang + stream.read()


def _children(folder: str) -> list["os.DirEntry[str]"]:
    with os.scandir(folder) as found:
        return sorted(found, key=lambda child: child.name)
