"""What uv's variables and configuration files say: a layer for the variables, and one for each file.

Indexes are ``[[index]]`` of a ``uv.toml`` and ``[[tool.uv.index]]`` of a ``pyproject.toml``. One with ``default`` takes
the place of the default index. One with ``explicit`` is asked only for the projects whose ``[tool.uv.sources]`` names
it. One with ``format = "flat"`` is a find-links place.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from packaging.utils import NormalizedName, canonicalize_name

from storectl_daemon.indexes.config_files import ConfigFile
from storectl_daemon.indexes.config_layer import (
    Layer,
    Source,
    absolute_place,
    asks_keyring,
    index_address,
    places,
    words,
)
from storectl_daemon.network.address import Address
from storectl_store.selection.settings_files import is_true

_NAMED_INDEX = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)=(.+)", re.DOTALL)


def uv_environment(environ: Mapping[str, str], project: Path | None) -> Layer:
    """The layer of the ``UV_*`` variables. Relative places are resolved from the project."""
    default = environ.get("UV_DEFAULT_INDEX") or environ.get("UV_INDEX_URL")
    named: dict[str, Source] = {}
    extra = [*words(environ.get("UV_INDEX")), *words(environ.get("UV_EXTRA_INDEX_URL"))]
    addresses = [_of_variable(text, environ, project, named) for text in extra]
    return Layer(
        default=_of_variable(default, environ, project, named) if default else None,
        extra=tuple(filter(None, addresses)),
        find_links=places(re.split(r"[,\s]+", environ.get("UV_FIND_LINKS", "")), project),
        named=named,
        no_index=True if is_true(environ.get("UV_NO_INDEX")) else None,
        trusted_hosts=tuple(words(environ.get("UV_INSECURE_HOST"))),
        client_cert=environ.get("SSL_CLIENT_CERT") or None,
        keyring=asks_keyring(environ.get("UV_KEYRING_PROVIDER")),
    )


def uv_file(file: ConfigFile, environ: Mapping[str, str]) -> Layer:
    """The layer of one file. Relative places are resolved from its folder."""
    table, base = _table(file), file.path.parent
    entries = [entry for entry in _list(table.get("index")) if isinstance(entry, dict)]
    found = [(entry, place) for entry in entries if (place := _place(entry, environ, base)) is not None]
    general = [(entry, place) for entry, place in found if entry.get("explicit") is not True]
    single = table.get("index-url")
    defaults = [place.address for entry, place in general if entry.get("default") is True and not place.find_links]
    if not defaults and isinstance(single, str):
        defaults = [url] if (url := index_address(single, base)) else []
    extra = [place.address for entry, place in general if entry.get("default") is not True and not place.find_links]
    extra += filter(None, (index_address(url, base) for url in _texts(table.get("extra-index-url"))))
    flat = [place.address for _, place in general if place.find_links]
    provider = table.get("keyring-provider")
    return Layer(
        default=defaults[0] if defaults else None,
        extra=tuple(extra),
        explicit=tuple(place.address for entry, place in found if entry.get("explicit") is True),
        find_links=(*flat, *places(_texts(table.get("find-links")), base)),
        named={entry["name"]: place for entry, place in reversed(found) if isinstance(entry.get("name"), str)},
        no_index=table["no-index"] if isinstance(table.get("no-index"), bool) else None,
        trusted_hosts=tuple(_texts(table.get("allow-insecure-host"))),
        keyring=asks_keyring(provider) if isinstance(provider, str) else None,
    )


def with_sources(layer: Layer, pyproject: ConfigFile) -> Layer:
    """The layer with ``[tool.uv.sources]``. Only a ``pyproject.toml`` may have it, even if there is a ``uv.toml``."""
    sources = _table(pyproject).get("sources")
    found: dict[NormalizedName, tuple[str, ...]] = {}
    for project, source in (sources if isinstance(sources, dict) else {}).items():
        entries = [entry for entry in (source if isinstance(source, list) else [source]) if isinstance(entry, dict)]
        if names := tuple(entry["index"] for entry in entries if isinstance(entry.get("index"), str)):
            found[canonicalize_name(project)] = names
    return replace(layer, sources=found)


def _table(file: ConfigFile) -> dict[str, Any]:
    return file.table("tool", "uv") if file.path.name == "pyproject.toml" else file.table()


def _place(entry: Mapping[str, Any], environ: Mapping[str, str], base: Path) -> Source | None:
    url, name, flat = entry.get("url"), entry.get("name"), entry.get("format") == "flat"
    if not isinstance(url, str):
        return None
    address = absolute_place(url, base) if flat else index_address(url, base)
    if address is None:
        return None
    return Source(address=_with_login(address, name if isinstance(name, str) else None, environ), find_links=flat)


def _of_variable(
    text: str, environ: Mapping[str, str], project: Path | None, named: dict[str, Source]
) -> Address | None:
    """The address in ``name=address`` or ``address``. A named one is added to ``named``, with its login."""
    match = _NAMED_INDEX.fullmatch(text)
    address = index_address(match[2] if match else text, project)
    if match is None or address is None:
        return address
    address = _with_login(address, match[1], environ)
    named[match[1]] = Source(address=address)
    return address


def _with_login(address: Address, name: str | None, environ: Mapping[str, str]) -> Address:
    """The address with the login of ``UV_INDEX_<NAME>_USERNAME`` and ``…_PASSWORD``, if these variables are set."""
    if name is None or "://" not in address.with_login():
        return address
    prefix = f"UV_INDEX_{re.sub(r'[^A-Z0-9]', '_', name.upper())}"
    user, password = environ.get(f"{prefix}_USERNAME"), environ.get(f"{prefix}_PASSWORD")
    return address if user is None and password is None else address.logged_in(user or "", password)


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _texts(value: object) -> list[str]:
    return [text for text in _list(value) if isinstance(text, str)]
