"""Which indexes a project uses: read from what pip and uv already know, nothing of our own.

Layers, the nearest first:

    project      its uv.toml, else [tool.uv] of its pyproject.toml
    uv           UV_* variables, then UV_CONFIG_FILE, else the user's and the system's uv.toml
    pip          PIP_* variables, then PIP_CONFIG_FILE, the user's and the global pip.conf

The options of a lock file itself come before all of these; ``storectl_daemon.index`` adds them. The first layer that
names a default index, or says that there is none (``no-index``), decides that. Further indexes and find-links places
of all layers of one tool are merged as that tool does (uv: all of them; pip: the nearest value replaces the others), and
those of both tools count: a digest decides in the end, so one index more can make nothing wrong.

``settings_of`` is a pure function of what was read; ``SettingsReader`` does the reading.
"""

import configparser
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from unearth import PackageFinder

from storectl_daemon.config_files import ConfigFile, ConfigFiles, broken_file, config_files, is_true

_PIP_SECTIONS = ("global", "download", "install")  # later ones win, as pip reads them for `pip install`
_NAMED_INDEX = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)=(.+)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexSettings:
    """What to ask, in order. ``find_links`` are addresses or absolute paths.

    Addresses may hold logins: show them through ``storectl_daemon.origins.redacted`` only. ``trusted_hosts`` and
    ``ca_bundle`` are pip's ``trusted-host`` and ``cert``.
    """

    indexes: tuple[str, ...]
    find_links: tuple[str, ...] = ()
    trusted_hosts: frozenset[str] = frozenset()
    ca_bundle: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layer:
    """What one place says; None where it says nothing."""

    default: str | None = None
    extra: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    no_index: bool | None = None
    trusted_hosts: tuple[str, ...] = ()
    ca_bundle: str | None = None


def settings_of(environ: Mapping[str, str], files: ConfigFiles, project: Path | None = None) -> IndexSettings:
    """The settings that these variables and files make. ``project`` is the folder that relative places start from.

    IndexLookupError where a file cannot be parsed.
    """
    layers = [
        *([_uv_file(files.project, environ)] if files.project else []),
        _uv_environment(environ, project),
        *(_uv_file(file, environ) for file in files.uv),
        _pip_layer(environ, files.pip, project),
    ]
    decided = next((layer for layer in layers if layer.default or layer.no_index is not None), _Layer())
    indexes: Iterable[str] = ()
    if not decided.no_index:
        default = decided.default or next((layer.default for layer in layers if layer.default), None)
        extra = (url for layer in layers for url in layer.extra)
        indexes = [*extra, default or default_index()]
    return IndexSettings(
        indexes=_unique(map(_as_index_url, indexes)),
        find_links=_unique(place for layer in layers for place in layer.find_links),
        trusted_hosts=frozenset(host for layer in layers for host in layer.trusted_hosts),
        ca_bundle=next((layer.ca_bundle for layer in layers if layer.ca_bundle), None),
    )


def default_index() -> str:
    """The index that is asked where none is configured: the one that ``unearth`` adds by itself."""
    return PackageFinder().sources[0]["url"]


class SettingsReader:
    """Reads settings for a project from variables and the documented places. Blocking; safe in threads.

    Files are parsed again only when one of them has changed.
    """

    def __init__(self, environ: Mapping[str, str], home: Path) -> None:
        self._environ = environ
        self._home = home
        self._known: dict[Path | None, tuple[ConfigFiles, IndexSettings]] = {}

    def read(self, project: Path | None) -> IndexSettings:
        """The settings for the project in this folder, or those of the user where it is None."""
        files = config_files(self._environ, self._home, project)
        known = self._known.get(project)
        if known is not None and known[0] == files:
            return known[1]
        settings = settings_of(self._environ, files, project)
        self._known[project] = (files, settings)
        return settings


def _uv_environment(environ: Mapping[str, str], project: Path | None) -> _Layer:
    default = environ.get("UV_DEFAULT_INDEX") or environ.get("UV_INDEX_URL")
    extra = [*_words(environ.get("UV_INDEX")), *_words(environ.get("UV_EXTRA_INDEX_URL"))]
    places = re.split(r"[,\s]+", environ.get("UV_FIND_LINKS", ""))
    return _Layer(
        default=_named(default, environ) if default else None,
        extra=tuple(_named(index, environ) for index in extra),
        find_links=_places(places, project),
        no_index=True if is_true(environ.get("UV_NO_INDEX")) else None,
    )


