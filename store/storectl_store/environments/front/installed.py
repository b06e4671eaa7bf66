"""The distributions in a folder of packages, whoever installed them, and how one is taken out by its RECORD."""

import csv
import io
import os
import posixpath
import shutil
from collections.abc import Container, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import NormalizedName, canonicalize_name

from storectl_store.entries.staged import INSTALLER
from storectl_store.environments.front.contents import DIST_INFO
from storectl_store.environments.front.front_record import OWN_FOLDER
from storectl_store.environments.planning.overlap import BYTECODE_FOLDER

GONE = "gone"
"""The name, beside the record of a front, under which metadata is deleted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """A distribution. ``metadata`` is its folder's path, ``installer`` what its INSTALLER says; "" if it is unknown."""

    metadata: str
    name: NormalizedName
    version: str
    installer: str

    @property
    def ours(self) -> bool:
        """Whether storectl put it there."""
        return self.installer.encode() == INSTALLER.strip()


def installed(root: Path, site_packages: str) -> list[Installed]:
    """The distributions in this folder of packages, by path of the metadata folder."""
    found: list[Installed] = []
    if not _is_really_in(root, f"{site_packages}/"):
        return found
    with suppress(FileNotFoundError), os.scandir(root / site_packages) as children:
        for child in sorted(children, key=lambda child: child.name):
            name, version = name_and_version(child.name)
            if child.name.endswith(DIST_INFO) and name and child.is_dir(follow_symlinks=False):
                metadata, installer = f"{site_packages}/{child.name}", _installer(Path(child.path))
                found.append(Installed(metadata=metadata, name=name, version=version, installer=installer))
    return found


def name_and_version(metadata: str) -> tuple[NormalizedName, str]:
    """Project and version of this metadata folder."""
    name, _, version = posixpath.basename(metadata).removesuffix(DIST_INFO).rpartition("-")
    return canonicalize_name(name), version


def _installer(metadata: Path) -> str:
    try:
        return (metadata / "INSTALLER").read_text(errors="replace").strip()
    except OSError:
        return ""


def recorded_paths(root: Path, metadata: str) -> Iterator[str]:
    """The paths that RECORD lists, relative to the root, and the bytecode of each module; none outside of the root."""
    try:
        text = (root / metadata / "RECORD").read_bytes().decode("utf-8", "surrogateescape")
    except OSError:
        return
    site_packages = posixpath.dirname(metadata)
    for row in csv.reader(io.StringIO(text, newline="")):
        path = posixpath.normpath(posixpath.join(site_packages, row[0])) if row else ".."
        if not path.startswith(("/", "..")):
            yield path


def take_out(root: Path, metadata: str, kept: Container[str]) -> None:
    """Remove what RECORD lists but for ``kept``, then the metadata in one step. Nothing behind a link is touched."""
    own = f"{metadata}/"
    remove_paths(root, (path for path in recorded_paths(root, metadata) if not path.startswith(own)), kept)
    gone = root / OWN_FOLDER / GONE
    (root / metadata).rename(gone)
    shutil.rmtree(gone)


def remove_paths(root: Path, paths: Iterable[str], kept: Container[str]) -> None:
    """Remove these files and links, with their bytecode, and the folders that become empty."""
    parents = set()
    for path in set(paths):
        if path in kept or not _is_really_in(root, path):
            continue
        with suppress(FileNotFoundError, IsADirectoryError):
            os.unlink(root / path)
        parents.add(posixpath.dirname(path))
        if path.endswith(".py"):
            _remove_bytecode(root / path, kept, root)
    for parent in sorted(parents, reverse=True):
        _prune(root, parent, kept)


def _remove_bytecode(module: Path, kept: Container[str], root: Path) -> None:
    folder = module.parent / BYTECODE_FOLDER
    for bytecode in folder.glob(f"{module.stem}.*.pyc"):
        if str(bytecode.relative_to(root)) not in kept:
            bytecode.unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()


def _prune(root: Path, folder: str, kept: Container[str]) -> None:
    """Remove the folder and those above it, as long as they are empty."""
    while folder and folder not in kept:
        try:
            os.rmdir(root / folder)
        except OSError:
            return
        folder = posixpath.dirname(folder)


def _is_really_in(root: Path, path: str) -> bool:
    """Whether no folder on the way to the path is a link."""
    folder = posixpath.dirname(path)
    while folder:
        if os.path.islink(root / folder):
            return False
        folder = posixpath.dirname(folder)
    return True
