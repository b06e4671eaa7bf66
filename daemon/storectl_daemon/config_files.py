"""The configuration files of pip and uv: where they are documented to be, and which of them count."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from storectl_daemon.errors import IndexLookupError

_TRUE = frozenset({"1", "true", "yes", "on", "y", "t"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigFile:
    """A configuration file that exists: where it is and what it says."""

    path: Path
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigFiles:
    """The files that count, nearest first. ``project`` is a ``uv.toml`` or a ``pyproject.toml``."""

    project: ConfigFile | None = None
    uv: tuple[ConfigFile, ...] = ()
    pip: tuple[ConfigFile, ...] = ()


def config_files(environ: Mapping[str, str], home: Path, project: Path | None) -> ConfigFiles:
    """The configuration files that exist and count."""
    return ConfigFiles(
        project=next(iter(_existing(_project_places(environ, project))), None),
        uv=tuple(_existing(_uv_places(environ, home))),
        pip=tuple(_existing(_pip_places(environ, home))),
    )


def _project_places(environ: Mapping[str, str], project: Path | None) -> list[Path]:
    if project is None or is_true(environ.get("UV_NO_CONFIG")):
        return []
    return [project / "uv.toml", project / "pyproject.toml"]


def _uv_places(environ: Mapping[str, str], home: Path) -> list[Path]:
    if is_true(environ.get("UV_NO_CONFIG")):
        return []
    if named := environ.get("UV_CONFIG_FILE"):
        return [Path(named)]
    user = Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "uv" / "uv.toml"
    shared = [Path(folder) / "uv" / "uv.toml" for folder in _config_dirs(environ)]
    return [user, *shared, Path("/etc/uv/uv.toml")]


def _pip_places(environ: Mapping[str, str], home: Path) -> list[Path]:
    """Where pip looks (its documentation, "Configuration files"), nearest first; a virtual environment's is not ours."""
    named = environ.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return []
    mac_user, mac_global = home / "Library/Application Support/pip", Path("/Library/Application Support/pip")
    xdg_user = Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "pip"
    user = [mac_user / "pip.conf", xdg_user / "pip.conf", home / ".pip" / "pip.conf"]
    shared = [Path(folder) / "pip" / "pip.conf" for folder in _config_dirs(environ)]
    everyone = [Path("/etc/pip.conf"), *shared, mac_global / "pip.conf"]
    if named:  # pip then leaves out the user's files, if this one exists
        return [Path(named), *([] if os.path.exists(named) else user), *everyone]
    return [*user, *everyone]


def _config_dirs(environ: Mapping[str, str]) -> list[str]:
    return [folder for folder in (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(os.pathsep) if folder]


def _existing(places: Iterable[Path]) -> Iterable[ConfigFile]:
    for path in places:
        try:
            text = path.read_text("utf-8") if path.is_file() else None
        except (OSError, UnicodeDecodeError) as error:
            raise broken_file(path, error) from error
        # A pyproject.toml that does not speak of uv says nothing about indexes, and need not be parsed.
        if text is not None and (path.name != "pyproject.toml" or "uv" in text):
            yield ConfigFile(path=path, text=text)


def is_true(value: str | None) -> bool:
    """Whether a variable or option is switched on, as pip and uv read it."""
    return (value or "").strip().lower() in _TRUE


def broken_file(path: Path, error: Exception) -> IndexLookupError:
    """The error for a configuration file that cannot be read or parsed."""
    # Parsers quote the line they fail at, which may hold a login: only their kind is told.
    return IndexLookupError(
        f"{path} cannot be read as configuration: {type(error).__name__}", hint="correct the file", path=str(path)
    )