def _uv_file(file: ConfigFile, environ: Mapping[str, str]) -> _Layer:
    table = _uv_table(file)
    named = [entry for entry in _list(table.get("index")) if isinstance(entry, dict)]
    defaults = [_with_login(entry, environ) for entry in named if entry.get("default") is True]
    # An explicit index is one for some projects only. A digest decides, so it may be asked for all, after the others.
    others = sorted((e for e in named if e.get("default") is not True), key=lambda e: e.get("explicit") is True)
    single = table.get("index-url")
    return _Layer(
        default=next(filter(None, defaults), None) or (single if isinstance(single, str) else None),
        extra=tuple(
            filter(None, [*(_with_login(entry, environ) for entry in others), *_texts(table.get("extra-index-url"))])
        ),
        find_links=_places(_texts(table.get("find-links")), file.path.parent),
        no_index=table["no-index"] if isinstance(table.get("no-index"), bool) else None,
    )


def _uv_table(file: ConfigFile) -> dict[str, Any]:
    try:
        table: Any = tomllib.loads(file.text)
    except tomllib.TOMLDecodeError as error:
        raise broken_file(file.path, error) from error
    for key in ("tool", "uv") if file.path.name == "pyproject.toml" else ():
        table = table.get(key, {}) if isinstance(table, dict) else {}
    return table if isinstance(table, dict) else {}


def _pip_layer(environ: Mapping[str, str], files: tuple[ConfigFile, ...], project: Path | None) -> _Layer:
    """All of pip is one layer: with pip the nearest value of an option replaces the others."""
    values: dict[str, str] = {}
    for file in reversed(files):
        values.update(_pip_values(file))
    for option in ("index-url", "extra-index-url", "no-index", "find-links", "trusted-host", "cert"):
        variable = environ.get(f"PIP_{option.upper().replace('-', '_')}")
        if variable:  # pip takes an empty variable for an absent one
            values[option] = variable
    no_index = values.get("no-index")
    return _Layer(
        default=values.get("index-url") or None,
        extra=tuple(_words(values.get("extra-index-url"))),
        find_links=_places(_words(values.get("find-links")), project),
        no_index=True if is_true(no_index) else None,
        trusted_hosts=tuple(_words(values.get("trusted-host"))),
        ca_bundle=values.get("cert") or None,
    )


def _pip_values(file: ConfigFile) -> dict[str, str]:
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(file.text, source=file.path.name)
    except configparser.Error as error:
        raise broken_file(file.path, error) from error
    present = (section for section in _PIP_SECTIONS if parser.has_section(section))
    return {key.replace("_", "-"): value for section in present for key, value in parser.items(section)}


def _named(text: str, environ: Mapping[str, str]) -> str:
    """The address in ``name=address`` or ``address``; a named one gets its login from the environment, as with uv."""
    match = _NAMED_INDEX.fullmatch(text)
    return (_with_login({"name": match[1], "url": match[2]}, environ) or text) if match else text


def _with_login(entry: Mapping[str, Any], environ: Mapping[str, str]) -> str | None:
    """The entry's address, with the login of ``UV_INDEX_<NAME>_USERNAME`` and ``…_PASSWORD`` where they are set."""
    url, name = entry.get("url"), entry.get("name")
    if not isinstance(url, str):
        return None
    if not isinstance(name, str):
        return url
    prefix = f"UV_INDEX_{re.sub(r'[^A-Z0-9]', '_', name.upper())}"
    user, password = environ.get(f"{prefix}_USERNAME"), environ.get(f"{prefix}_PASSWORD")
    if (user is None and password is None) or "://" not in url:
        return url
    parts = urlsplit(url)
    login = f"{quote(user or '', safe='')}:{quote(password or '', safe='')}"
    return parts._replace(netloc=f"{login}@{parts.netloc.rpartition('@')[2]}").geturl()


def _places(texts: Iterable[str], base: Path | None) -> tuple[str, ...]:
    """Addresses as they are, paths absolute; a relative path without a folder to start from is no place."""
    found = []
    for text in filter(None, texts):
        path = Path(text).expanduser() if "://" not in text and not text.startswith("file:") else None
        if path is None:
            found.append(text)
        elif path.is_absolute() or base is not None:
            found.append(os.path.normpath(path if base is None else base / path))
    return tuple(found)


def _as_index_url(index: str) -> str:
    """A local path as a ``file:`` address: uv and pip allow both."""
    return index if "://" in index or index.startswith("file:") else Path(os.path.abspath(index)).as_uri()


def _words(value: str | None) -> list[str]:
    return (value or "").split()


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _texts(value: object) -> list[str]:
    return [text for text in _list(value) if isinstance(text, str)]


def _unique(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))
