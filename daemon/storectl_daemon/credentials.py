"""Credentials: which login belongs to which origin.

They come from two places: a login written into the address of an index (it holds for every file on the same origin,
as with pip), and a netrc file. A source of another kind (a keyring, say) is one more ``LoginSource``.
"""

import base64
import logging
import netrc
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from storectl_daemon.origins import Login, Origin, is_web, login_of, origin_of

_log = logging.getLogger(__name__)


class LoginSource(Protocol):
    """Anything that may know the login of an origin."""

    def login(self, origin: Origin) -> Login | None:
        """The login of this origin, or None."""
        ...


class NetrcLogins:
    """The logins of one netrc file, by host.

    Its ``default`` entry is left out: it would be sent to every host that a lock file names.
    """

    def __init__(self, path: Path) -> None:
        self._logins = _read_netrc(path)

    def login(self, origin: Origin) -> Login | None:
        """The login of the origin's host."""
        return self._logins.get(origin.host)


class Credentials:
    """What to put into an ``Authorization`` header: learnt addresses first, then the sources in their order."""

    def __init__(self, *sources: LoginSource) -> None:
        self._sources = sources
        self._learnt: dict[Origin, Login] = {}

    def learn(self, url: str) -> None:
        """Remember the login written into this address, if there is one, for its origin."""
        login = login_of(url) if is_web(url) else None
        if login is not None:
            self._learnt[origin_of(url)] = login

    def authorization(self, url: str) -> str | None:
        """The value of the header for this address; a login written into the address itself goes first."""
        login = login_of(url) or self._known(origin_of(url))
        if login is None:
            return None
        pair = f"{login.user}:{login.password}".encode()
        return f"Basic {base64.b64encode(pair).decode('ascii')}"

    def _known(self, origin: Origin) -> Login | None:
        if origin in self._learnt:
            return self._learnt[origin]
        return next((login for source in self._sources if (login := source.login(origin))), None)


def credentials_of(environ: Mapping[str, str], home: Path) -> Credentials:
    """The credentials of this user: ``$NETRC``, else ``~/.netrc``, else ``~/_netrc``."""
    named = environ.get("NETRC")
    candidates = [Path(named)] if named else [home / ".netrc", home / "_netrc"]
    found = next((path for path in candidates if path.is_file()), None)
    return Credentials(NetrcLogins(found)) if found else Credentials()


def _read_netrc(path: Path) -> dict[str, Login]:
    try:
        hosts = netrc.netrc(str(path)).hosts
    except (netrc.NetrcParseError, OSError, UnicodeDecodeError) as error:
        # The error of the parser may quote a password, so only its kind is told.
        _log.warning("%s is ignored: %s", path, type(error).__name__)
        return {}
    return {
        host.lower(): Login(user=user or account, password=password)
        for host, (user, account, password) in hosts.items()
        if host != "default"
    }
