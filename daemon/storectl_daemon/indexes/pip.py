"""What pip's variables and configuration files say: one layer, in which the nearest value of an option counts."""

import configparser
from collections.abc import Iterable, Mapping
from pathlib import Path

from storectl_daemon.indexes.config_files import ConfigFile, broken_file
from storectl_daemon.indexes.config_layer import Layer, asks_keyring, index_address, places, words
from storectl_daemon.network.address import Address
from storectl_store.selection.settings_files import is_true

_SECTIONS = ("global", "download", "install")  # later ones win, as pip reads them for `pip install`
_OPTIONS = (
    "index-url",
    "extra-index-url",
    "no-index",
    "find-links",
    "trusted-host",
    "cert",
    "client-cert",
    "proxy",
    "keyring-provider",
)


def pip_layer(environ: Mapping[str, str], files: tuple[ConfigFile, ...], project: Path | None) -> Layer:
    """The layer of ``PIP_*`` variables and these files, nearest first. Relative places start at the project."""
    values = pip_values(environ, files, _OPTIONS)
    default = values.get("index-url")
    extra = (index_address(url, project) for url in words(values.get("extra-index-url")))
    return Layer(
        default=index_address(default, project) if default else None,
        extra=tuple(filter(None, extra)),
        find_links=places(words(values.get("find-links")), project),
        no_index=True if is_true(values.get("no-index")) else None,
        trusted_hosts=tuple(words(values.get("trusted-host"))),
        ca_bundle=values.get("cert") or None,
        client_cert=values.get("client-cert") or None,
        proxy=Address(proxy) if (proxy := values.get("proxy")) else None,
        keyring=asks_keyring(values.get("keyring-provider")),
    )


def pip_values(environ: Mapping[str, str], files: tuple[ConfigFile, ...], options: Iterable[str]) -> dict[str, str]:
    """The values that variables and files give these options. Of each option the nearest value counts."""
    values: dict[str, str] = {}
    for file in reversed(files):
        values.update(_values(file))
    for option in options:
        variable = environ.get(f"PIP_{option.upper().replace('-', '_')}")
        if variable:  # pip takes an empty variable for an absent one
            values[option] = variable
    return values


def _values(file: ConfigFile) -> dict[str, str]:
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(file.text, source=file.path.name)
    except configparser.Error as error:
        raise broken_file(file.path, error) from error
    present = (section for section in _SECTIONS if parser.has_section(section))
    return {key.replace("_", "-"): value for section in present for key, value in parser.items(section)}
