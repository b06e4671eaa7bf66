"""One layer of configuration: what a file, or the variables of one tool, say about indexes."""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit

from packaging.utils import NormalizedName


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One source: the address of an index or, with ``flat``, a find-links folder or page. It may hold a login."""

    address: str
    flat: bool = False


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

    ``explicit`` are asked only for the projects that name them, ``named`` is every place with a name, and ``sources``
    the names that a project is to come from. ``keyring`` is whether the keyring program is to be asked. ``logins`` are
    addresses with a login, which are asked only if the lock file names them; ``authorities`` are those of single hosts.
    """

    default: str | None = None
    extra: tuple[str, ...] = ()
    explicit: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    named: Mapping[str, Place] = field(default_factory=dict)
    sources: Mapping[NormalizedName, tuple[str, ...]] = field(default_factory=dict)
    no_index: bool | None = None
    trusted_hosts: tuple[str, ...] = ()
    ca_bundle: str | None = None
    client_cert: str | None = None
    proxy: str | None = None
    keyring: bool | None = None
    logins: tuple[str, ...] = field(default=(), repr=False)
    authorities: tuple[Authority, ...] = ()


def asks_keyring(provider: str | None) -> bool | None:
    """Whether pip's or uv's ``keyring-provider`` means the keyring program; None if it is not set.

    ``import`` and ``auto`` mean it, too: the daemon's own Python has no keyring of its own.
    """
    if not provider:
        return None
    return provider.strip().lower() in {"subprocess", "auto", "import"}


def places(texts: Iterable[str], base: Path | None) -> tuple[str, ...]:
    """Addresses as they are, paths made absolute. A relative path is left out if there is no ``base`` to resolve it."""
    return tuple(place for text in texts if text and (place := absolute_place(text, base)) is not None)


def absolute_place(text: str, base: Path | None) -> str | None:
    """One text as ``places`` reads it; None if it is a relative path without a ``base``."""
    if is_address(text):
        return text
    path = Path(text).expanduser()
    if not path.is_absolute() and base is None:
        return None
    return os.path.normpath(path if base is None else base / path)


def index_url(index: str, base: Path | None) -> str | None:
    """The address of an index. A local path, which uv and pip allow too, becomes a ``file:`` address."""
    place = absolute_place(index, base)
    return place if place is None or is_address(place) else Path(place).as_uri()


def is_address(text: str) -> bool:
    """Whether this is an address, not a path."""
    return "://" in text or text.startswith("file:")


def with_login(url: str, name: str | None, environ: Mapping[str, str]) -> str:
    """The address with the login of ``UV_INDEX_<NAME>_USERNAME`` and ``…_PASSWORD``, if these variables are set."""
    if name is None or "://" not in url:
        return url
    prefix = f"UV_INDEX_{re.sub(r'[^A-Z0-9]', '_', name.upper())}"
    user, password = environ.get(f"{prefix}_USERNAME"), environ.get(f"{prefix}_PASSWORD")
    if user is None and password is None:
        return url
    return written_into(url, user or "", password)


def written_into(url: str, user: str, password: str | None) -> str:
    """The address with this login in it, in place of any that it has."""
    parts = urlsplit(url)
    login = quote(user, safe="") + (f":{quote(password, safe='')}" if password is not None else "")
    return parts._replace(netloc=f"{login}@{parts.netloc.rpartition('@')[2]}").geturl()


def words(value: str | None) -> list[str]:
    """A list as variables and configuration files of pip have it: split at white space."""
    return (value or "").split()
