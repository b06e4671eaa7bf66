"""What Poetry knows of a project's sources: logins and certificates, by the name of the source.

    variables      POETRY_HTTP_BASIC_<NAME>_USERNAME and …_PASSWORD, POETRY_CERTIFICATES_<NAME>_CERT and …_CLIENT_CERT
    poetry.toml    of the project
    auth.toml      below $POETRY_CONFIG_DIR, else in Poetry's own folder: what `poetry config http-basic.<name>` writes
    config.toml    beside it: what `poetry config certificates.<name>.cert` writes

The nearest that has a value for a source counts, as in ``poetry.config.config.Config.get`` (Poetry 2.5). In <NAME> a
hyphen is an underscore; in earlier versions a dot is, too. The lock file says which source is asked for which project.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from storectl_daemon.indexes.config_files import ConfigFile
from storectl_daemon.indexes.config_layer import Authority, Layer, is_address
from storectl_daemon.network.address import Address


def poetry_layer(environ: Mapping[str, str], files: tuple[ConfigFile, ...], pyproject: ConfigFile | None) -> Layer:
    """The layer of Poetry's variables and of these files, nearest first, for the sources that the project names."""
    if pyproject is None or not (sources := dict(_sources(pyproject))):
        return Layer()
    tables = [file.table() for file in files]
    base = pyproject.path.parent
    found = {name: _Settings(name, environ, tables) for name in sources}
    return Layer(
        logins=tuple(filter(None, (found[name].login(url) for name, url in sources.items()))),
        authorities=tuple(filter(None, (found[name].authority(url, base) for name, url in sources.items()))),
    )


class _Settings:
    """What is configured for one source."""

    def __init__(self, name: str, environ: Mapping[str, str], tables: Iterable[Mapping[str, Any]]) -> None:
        self._name = name
        self._environ = environ
        self._tables = tables

    def login(self, url: str) -> Address | None:
        """The address with its login; None if no login is configured."""
        user, password = self._text("http-basic", "username"), self._text("http-basic", "password")
        return Address(url).logged_in(user or "", password or "") if user or password else None

    def authority(self, url: str, base: Path) -> Authority | None:
        """The certificate authority of the source's host; None if it is the usual one."""
        verify, client_cert = self._value("certificates", "verify"), self._text("certificates", "client-cert")
        cert = self._value("certificates", "cert") if verify is None else verify
        if cert is not False and not isinstance(cert, str) and not client_cert:
            return None
        return Authority(
            host=urlsplit(url).netloc.rpartition("@")[2],
            ca_bundle=os.path.join(base, cert) if isinstance(cert, str) else None,
            client_cert=os.path.join(base, client_cert) if client_cert else None,
            checked=cert is not False,
        )

    def _text(self, section: str, key: str) -> str | None:
        value = self._value(section, key)
        return value if isinstance(value, str) else None

    def _value(self, section: str, key: str) -> object:
        variable = f"poetry_{section}_{self._name}_{key}".upper().replace("-", "_")
        for name in (variable, variable.replace(".", "_")):
            if name in self._environ:
                return self._environ[name]
        said = (table[section][self._name].get(key) for table in self._tables if _speaks_of(table, section, self._name))
        return next((value for value in said if value is not None), None)


def _speaks_of(table: Mapping[str, Any], section: str, name: str) -> bool:
    return isinstance(table.get(section), dict) and isinstance(table[section].get(name), dict)


def _sources(pyproject: ConfigFile) -> Iterator[tuple[str, str]]:
    """Name and address of each ``[[tool.poetry.source]]``."""
    sources = pyproject.table("tool", "poetry").get("source")
    for source in sources if isinstance(sources, list) else []:
        name, url = (source.get("name"), source.get("url")) if isinstance(source, dict) else (None, None)
        if isinstance(name, str) and isinstance(url, str) and is_address(url):
            yield name, url
