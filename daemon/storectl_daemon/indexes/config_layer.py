"""One layer of configuration: what a file, or the variables of one tool, say about indexes."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from packaging.utils import NormalizedName

from storectl_daemon.network.address import Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """An index or, with ``find_links``, a page of links or the absolute path of a folder of files."""

    address: Address
    find_links: bool = False

    @property
    def is_local(self) -> bool:
        """Whether the source is a folder or file of this machine."""
        return self.address.is_file or "://" not in self.address.with_login()

    @property
    def path(self) -> Path:
        """The folder or file of a local source. Raises FetchError if its address names another host."""
        return self.address.path if self.address.is_file else Path(self.address.with_login())

    def page_of(self, name: NormalizedName) -> Address:
        """The page that lists the files of a project."""
        return self.address if self.find_links else Address(f"{self.address.with_login().rstrip('/')}/{name}/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """The certificate authorities for one host (or host and port): a file of certificates, or None for the usual ones.

    Unless ``checked``, certificates of the host are not checked at all. ``client_cert`` is the file with the
    certificate, and its key, that this host is shown.
    """

    host: str
    ca_bundle: str | None = None
    client_cert: str | None = None
    checked: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """What one layer of configuration says. A field is None or empty if the layer does not set it.

    ``explicit`` are asked only for the projects that name them, ``named`` is every source with a name, and ``sources``
    the names that a project is to come from. ``keyring`` is whether the keyring program is to be asked. ``logins`` are
    addresses with a login, which are asked only if the lock file names them; ``authorities`` are those of single hosts.
    """

    default: Address | None = None
    extra: tuple[Address, ...] = ()
    explicit: tuple[Address, ...] = ()
    find_links: tuple[Address, ...] = ()
    named: Mapping[str, Source] = field(default_factory=dict)
    sources: Mapping[NormalizedName, tuple[str, ...]] = field(default_factory=dict)
    no_index: bool | None = None
    trusted_hosts: tuple[str, ...] = ()
    ca_bundle: str | None = None
    client_cert: str | None = None
    proxy: Address | None = None
    keyring: bool | None = None
    logins: tuple[Address, ...] = ()
    authorities: tuple[Authority, ...] = ()


def asks_keyring(provider: str | None) -> bool | None:
    """Whether pip's or uv's ``keyring-provider`` means the keyring program; None if it is not set.

    ``import`` and ``auto`` mean it, too: the daemon's own Python has no keyring of its own.
    """
    if not provider:
        return None
    return provider.strip().lower() in {"subprocess", "auto", "import"}


def places(texts: Iterable[str], base: Path | None) -> tuple[Address, ...]:
    """Addresses as they are, paths made absolute. A relative path is left out if there is no ``base`` to resolve it."""
    return tuple(place for text in texts if text and (place := absolute_place(text, base)) is not None)


def absolute_place(text: str, base: Path | None) -> Address | None:
    """One text as ``places`` reads it; None if it is a relative path without a ``base``."""
    if is_address(text):
        return Address(text)
    path = Path(text).expanduser()
    if not path.is_absolute() and base is None:
        return None
    return Address(os.path.normpath(path if base is None else base / path))


def index_address(index: str, base: Path | None) -> Address | None:
    """The address of an index. A local path, which uv and pip allow too, becomes a ``file:`` address."""
    place = absolute_place(index, base)
    return place if place is None or is_address(index) else Address(Path(place.with_login()).as_uri())


def is_address(text: str) -> bool:
    """Whether this is an address, not a path."""
    return "://" in text or text.startswith("file:")


def words(value: str | None) -> list[str]:
    """A list as variables and configuration files of pip have it: split at white space."""
    return (value or "").split()
