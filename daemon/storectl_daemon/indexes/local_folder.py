"""Local folders as sources: find-links folders, and indexes with ``file:`` addresses.

    find-links:  <folder>/*.whl, *.tar.gz …             and the links of its *.html files; or one page of links
    index:       <index>/<project>/index.html           or the files in that folder, if there is no such page

A missing folder offers nothing. Files without a digest in their link are hashed here.
"""

import hashlib
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from packaging.utils import NormalizedName

from storectl_daemon.errors import DaemonError
from storectl_daemon.indexes.config_layer import Source
from storectl_daemon.indexes.file import IndexFile, is_of_version, read_project_page
from storectl_daemon.network.address import Address
from storectl_store.digest import Digest, digest_of_hex
from storectl_store.system_errors import raise_if_limited

_ARCHIVES = (".whl", ".tar.gz", ".zip")
_LARGEST_PAGE = 64 << 20


class LocalFolders:
    """Reads local sources. Blocking, so meant for a thread. Digests are remembered by path, size and time."""

    def __init__(self) -> None:
        self._digests: dict[tuple[str, int, int], Digest] = {}

    def files(self, source: Source, name: NormalizedName, version: str) -> tuple[IndexFile, ...]:
        """The files of this version. Raises FetchError if the address of the source names another host."""
        folder = source.path if source.find_links else source.path / name
        page, shown = folder if source.find_links else folder / "index.html", str(source.address)
        found = _page_files(page, shown) if page.is_file() else _folder_files(folder, shown)
        return tuple(self._with_digest(file) for file in found if is_of_version(file, name, version))

    def _with_digest(self, file: IndexFile) -> IndexFile:
        address = Address(file.url)
        if file.digest is not None or not address.is_file:
            return file
        try:
            path = address.path
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):
                return file
            key = (str(path), status.st_size, status.st_mtime_ns)
            if key not in self._digests:
                self._digests[key] = _digest_of_file(path)
        except (OSError, DaemonError):
            return file  # without a digest it matches no pin
        return replace(file, digest=self._digests[key], size=status.st_size)


def _folder_files(folder: Path, shown: str) -> Iterator[IndexFile]:
    for path in _sorted_entries(folder):
        if path.name.endswith(_ARCHIVES):
            yield IndexFile(filename=path.name, url=path.absolute().as_uri(), digest=None, index=shown)
        elif path.suffix == ".html":
            yield from _page_files(path, shown)


def _page_files(page: Path, shown: str) -> Iterator[IndexFile]:
    try:
        if page.stat().st_size > _LARGEST_PAGE:
            return
        yield from read_project_page(page.read_bytes(), "text/html", Address(page.absolute().as_uri()), index=shown)
    except (OSError, ValueError):
        return


def _sorted_entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise_if_limited(error, f"look into {folder}")
        return []


def _digest_of_file(path: Path) -> Digest:
    with path.open("rb") as file:
        return digest_of_hex(hashlib.file_digest(file, "sha256").hexdigest())
