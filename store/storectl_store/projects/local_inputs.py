"""The inputs of a local project: every file and folder that its editable wheel is made from.

    pyproject.toml, and the files of its backend             setup.py, hatch_build.py, Cargo.toml, …
    files that a version or another field is read from      [tool.hatch.version] path, [tool.setuptools.dynamic], …
    readme and licences, if storectl makes the wheel itself
    folders whose existence decides where the code is       src
    ``[tool.uv] cache-keys``

What else a backend reads cannot be known before it runs: a project whose backend reads more says so in its cache keys.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from storectl_store.errors import EnvironmentBuildError, MissingProjectError
from storectl_store.projects.backend_files import named_files
from storectl_store.projects.cache_keys import CacheKeys, base_of, cache_keys, is_pattern, pattern_regex
from storectl_store.projects.git_refs import git_state
from storectl_store.projects.import_roots import root_candidates
from storectl_store.projects.input_state import InputKind, read_state, stronger
from storectl_store.projects.pyproject import read_pyproject
from storectl_store.projects.static_metadata import backend_inputs, static_project

_MOST_FOUND = 10_000
_NEVER_INPUTS = frozenset({".git", "__pycache__"})


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalInputs:
    """What decides the result of a build of ``folder``: contents of ``files``, existence of ``places``, and the rest.

    ``listed`` are the folders that were searched. ``git`` is a text that names the commit and the tags; ``git_files``
    and ``git_folders`` are what it was read from. ``variables`` are the names that cache keys give.
    """

    folder: Path
    files: tuple[Path, ...]
    places: tuple[Path, ...] = ()
    listed: tuple[Path, ...] = ()
    variables: tuple[str, ...] = ()
    git: str = ""
    git_files: tuple[Path, ...] = ()
    git_folders: tuple[Path, ...] = ()

    @property
    def watched(self) -> Mapping[Path, InputKind]:
        """All paths whose change may mean another build, each with what of it counts."""
        kinds: dict[Path, InputKind] = {}
        for paths, kind in (
            (self.places, "place"),
            ((*self.files, *self.git_files), "file"),
            ((*self.listed, *self.git_folders), "names"),
        ):
            for path in paths:
                kinds[path] = stronger(kind, kinds.get(path))  # type: ignore[arg-type]
        return kinds

    def contents(self) -> str:
        """A digest over everything but variables, ``sha256:…``: equal digests mean equal builds. It reads the files.

        Raises MissingProjectError if there is no project, so that no build is ever known by the digest of nothing.
        """
        check_is_project(self.folder)
        hasher = hashlib.sha256(self.git.encode("utf-8", "surrogateescape"))
        for path in sorted({*self.files}):
            state = read_state(path)
            if state is not None:
                hasher.update(f"\0{self._name(path)}\0{state.sha256}".encode("utf-8", "surrogateescape"))
        for path in sorted({*self.places}):
            hasher.update(f"\0{self._name(path)}\0{path.exists()}".encode("utf-8", "surrogateescape"))
        return f"sha256:{hasher.hexdigest()}"

    def _name(self, path: Path) -> str:
        return os.path.relpath(path, self.folder)


def local_inputs(folder: Path) -> LocalInputs:
    """The inputs of the project in this folder. Raises EnvironmentBuildError if its cache keys cannot be followed."""
    document = read_pyproject(folder)
    keys = cache_keys(document, str(folder / "pyproject.toml"))
    named = [*backend_inputs(document), *named_files(document, folder, metadata=static_project(folder) is not None)]
    files, listed = _found(folder, named, keys)
    git = git_state(folder, commit=keys.commit, tags=keys.tags)
    return LocalInputs(
        folder=folder,
        files=files,
        places=tuple(folder / name for name in dict.fromkeys([*root_candidates(document), *keys.folders])),
        listed=listed,
        variables=keys.variables,
        git=git.text,
        git_files=git.files,
        git_folders=git.listed,
    )


def check_is_project(folder: Path) -> None:
    """Raise MissingProjectError if the folder has neither a ``pyproject.toml`` nor a ``setup.py``.

    The project may still be created.
    """
    if not any((folder / name).exists() for name in ("pyproject.toml", "setup.py")):
        raise MissingProjectError(
            f"{folder} is locked as a project, and has neither a pyproject.toml nor a setup.py",
            hint="check the path in the lock file, or wait for what writes the folder",
            path=str(folder),
        )


def _found(folder: Path, named: list[str], keys: CacheKeys) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """The files, and the folders that were searched for them."""
    files: dict[Path, None] = {}
    listed: dict[Path, None] = {}
    for text in [*named, *keys.files]:
        if not is_pattern(text):
            files[_below(folder, text)] = None
            continue
        matched, walked = _matching(folder, text)
        files |= dict.fromkeys(matched)
        listed |= dict.fromkeys(walked)
    return tuple(files), tuple(listed)


def _below(folder: Path, text: str) -> Path:
    return Path(os.path.normpath(folder / text))


def _matching(folder: Path, pattern: str) -> tuple[list[Path], list[Path]]:
    """The files that match, and every folder that was searched: a new name in one of them may match."""
    start, rest = base_of(pattern)
    regex = pattern_regex(rest)
    base = _below(folder, start)
    files, folders = [], []
    for parent, names in _walk(base):
        folders.append(parent)
        inner = os.path.relpath(parent, base)
        files += [parent / name for name in names if regex.fullmatch(name if inner == os.curdir else f"{inner}/{name}")]
        if len(files) + len(folders) > _MOST_FOUND:
            raise EnvironmentBuildError(
                f"{folder / 'pyproject.toml'}: `tool.uv.cache-keys`: {pattern[:80]!r} stands for more than "
                f"{_MOST_FOUND} files and folders",
                hint="begin the pattern with the folder that is meant, such as src/**/*.c",
                path=str(folder),
            )
    return files, folders


def _walk(base: Path) -> Iterator[tuple[Path, list[str]]]:
    """Each folder with the names of its files, except virtual environments, ``.git`` and ``__pycache__``."""
    for parent, inner, names in os.walk(base):
        inner[:] = sorted(
            name for name in inner if name not in _NEVER_INPUTS and not os.path.exists(f"{parent}/{name}/pyvenv.cfg")
        )
        yield Path(parent), sorted(names)
