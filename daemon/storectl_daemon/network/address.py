"""Addresses that keep their login to themselves, and the origins that logins belong to.

An address may carry a login before its host, and a signature or token in its query. ``str``, ``repr`` and every message
show neither; ``with_login`` alone gives the whole text.
"""

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit
from urllib.request import url2pathname

from storectl_daemon.errors import FetchError

_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Scheme, host (lower case) and port (the scheme's own if the address has none), as in RFC 6454."""

    scheme: str
    host: str
    port: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A user name and a password, decoded. The password is never part of the repr."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True, repr=False)
class Address:
    """The address of a file, a page, an index or a proxy, or the absolute path of a find-links folder.

    Every property raises FetchError if the address cannot be read.
    """

    _text: str

    def __str__(self) -> str:
        """The address as it may be shown: without login and fragment; asterisks stand for login and query."""
        try:
            parts = urlsplit(self._text)
        except ValueError:
            return "<unreadable address>"
        _, found, host = parts.netloc.rpartition("@")
        netloc = f"***@{host}" if found else host
        return parts._replace(netloc=netloc, query="***" if parts.query else "", fragment="").geturl()

    def __repr__(self) -> str:
        return f"Address({str(self)!r})"

    def with_login(self) -> str:
        """The whole text, as it was written. Never show it."""
        return self._text

    def without_login(self) -> str:
        """The text without login and fragment. The query stays: do not show it either."""
        parts = self._parts
        return parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment="").geturl()

    def logged_in(self, user: str, password: str | None) -> "Address":
        """This address with this login, in place of any that it has."""
        login = quote(user, safe="") + (f":{quote(password, safe='')}" if password is not None else "")
        parts = self._parts
        return Address(parts._replace(netloc=f"{login}@{parts.netloc.rpartition('@')[2]}").geturl())

    def joined(self, reference: str) -> "Address":
        """The address that a link on this page leads to, without login and fragment."""
        return Address(Address(urljoin(self._text, reference)).without_login())

    @property
    def login(self) -> Login | None:
        """The user name and password written into the address, decoded; None if it has none."""
        userinfo, found, _ = self._parts.netloc.rpartition("@")
        user, _, password = userinfo.partition(":")
        return Login(user=unquote(user), password=unquote(password)) if found else None

    @property
    def origin(self) -> Origin:
        """The origin of an absolute address."""
        parts = self._parts
        try:
            port = parts.port
        except ValueError as error:
            raise self._unreadable() from error
        return Origin(scheme=parts.scheme, host=parts.hostname or "", port=port or _DEFAULT_PORTS.get(parts.scheme))

    @property
    def scheme(self) -> str:
        """The scheme in lower case; empty if there is none."""
        return self._parts.scheme

    @property
    def is_web(self) -> bool:
        """Whether the address is https or http, and names a host."""
        parts = self._parts
        return parts.scheme in _DEFAULT_PORTS and bool(parts.hostname)

    @property
    def is_file(self) -> bool:
        """Whether this is a ``file:`` address."""
        return self.scheme == "file"

    @property
    def path(self) -> Path:
        """The local path of a ``file:`` address (RFC 8089); FetchError if it names another host or is relative."""
        parts = self._parts
        if parts.netloc not in {"", "localhost"} or not parts.path.startswith("/"):
            raise FetchError(
                f"{self} is not a local file",
                hint="write file:///absolute/path, or serve the file over https",
                url=str(self),
            )
        return Path(url2pathname(parts.path))

    @property
    def _parts(self) -> SplitResult:
        try:
            parts = urlsplit(self._text)
            _ = parts.hostname
        except ValueError as error:
            raise self._unreadable() from error
        return parts

    def _unreadable(self) -> FetchError:
        return FetchError(f"{self} is not a readable address", hint="correct it where it is written", url=str(self))
