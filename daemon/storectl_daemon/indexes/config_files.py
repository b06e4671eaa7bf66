"""The configuration files of pip, uv and Poetry: the places that their documentation gives, and which files count."""

import os
import re
import sys
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storectl_daemon.errors import IndexLookupError
from storectl_store.selection.settings_files import is_true
from storectl_store.system_errors import raise_if_limited

_SPEAKS_OF_UV = re.compile(r"\btool\s*\.\s*[\"']?uv\b|^\s*\[\s*tool\s*\]", re.MULTILINE)
_SPEAKS_OF_POETRY = re.compile(r"\btool\s*\.\s*[\"']?poetry\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigFile:
    """A configuration file that exists: its path and its content."""

    path: Path
    text: str

    def table(self, *keys: str) -> dict[str, Any]:
        """The TOML table below these keys; empty if there is none. Raises IndexLookupError if this is not TOML."""
        try:
            table: Any = tomllib.loads(self.text)
        except tomllib.TOMLDecodeError as error:
            raise broken_file(self.path, error) from error
        for key in keys:
            table = table.get(key) if isinstance(table, dict) else None
        return table if isinstance(table, dict) else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigFiles:
    """The files that count, nearest first.

    ``project`` is the ``uv.toml`` of the project, or a ``pyproject.toml`` that configures uv: in the project's folder,
    or in the nearest folder above that has one. ``pyproject`` is always the project's own.
    """

    project: ConfigFile | None = None
    pyproject: ConfigFile | None = None
    uv: tuple[ConfigFile, ...] = ()
    pip: tuple[ConfigFile, ...] = ()
    poetry: tuple[ConfigFile, ...] = ()


def config_files(environ: Mapping[str, str], home: Path, project: Path | None) -> ConfigFiles:
    """The configuration files that exist and count."""
    return ConfigFiles(
        project=next(iter(_existing(_project_places(environ, project))), None),
        pyproject=next(iter(_existing([project / "pyproject.toml"] if project else [], poetry=True)), None),
        uv=tuple(_existing(_uv_places(environ, home))),
        pip=tuple(_existing(_pip_places(environ, home, project))),
        poetry=tuple(_existing(_poetry_places(environ, home, project))),
    )


def _project_places(environ: Mapping[str, str], project: Path | None) -> list[Path]:
    if project is None or is_true(environ.get("UV_NO_CONFIG")):
        return []
    folders = [project, *(folder for folder in project.parents if _is_trusted(folder))]
    return [folder / name for folder in folders for name in ("uv.toml", "pyproject.toml")]


def _uv_places(environ: Mapping[str, str], home: Path) -> list[Path]:
    if is_true(environ.get("UV_NO_CONFIG")):
        return []
    if named := environ.get("UV_CONFIG_FILE"):
        return [Path(named)]
    user = Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "uv" / "uv.toml"
    shared = [Path(folder) / "uv" / "uv.toml" for folder in _config_dirs(environ)]
    return [user, *shared, Path("/etc/uv/uv.toml")]


def _pip_places(environ: Mapping[str, str], home: Path, project: Path | None) -> list[Path]:
    """The paths that pip reads (its documentation, "Configuration files"), nearest first.

    The virtual environment is the project's ``.venv``. The one that the daemon was started in does not count.
    """
    named = environ.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return []
    mac_user, mac_global = home / "Library/Application Support/pip", Path("/Library/Application Support/pip")
    xdg_user = Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "pip"
    user = [mac_user / "pip.conf", xdg_user / "pip.conf", home / ".pip" / "pip.conf"]
    shared = [Path(folder) / "pip" / "pip.conf" for folder in _config_dirs(environ)]
    virtual = [project / ".venv" / "pip.conf"] if project is not None else []
    everyone = [Path("/etc/pip.conf"), *shared, mac_global / "pip.conf"]
    if named:  # if this file exists, pip leaves out the user's files
        return [Path(named), *virtual, *([] if os.path.exists(named) else user), *everyone]
    return [*virtual, *user, *everyone]


def _poetry_places(environ: Mapping[str, str], home: Path, project: Path | None) -> list[Path]:
    if project is None:
        return []
    if named := environ.get("POETRY_CONFIG_DIR"):
        folders = [Path(named)]
    elif sys.platform == "darwin":
        folders = [home / "Library/Application Support/pypoetry", home / "Library/Preferences/pypoetry"]
    else:
        folders = [Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "pypoetry"]
    own = [folder / name for folder in folders for name in ("auth.toml", "config.toml")]
    return [project / "poetry.toml", *own]


def _config_dirs(environ: Mapping[str, str]) -> list[str]:
    return [folder for folder in (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(os.pathsep) if folder]


def _existing(places: Iterable[Path], *, poetry: bool = False) -> Iterable[ConfigFile]:
    """The files that exist. A ``pyproject.toml`` counts if it configures uv, or with ``poetry`` Poetry."""
    for path in places:
        try:
            text = path.read_text("utf-8") if path.is_file() else None
        except (OSError, UnicodeDecodeError) as error:
            if isinstance(error, OSError):
                raise_if_limited(error, f"read {path}")
            raise broken_file(path, error) from error
        if text is not None and (path.name != "pyproject.toml" or _concerns_indexes(text, poetry=poetry)):
            yield ConfigFile(path=path, text=text)


def _concerns_indexes(text: str, *, poetry: bool) -> bool:
    """Whether a ``pyproject.toml`` may configure indexes. Any other need not be parsed."""
    return bool(_SPEAKS_OF_UV.search(text) or (poetry and _SPEAKS_OF_POETRY.search(text)))


def _is_trusted(folder: Path) -> bool:
    """Whether only this user or root can have put a file here.

    A folder above a project may belong to all users, like /tmp.
    """
    try:
        status = folder.stat()
    except OSError:
        return False
    return status.st_uid in (os.geteuid(), 0) and not status.st_mode & 0o022


def broken_file(path: Path, error: Exception) -> IndexLookupError:
    """The error for a configuration file that cannot be read or parsed."""
    # A parser quotes the line at which it fails, and that may hold a login. Therefore only the kind of error is told.
    return IndexLookupError(
        f"{path} cannot be read as configuration: {type(error).__name__}", hint="correct the file", path=str(path)
    )
