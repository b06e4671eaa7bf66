"""Addresses: their origin, their login, and the part of them that may be shown.

An origin is scheme, host and port (RFC 6454). Credentials belong to an origin.
"""

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import url2pathname

from storectl_daemon.errors import FetchError

WEB_SCHEMES = frozenset({"http", "https"})
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Scheme, host (lower case) and port (the default port of the scheme if the address has none)."""

    scheme: str
    host: str
    port: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A user name and a password, decoded. The password is never part of the repr."""

    user: str
    password: str = field(repr=False)


def origin_of(url: str) -> Origin:
    """The origin of an absolute address. Raises FetchError if the address cannot be read."""
    parts = _split(url)
    try:
        port = parts.port
    except ValueError as error:
        raise _unreadable(url) from error
    return Origin(scheme=parts.scheme, host=parts.hostname or "", port=port or _DEFAULT_PORTS.get(parts.scheme))


def scheme_of(url: str) -> str:
    """The scheme in lower case; empty if there is none."""
    return _split(url).scheme


def is_web(url: str) -> bool:
    """Whether the address is https or http, and names a host."""
    parts = _split(url)
    return parts.scheme in WEB_SCHEMES and bool(parts.hostname)


def without_login(url: str) -> str:
    """The address without user name, password and fragment."""
    parts = _split(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment="").geturl()


def login_of(url: str) -> Login | None:
    """The user name and password written into the address, decoded; None if it has none."""
    userinfo, found, _ = _split(url).netloc.rpartition("@")
    if not found:
        return None
    user, _, password = userinfo.partition(":")
    return Login(user=unquote(user), password=unquote(password))


def redacted(url: str) -> str:
    """The address as it may be shown: no login, no fragment, and no query, which may hold a signature or token."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "<unreadable address>"
    _, found, host = parts.netloc.rpartition("@")
    netloc = f"***@{host}" if found else host
    return parts._replace(netloc=netloc, query="***" if parts.query else "", fragment="").geturl()


def path_of_file_url(url: str) -> Path:
    """The local path of a ``file:`` address (RFC 8089). Raises FetchError if it names another host or is relative."""
    parts = _split(url)
    if parts.netloc not in {"", "localhost"} or not parts.path.startswith("/"):
        raise FetchError(
            f"{redacted(url)} is not a local file",
            hint="write file:///absolute/path, or serve the file over https",
            url=redacted(url),
        )
    return Path(url2pathname(parts.path))


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.hostname
    except ValueError as error:
        raise _unreadable(url) from error
    return parts


def _unreadable(url: str) -> FetchError:
    shown = redacted(url)
    return FetchError(f"{shown} is not a readable address", hint="correct it where it is written", url=shown)
