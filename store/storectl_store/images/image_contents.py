"""What a full image holds, read from a published environment and the entries that it is made of.

Links of the view become relative: as the tree of an image is that of a store, they only lose the part that names the
place. First lines of scripts find the Python beside themselves. Everything else is as in the store, byte for byte; of
the bytecode only that of the environment's interpreter is taken.
"""

import os
import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from storectl_store.digest import Digest
from storectl_store.entries.layout import StoreLayout
from storectl_store.entries.read_only import ReadOnlyStore
from storectl_store.entries.version_file import VERSION_TEXT
from storectl_store.environments.environment_record import EnvironmentRecord, read_environment
from storectl_store.environments.pack import pack_of, packed_modules
from storectl_store.environments.planning.overlap import BYTECODE_FOLDER
from storectl_store.environments.planning.scripts import RELOCATABLE_SHEBANG, shebang
from storectl_store.errors import ImageError

TREE = StoreLayout(Path())
"""The paths in an image."""

ENTRIES = str(TREE.entries)

_INTO_ENTRY = re.compile(rf"(/.*)/{ENTRIES}/[^/]+/[0-9a-f]{{32}}(?:/|$)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFile:
    """One file: ``content``, or the bytes of the file ``source``; ``size`` is in bytes."""

    source: str
    size: int
    executable: bool = False
    content: bytes | None = None

    def read(self) -> bytes:
        """The bytes of the file. May raise OSError."""
        return Path(self.source).read_bytes() if self.content is None else self.content


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageContents:
    """All of an image but its head, by path in it. ``places`` maps the path of each entry to its folder in a store."""

    record: EnvironmentRecord
    folders: set[str] = field(default_factory=set)
    links: dict[str, str] = field(default_factory=dict)
    files: dict[str, ImageFile] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)

    def add_made(self, path: str, content: bytes, *, executable: bool = False) -> None:
        """Add a file with this content, and the folders above it."""
        self.files[path] = ImageFile(source="", size=len(content), executable=executable, content=content)
        self.add_folders_above(path)

    def add_copy(self, path: str, source: str) -> None:
        """Add a file with the bytes and the mode of ``source``, and the folders above it. May raise OSError."""
        status = os.stat(source)
        self.files[path] = ImageFile(source=source, size=status.st_size, executable=bool(status.st_mode & 0o100))
        self.add_folders_above(path)

    def add_folders_above(self, path: str) -> None:
        """Add the folders that this path is in."""
        while (path := posixpath.dirname(path)) and path not in self.folders:
            self.folders.add(path)


def read_contents(environment: Path, more: Sequence[str] = ()) -> ImageContents:
    """What a full image of this published environment holds.

    Its entries are in its own store or in those that its links lead into. ``more`` are modules, as paths of their
    sources below site-packages, for the pack of the image beside those that the environment's pack has.

    Raises ImageError if something of it is gone, StoreFormatError if it cannot be read. May raise OSError.
    """
    record = read_environment(environment)
    roots = dict.fromkeys((environment.parent.parent, *_linked_stores(environment)))
    stores = [ReadOnlyStore.open(root) for root in roots]
    reader = _Reader(environment, record, stores)
    for digest in record.digests:
        reader.take_entry(digest)
    reader.take_view("")
    contents = reader.contents
    contents.add_made(str(TREE.version_file), VERSION_TEXT.encode())
    layout = stores[0].layout
    modules = dict.fromkeys((*packed_modules(layout, record.id), *more))
    if modules:
        contents.add_made(str(TREE.pack(record.id)), pack_of(layout, record, list(modules)))
    return contents


def _linked_stores(environment: Path) -> Iterator[Path]:
    """The roots of the stores that links of the view lead into."""
    for folder, folders, files in os.walk(environment):
        for name in (*folders, *files):
            path = f"{folder}/{name}"
            if os.path.islink(path) and (match := _INTO_ENTRY.match(os.readlink(path))):
                yield Path(match[1])


class _Reader:
    """Reads an environment into ``contents``."""

    def __init__(self, environment: Path, record: EnvironmentRecord, stores: Sequence[ReadOnlyStore]) -> None:
        self._view = str(environment)
        self._tag = f".{record.cache_tag}."
        self._stores = stores
        self._shebang = shebang(f"{environment}/bin/python")
        self._prefix = str(TREE.environment(record.id))
        self.contents = ImageContents(record=record)

    def take_entry(self, digest: Digest) -> None:
        """Take an entry with its manifests. Raises ImageError if no store has it."""
        for store in self._stores:
            manifest = store.usable_manifest(digest)
            if manifest is not None:
                break
        else:
            hint = "warm the project again, then build the image"
            raise ImageError(f"the entry {digest} of the environment is gone", hint=hint, digest=digest)
        layout, folder = store.layout, store.entry_folder(manifest)
        self.contents.add_copy(str(TREE.manifest(digest)), layout.manifest_text(digest))
        tag = self.contents.record.cache_tag
        side = layout.bytecode_manifest(digest, tag)
        if side.is_file():
            self.contents.add_copy(str(TREE.bytecode_manifest(digest, tag)), str(side))
        place = str(TREE.entry(manifest.name, digest))
        self.contents.places[place] = str(folder)
        self._take_folder(place, str(folder))

    def _take_folder(self, path: str, source: str) -> None:
        """Take a folder of an entry. Entries hold no links."""
        self.contents.folders.add(path)
        self.contents.add_folders_above(path)
        for child in _children(source):
            inner = f"{path}/{child.name}"
            if child.is_dir(follow_symlinks=False):
                self._take_folder(inner, child.path)
            elif self._tag in child.name or not path.endswith(f"/{BYTECODE_FOLDER}"):
                self.contents.add_copy(inner, child.path)

    def take_view(self, folder: str) -> None:
        """Take what the view has in this folder of it, which is a real one; "" is the view itself."""
        place = f"{self._prefix}/{folder}" if folder else self._prefix
        self.contents.folders.add(place)
        self.contents.add_folders_above(place)
        for child in _children(f"{self._view}/{folder}"):
            path = f"{folder}/{child.name}" if folder else child.name
            inner = f"{self._prefix}/{path}"
            if child.is_symlink():
                self.contents.links[inner] = self._target(path, os.readlink(child.path))
            elif child.is_dir():
                self.take_view(path)
            elif (script := self._script(path, child.path)) is not None:
                self.contents.add_made(inner, script, executable=True)
            else:
                self.contents.add_copy(inner, child.path)

    def _target(self, path: str, target: str) -> str:
        """The target of this link of the view in the image. Raises ImageError if it would lead out of it."""
        if not target.startswith("/") or path == "bin/python":
            return target
        for store in self._stores:
            if target.startswith(f"{store.layout.entries}/"):
                inner = f"{ENTRIES}{target[len(str(store.layout.entries)) :]}"
                return posixpath.relpath(inner, posixpath.dirname(f"{self._prefix}/{path}"))
        raise ImageError(
            f"{self._view}/{path} leads to {target}, which is no entry's",
            hint="warm the project again, then build the image",
            path=path,
        )

    def _script(self, path: str, source: str) -> bytes | None:
        """The script with a first line that finds its Python; None if this is none that names the view's Python."""
        if not path.startswith("bin/"):
            return None
        with open(source, "rb") as stream:
            if stream.read(len(self._shebang)) != self._shebang:
                return None
            return RELOCATABLE_SHEBANG + stream.read()


def _children(folder: str) -> list["os.DirEntry[str]"]:
    with os.scandir(folder) as found:
        return sorted(found, key=lambda child: child.name)
