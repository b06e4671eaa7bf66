"""Which indexes a project uses: read from what pip, uv and Poetry already know. storectl has no setting of its own.

Layers, the nearest first:

    project      its uv.toml, else [tool.uv] of its pyproject.toml, else those of the nearest folder above
    uv           UV_* variables, then UV_CONFIG_FILE, else the user's and the system's uv.toml
    pip          PIP_* variables, then PIP_CONFIG_FILE, the virtual environment's, the user's and the global pip.conf
    poetry       logins and certificates of the sources that the project names: see ``storectl_daemon.indexes.poetry``

The options of a lock file come before all of these; ``storectl_daemon.indexes.look_up`` adds them. The first layer that
names a default index, or states that there is none (``no-index``), decides about the default index. Further indexes and
find-links places of all layers of one tool are merged as that tool does it (uv: all of them; pip: the nearest value
replaces the others). Those of both tools count: one index more can do no harm, because a digest decides in the end.

A project that ``[tool.uv.sources]`` assigns to an index is looked for in that index. An explicit index is asked for
such projects only.

``settings_of`` is a pure function of what was read; ``read_settings`` does the reading.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from packaging.utils import NormalizedName

from storectl_daemon.indexes.config_files import ConfigFiles, config_files
from storectl_daemon.indexes.config_layer import Authority, Layer, Source
from storectl_daemon.indexes.pip import pip_layer
from storectl_daemon.indexes.poetry import poetry_layer
from storectl_daemon.indexes.uv import uv_environment, uv_file, with_sources
from storectl_daemon.network.address import Address


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexSettings:
    """What to ask, in order.

    ``find_links`` are addresses or absolute paths. ``explicit`` are indexes that are asked only for the projects in
    ``assigned``. These projects come from the places listed there and from no other.

    ``trusted_hosts`` and ``ca_bundle`` are pip's ``trusted-host`` and ``cert``. ``client_cert`` is a file with a
    certificate and its key. ``proxy`` takes the place of the proxy variables. ``keyring`` is whether the keyring
    program may be asked. ``logins`` are addresses that are asked only if the lock file names them. ``authorities`` are
    the certificate authorities of single hosts.
    """

    indexes: tuple[Address, ...]
    find_links: tuple[Address, ...] = ()
    explicit: tuple[Address, ...] = ()
    assigned: Mapping[NormalizedName, tuple[Source, ...]] = field(default_factory=dict)
    trusted_hosts: frozenset[str] = frozenset()
    ca_bundle: str | None = None
    client_cert: str | None = None
    proxy: Address | None = None
    keyring: bool = False
    logins: tuple[Address, ...] = ()
    authorities: tuple[Authority, ...] = ()

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Every place that is named, for whichever projects it is asked."""
        return (*self.indexes, *self.explicit, *self.find_links, *self.logins)


def settings_of(environ: Mapping[str, str], files: ConfigFiles, project: Path | None = None) -> IndexSettings:
    """The settings that these variables and files make. Relative places are resolved from the folder ``project``.

    Raises IndexLookupError if a file cannot be parsed.
    """
    nearest = uv_file(files.project, environ) if files.project else Layer()
    layers = [
        with_sources(nearest, files.pyproject) if files.pyproject else nearest,
        uv_environment(environ, project),
        *(uv_file(file, environ) for file in files.uv),
        pip_layer(environ, files.pip, project),
        poetry_layer(environ, files.poetry, files.pyproject),
    ]
    return IndexSettings(
        indexes=_indexes(layers),
        find_links=_unique(place for layer in layers for place in layer.find_links),
        explicit=_unique(place for layer in layers for place in layer.explicit),
        assigned=_assigned(layers),
        trusted_hosts=frozenset(host for layer in layers for host in layer.trusted_hosts),
        ca_bundle=next((layer.ca_bundle for layer in layers if layer.ca_bundle), None),
        client_cert=next((layer.client_cert for layer in layers if layer.client_cert), None),
        proxy=next((layer.proxy for layer in layers if layer.proxy), None),
        keyring=next((layer.keyring for layer in layers if layer.keyring is not None), False),
        logins=_unique(address for layer in layers for address in layer.logins),
        authorities=tuple(authority for layer in layers for authority in layer.authorities),
    )


def default_index() -> Address:
    """The index that is asked if none is configured: the one that ``unearth`` adds by itself."""
    from unearth import PackageFinder  # noqa: PLC0415 - takes long to load, and an index may be configured

    return Address(PackageFinder().sources[0]["url"])


def read_settings(environ: Mapping[str, str], home: Path, project: Path | None) -> IndexSettings:
    """The settings for the project in this folder, as the files are now; if it is None, those of the user. Blocking.

    Raises IndexLookupError if a file cannot be read.
    """
    return settings_of(environ, config_files(environ, home, project), project)


def _indexes(layers: Iterable[Layer]) -> tuple[Address, ...]:
    layers = list(layers)
    decided = next((layer for layer in layers if layer.default or layer.no_index is not None), Layer())
    if decided.no_index:
        return ()
    default = decided.default or next((layer.default for layer in layers if layer.default), None)
    extra = (url for layer in layers for url in layer.extra)
    return _unique([*extra, default or default_index()])


def _assigned(layers: Iterable[Layer]) -> dict[NormalizedName, tuple[Source, ...]]:
    """The places that each project with a source comes from. A name that no index has is left out."""
    layers = list(layers)
    named = {name: place for layer in reversed(layers) for name, place in layer.named.items()}
    found = {
        project: tuple(named[name] for name in names if name in named)
        for layer in reversed(layers)
        for project, names in layer.sources.items()
    }
    return {project: places for project, places in found.items() if places}


def _unique(values: Iterable[Address]) -> tuple[Address, ...]:
    return tuple(dict.fromkeys(values))
