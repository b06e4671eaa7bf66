"""The search for interpreters: on PATH, in pyenv, in uv, and the one that runs this.

UV_PYTHON_PREFERENCE, UV_MANAGED_PYTHON and UV_NO_MANAGED_PYTHON have the meaning that uv gives them: the interpreters
that uv installed count alone, before all others, or not at all. If none is set, they come after those on PATH and of
pyenv.

Nothing is run here. A shim of pyenv is a script that picks an interpreter by the folder it is called in. So pyenv's
folder on PATH stands for the versions that pyenv has chosen globally. Other scripts that call themselves ``python`` are
skipped.
"""

import os
import re
import sys
from collections.abc import Iterator, Mapping

_NAME = re.compile(r"python(?:3(?:\.\d+t?)?)?")
_VERSION = re.compile(r"\d+")


def find_interpreters(environ: Mapping[str, str]) -> Iterator[str]:
    """Paths of possible interpreters, the most wanted first, each real file once."""
    yield from _once(_everything(environ))


def path_interpreters(environ: Mapping[str, str]) -> Iterator[str]:
    """Paths that count before all others: those on PATH, in its order, each real file once."""
    preference = _preference(environ)
    if preference in _UV_FIRST:
        yield from _once(_of_uv(environ))
    else:
        yield from _once(_on_path(environ))


def pyenv_root(environ: Mapping[str, str]) -> str | None:
    """The folder in which pyenv keeps its versions; None if pyenv is not in use as far as can be seen."""
    root = environ.get("PYENV_ROOT") or _below_home(environ, ".pyenv")
    return root if root and os.path.isabs(root) and os.path.isdir(os.path.join(root, "versions")) else None


def pyenv_interpreter(environ: Mapping[str, str], version: str) -> str | None:
    """The python of a pyenv version or virtual environment of this name; None if there is none."""
    root = pyenv_root(environ)
    if root is None or not re.fullmatch(r"[A-Za-z0-9._+-]+", version) or version in (".", ".."):
        return None
    python = os.path.join(root, "versions", version, "bin", "python")
    return python if os.path.isfile(python) else None


def is_shim(environ: Mapping[str, str], path: str) -> bool:
    """Whether this is one of pyenv's shims."""
    root = pyenv_root(environ)
    return root is not None and os.path.dirname(os.path.abspath(path)) == os.path.join(root, "shims")


def shim_target(environ: Mapping[str, str], path: str) -> str | None:
    """The program that a shim of pyenv runs: of a globally chosen version, else of the newest that has it."""
    root = pyenv_root(environ)
    if root is None:
        return None
    versions = os.path.join(root, "versions")
    others = (os.path.join(versions, version, "bin") for version in _newest_first(versions))
    candidates = (os.path.join(folder, os.path.basename(path)) for folder in (*_chosen_folders(environ, root), *others))
    return next((candidate for candidate in candidates if _is_program(candidate)), None)


_UV_FIRST = frozenset({"managed", "only-managed"})


def _preference(environ: Mapping[str, str]) -> str:
    """``only-managed``, ``managed``, ``system``, ``only-system``, or empty if none of the variables is set."""
    if _is_true(environ.get("UV_MANAGED_PYTHON")):
        return "only-managed"
    if _is_true(environ.get("UV_NO_MANAGED_PYTHON")):
        return "only-system"
    return environ.get("UV_PYTHON_PREFERENCE", "")


def _is_true(text: str | None) -> bool:
    return (text or "").lower() in ("1", "true", "yes", "on", "y", "t")


def _everything(environ: Mapping[str, str]) -> Iterator[str]:
    preference = _preference(environ)
    if preference in _UV_FIRST:
        yield from _of_uv(environ)
    if preference != "only-managed":
        yield from _of_system(environ)
        if preference != "only-system":
            yield from _of_uv(environ)
        yield getattr(sys, "_base_executable", None) or sys.executable


def _of_system(environ: Mapping[str, str]) -> Iterator[str]:
    yield from _on_path(environ)
    if root := pyenv_root(environ):
        for version in _newest_first(os.path.join(root, "versions")):
            yield from _in_folder(os.path.join(root, "versions", version, "bin"))


def _of_uv(environ: Mapping[str, str]) -> Iterator[str]:
    if uv_folder := environ.get("UV_PYTHON_INSTALL_DIR") or _uv_data(environ):
        for version in _newest_first(uv_folder):
            yield from _in_folder(os.path.join(uv_folder, version, "bin"))


def _on_path(environ: Mapping[str, str]) -> Iterator[str]:
    root = pyenv_root(environ)
    for folder in environ.get("PATH", "").split(os.pathsep):
        if not os.path.isabs(folder):
            continue  # A relative entry would let the current folder decide what is run.
        if root is not None and os.path.normpath(folder) == os.path.join(root, "shims"):
            for chosen in _chosen_folders(environ, root):
                yield from _in_folder(chosen)
        else:
            yield from _in_folder(folder)


def _chosen_folders(environ: Mapping[str, str], root: str) -> Iterator[str]:
    """The ``bin`` folders of pyenv's global versions, in their order."""
    text = environ.get("PYENV_VERSION", "").replace(":", "\n") or _text(os.path.join(root, "version"))
    for version in text.split():
        if python := pyenv_interpreter(environ, version):
            yield os.path.dirname(python)


def _in_folder(folder: str) -> Iterator[str]:
    """The pythons of one folder: ``python3`` first, ``python`` next, then by version, the newest first."""
    try:
        names = [name for name in os.listdir(folder) if _NAME.fullmatch(name)]
    except OSError:
        return
    order = {"python3": 0, "python": 1}
    for name in sorted(names, key=lambda name: (order.get(name, 2), [-number for number in _numbers(name)])):
        path = os.path.join(folder, name)
        if _is_program(path):
            yield path


def _is_program(path: str) -> bool:
    """Whether this is an executable file and no script."""
    try:
        if not os.path.isfile(path) or not os.access(path, os.X_OK):
            return False
        with open(path, "rb") as stream:
            return stream.read(2) != b"#!"
    except OSError:
        return False


def _newest_first(folder: str) -> list[str]:
    """The names in this folder, by the numbers in them."""
    try:
        return sorted(os.listdir(folder), key=_numbers, reverse=True)
    except OSError:
        return []


def _numbers(name: str) -> list[int]:
    return [int(digits) for digits in _VERSION.findall(name)]


def _uv_data(environ: Mapping[str, str]) -> str | None:
    data = environ.get("XDG_DATA_HOME") or _below_home(environ, os.path.join(".local", "share"))
    return os.path.join(data, "uv", "python") if data else None


def _below_home(environ: Mapping[str, str], name: str) -> str | None:
    home = environ.get("HOME")
    return os.path.join(home, name) if home else None


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read(4096)
    except (OSError, ValueError):
        return ""


def _once(paths: Iterator[str]) -> Iterator[str]:
    seen: set[str] = set()
    for path in paths:
        real = os.path.realpath(path)
        if real not in seen:
            seen.add(real)
            yield path
