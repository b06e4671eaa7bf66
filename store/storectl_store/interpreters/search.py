"""The search for interpreters: on PATH, in the folders of pyenv, asdf, mise, Rye and uv, and the one that runs this.

UV_PYTHON_PREFERENCE, UV_MANAGED_PYTHON and UV_NO_MANAGED_PYTHON have the meaning that uv gives them: the interpreters
that uv installed count alone, before all others, or not at all. If none is set, they come after all others.

Nothing is run here. A shim of pyenv is a script that picks an interpreter by the folder it is called in. So pyenv's
folder on PATH stands for the versions that pyenv has chosen globally. Other scripts that call themselves ``python`` are
skipped.
"""

import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

from storectl_store.system_errors import raise_if_limited

_NAME = re.compile(r"python(?:3(?:\.\d+t?)?)?")
_VERSION = re.compile(r"\d+")
_TRUE = frozenset({"1", "true", "yes", "on", "y", "t"})


def find_interpreters(environ: Mapping[str, str]) -> Iterator[str]:
    """Paths of possible interpreters, the most wanted first, each real file once."""
    return _once(chain.from_iterable(_places(environ)))


def path_interpreters(environ: Mapping[str, str]) -> Iterator[str]:
    """Paths that count before all others: those on PATH, or of uv if it is preferred; each real file once."""
    return _once(_places(environ)[0])


def pyenv_interpreter(environ: Mapping[str, str], version: str) -> str | None:
    """The python of a pyenv version or virtual environment of this name; None if there is none."""
    if not re.fullmatch(r"[A-Za-z0-9._+-]+", version) or version in (".", ".."):
        return None
    python = os.path.join(_pyenv_root(environ), "versions", version, "bin", "python")
    return python if os.path.isabs(python) and os.path.isfile(python) else None


def program_of(environ: Mapping[str, str], path: str) -> str | None:
    """The program that this path runs: itself, or of a shim of pyenv the one behind it; None if no version has it.

    Behind a shim is the program of a globally chosen version, else of the newest that has it.
    """
    if not _is_shim(environ, path):
        return path
    folders = chain(_chosen_folders(environ), _version_folders(os.path.join(_pyenv_root(environ), "versions")))
    candidates = (os.path.join(folder, os.path.basename(path)) for folder in folders)
    return next(filter(_is_program, candidates), None)


def _places(environ: Mapping[str, str]) -> list[Iterable[str]]:
    """What is found in each kind of place, the most wanted first. Folders are read when their turn comes."""
    uv, *others = (_in_folders(_version_folders(folder)) for folder in _managed_folders(environ))
    places = [_on_path(environ), *others, uv, [getattr(sys, "_base_executable", None) or sys.executable]]
    match _preference(environ):
        case "only-managed":
            return [uv]
        case "managed":
            return [uv, *places]
        case "only-system":
            return [place for place in places if place is not uv]
    return places


def _preference(environ: Mapping[str, str]) -> str:
    """``only-managed``, ``managed``, ``system``, ``only-system``, or empty if none of the variables is set."""
    if environ.get("UV_MANAGED_PYTHON", "").lower() in _TRUE:
        return "only-managed"
    if environ.get("UV_NO_MANAGED_PYTHON", "").lower() in _TRUE:
        return "only-system"
    return environ.get("UV_PYTHON_PREFERENCE", "")


def _managed_folders(environ: Mapping[str, str]) -> list[str]:
    """The folder in which each manager of Python versions has one folder a version; uv's first."""
    home = environ.get("HOME", "")
    data = environ.get("XDG_DATA_HOME") or os.path.join(home, ".local", "share")
    return [
        environ.get("UV_PYTHON_INSTALL_DIR") or os.path.join(data, "uv", "python"),
        os.path.join(_pyenv_root(environ), "versions"),
        os.path.join(environ.get("ASDF_DATA_DIR") or os.path.join(home, ".asdf"), "installs", "python"),
        os.path.join(environ.get("MISE_DATA_DIR") or os.path.join(data, "mise"), "installs", "python"),
        os.path.join(environ.get("RYE_HOME") or os.path.join(home, ".rye"), "py"),
    ]


def _pyenv_root(environ: Mapping[str, str]) -> str:
    return environ.get("PYENV_ROOT") or os.path.join(environ.get("HOME", ""), ".pyenv")


def _is_shim(environ: Mapping[str, str], path: str) -> bool:
    return os.path.dirname(os.path.abspath(path)) == os.path.join(_pyenv_root(environ), "shims")


def _on_path(environ: Mapping[str, str]) -> Iterator[str]:
    for folder in environ.get("PATH", "").split(os.pathsep):
        # A relative entry would let the current folder decide what is run.
        if os.path.isabs(folder):
            shims = _is_shim(environ, os.path.join(folder, "python"))
            yield from _in_folders(_chosen_folders(environ) if shims else [folder])


def _chosen_folders(environ: Mapping[str, str]) -> Iterator[str]:
    """The ``bin`` folders of pyenv's global versions, in their order."""
    text = environ.get("PYENV_VERSION", "").replace(":", "\n") or _text(os.path.join(_pyenv_root(environ), "version"))
    for version in text.split():
        if python := pyenv_interpreter(environ, version):
            yield os.path.dirname(python)


def _version_folders(folder: str) -> Iterator[str]:
    """The ``bin`` folders of the versions in this folder, by the numbers in their names, the newest first."""
    for version in sorted(_names(folder), key=_numbers, reverse=True):
        yield os.path.join(folder, version, "bin")


def _in_folders(folders: Iterable[str]) -> Iterator[str]:
    """The pythons of each folder: ``python3`` first, ``python`` next, then by version, the newest first."""
    order = {"python3": 0, "python": 1}
    for folder in folders:
        names = filter(_NAME.fullmatch, _names(folder))
        ranked = sorted(names, key=lambda name: (order.get(name, 2), [-number for number in _numbers(name)]))
        yield from filter(_is_program, (os.path.join(folder, name) for name in ranked))


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder) if os.path.isabs(folder) else []
    except OSError as error:
        raise_if_limited(error, f"look into {folder}")
        return []


def _is_program(path: str) -> bool:
    """Whether this is an executable file and no script."""
    try:
        if not os.path.isfile(path) or not os.access(path, os.X_OK):
            return False
        with open(path, "rb") as stream:
            return stream.read(2) != b"#!"
    except OSError as error:
        raise_if_limited(error, f"read {path}")
        return False


def _numbers(name: str) -> list[int]:
    return [int(digits) for digits in _VERSION.findall(name)]


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read(4096)
    except (OSError, ValueError):
        return ""


def _once(paths: Iterable[str]) -> Iterator[str]:
    seen: set[str] = set()
    for path in paths:
        real = os.path.realpath(path)
        if real not in seen:
            seen.add(real)
            yield path
