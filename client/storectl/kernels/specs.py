"""Kernelspecs: the files that tell Jupyter of storectl's kernel, which finds the project of each notebook.

<data folder>/kernels/<name>/kernel.json    argv, display_name, language, and metadata.storectl, which marks our own

The data folders are Jupyter's. A user's is $JUPYTER_DATA_DIR, else $XDG_DATA_HOME/jupyter, else ~/.local/share/jupyter
(macOS: ~/Library/Jupyter); below a prefix it is <prefix>/share/jupyter.
"""

import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from storectl.errors import ClientError, UsageError

_NAME = re.compile(r"[A-Za-z0-9._-]+")
_SPEC = "kernel.json"
_SYSTEM = ("/usr/local/share/jupyter", "/usr/share/jupyter")


class KernelSpecError(ClientError):
    """A kernelspec is another program's, is not there, or cannot be written; ``facts['folder']``."""

    default_code = "E_KERNEL"


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelSpec:
    """A kernelspec that storectl wrote."""

    name: str
    display_name: str
    folder: Path


def user_data_folder(environ: Mapping[str, str]) -> Path:
    """Jupyter's data folder of this user."""
    if environ.get("JUPYTER_DATA_DIR"):
        return Path(environ["JUPYTER_DATA_DIR"])
    if sys.platform == "darwin":
        return Path(_home(environ), "Library", "Jupyter")
    return Path(environ.get("XDG_DATA_HOME") or Path(_home(environ), ".local", "share"), "jupyter")


def _home(environ: Mapping[str, str]) -> str:
    return environ.get("HOME") or os.path.expanduser("~")


def prefix_data_folder(prefix: str) -> Path:
    """Jupyter's data folder of an environment."""
    return Path(os.path.abspath(prefix), "share", "jupyter")


def known_data_folders(environ: Mapping[str, str]) -> list[Path]:
    """Every data folder that may hold a kernelspec of ours.

    The user's, those of JUPYTER_PATH, that of our prefix, the system's.
    """
    more = [Path(path) for path in environ.get("JUPYTER_PATH", "").split(os.pathsep) if path]
    folders = [user_data_folder(environ), *more, prefix_data_folder(sys.prefix), *map(Path, _SYSTEM)]
    return list(dict.fromkeys(folders))


def install(data_folder: Path, name: str, display_name: str, command: Sequence[str]) -> KernelSpec:
    """Write the kernelspec, over one of ours; KernelSpecError if another program's is there."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"--name {name!r} is no name for a kernel", hint="letters, digits, '.', '_' and '-'")
    folder = data_folder / "kernels" / name.lower()
    if folder.exists() and _read(folder) is None:
        raise KernelSpecError(f"{folder} is another program's kernel", hint="take another --name", folder=str(folder))
    content = {
        "argv": [*command, "kernel", "start", "-f", "{connection_file}"],
        "display_name": display_name,
        "language": "python",
        "metadata": {"debugger": True, "storectl": 1},
    }
    try:
        _write(folder, json.dumps(content, indent=1) + "\n")
    except OSError as error:
        raise KernelSpecError(
            f"cannot write {folder}: {error.strerror}", hint="--user is always yours", folder=str(folder)
        ) from None
    return KernelSpec(name=name.lower(), display_name=display_name, folder=folder)


def installed(data_folders: Sequence[Path]) -> Iterator[KernelSpec]:
    """The kernelspecs of ours in these data folders."""
    for data_folder in data_folders:
        root = data_folder / "kernels"
        for folder in _folders_in(root):
            display_name = _read(folder)
            if display_name is not None:
                yield KernelSpec(name=folder.name, display_name=display_name, folder=folder)


def _folders_in(root: Path) -> list[Path]:
    """The paths in this folder; none if it is not there or cannot be read, which Jupyter ignores too."""
    try:
        return sorted(root.iterdir())
    except OSError:
        return []


def remove(data_folders: Sequence[Path], name: str) -> list[KernelSpec]:
    """Remove our kernelspecs of this name; KernelSpecError if there is none."""
    found = [spec for spec in installed(data_folders) if spec.name == name.lower()]
    if not found:
        raise KernelSpecError(f"there is no kernel {name} of storectl", hint="storectl kernel list prints them")
    for spec in found:
        shutil.rmtree(spec.folder)
    return found


def _read(folder: Path) -> str | None:
    """The display name of a kernelspec of ours; None if it is another program's, or cannot be read."""
    try:
        content = json.loads((folder / _SPEC).read_text(encoding="utf-8"))
        return str(content["display_name"]) if "storectl" in content["metadata"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(folder: Path, text: str) -> None:
    """Put the file in place by one rename: Jupyter may read it at any time."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=folder, delete=False) as file:
        file.write(text)
    os.chmod(file.name, 0o644)
    os.replace(file.name, folder / _SPEC)
