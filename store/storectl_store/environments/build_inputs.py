"""What a build of a local project is made from: the files that backends read, and uv's ``cache-keys``.

    [tool.uv]
    cache-keys = ["pyproject.toml", { file = "**/*.pyx" }, { dir = "src" }, { env = "DEMO_PURE" }, { git = { commit = true, tags = true } }]

A folder counts by the names of what is in it. A commit and tags are those of the repository that the project is in, read from
its files. The usual build files count in any case, whatever ``cache-keys`` says.
"""

import glob
import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storectl_store.environments.git_state import git_state
from storectl_store.environments.pyproject import read_pyproject, table_at
from storectl_store.errors import EnvironmentBuildError

_USUAL = (
    "pyproject.toml",
    "setup.py",
    "setup.cfg",
    "MANIFEST.in",
    "meson.build",
    "CMakeLists.txt",
    "Cargo.toml",
    "build.py",
)
_MOST_FILES = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderState:
    """A project's folder as it is now, for a build. ``digest`` covers the contents of ``files`` and of whatever else counts.

    ``files`` are absolute, there or not; ``variables`` the names of those that count.
    """

    digest: str
    files: tuple[Path, ...]
    variables: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _CacheKeys:
    patterns: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    variables: frozenset[str] = frozenset()
    commit: bool = False
    tags: bool = False


def build_inputs(folder: Path) -> tuple[Path, ...]:
    """The files of a project's folder that decide what a build of it is, whether they exist or not."""
    keys = _cache_keys(folder)
    return (*_files(folder, keys), *git_state(folder, commit=keys.commit, tags=keys.tags).files)


def folder_state(folder: Path) -> FolderState:
    """All that decides what a build of the folder is, as it is now. EnvironmentBuildError for too many files."""
    keys = _cache_keys(folder)
    files = _files(folder, keys)
    git = git_state(folder, commit=keys.commit, tags=keys.tags)
    hasher = hashlib.sha256()
    for name, content in (*_contents(folder, files), *_listings(folder, keys.folders)):
        hasher.update(f"{name}\0{len(content)}\0".encode("utf-8", "surrogateescape"))
        hasher.update(content)
    if git.text:
        hasher.update(f"\0git\0{git.text}".encode("utf-8", "surrogateescape"))
    return FolderState(digest=f"sha256:{hasher.hexdigest()}", files=(*files, *git.files), variables=keys.variables)


def _contents(folder: Path, files: Iterable[Path]) -> Iterator[tuple[str, bytes]]:
    for path in files:
        try:
            yield os.path.relpath(path, folder), path.read_bytes()
        except OSError:
            continue


def _listings(folder: Path, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    for name in names:
        try:
            yield f"{name}/", "\n".join(sorted(os.listdir(folder / name))).encode("utf-8", "surrogateescape")
        except OSError:
            continue


def _files(folder: Path, keys: _CacheKeys) -> tuple[Path, ...]:
    found = dict.fromkeys(folder / name for name in _USUAL)
    for pattern in keys.patterns:
        found |= dict.fromkeys(_matching(folder, pattern))
        if len(found) > _MOST_FILES:
            raise EnvironmentBuildError(
                f"{folder / 'pyproject.toml'}: `cache-keys` {pattern!r} matches more than {_MOST_FILES} files",
                hint="name fewer files",
                path=str(folder),
            )
    return tuple(found)


def _matching(folder: Path, pattern: str) -> list[Path]:
    """The files that a pattern matches; a plain name is one whether it is there or not."""
    if not glob.has_magic(pattern):
        return [Path(os.path.normpath(folder / pattern))]
    names = sorted(glob.glob(pattern, root_dir=folder, recursive=True, include_hidden=True))
    return [path for name in names if (path := Path(os.path.normpath(folder / name))).is_file()]


def _cache_keys(folder: Path) -> _CacheKeys:
    """What ``[tool.uv] cache-keys`` of this project says."""
    entries: Any = table_at(read_pyproject(folder), "tool", "uv").get("cache-keys")
    tables = (
        [{"file": entry} if isinstance(entry, str) else entry for entry in entries if isinstance(entry, str | dict)]
        if isinstance(entries, list)
        else []
    )
    git = [entry["git"] for entry in tables if "git" in entry]
    return _CacheKeys(
        patterns=tuple(_texts(entry.get("file") for entry in tables)),
        folders=tuple(_texts(entry.get("dir") for entry in tables)),
        variables=frozenset(_texts(entry.get("env") for entry in tables)),
        commit=any(value is True or (isinstance(value, dict) and value.get("commit") is True) for value in git),
        tags=any(isinstance(value, dict) and value.get("tags") is True for value in git),
    )


def _texts(values: Iterable[object]) -> Iterator[str]:
    return (value for value in values if isinstance(value, str))
