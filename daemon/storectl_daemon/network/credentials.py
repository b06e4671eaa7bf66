"""Credentials: which login belongs to which origin.

They come from three places:

- A login written into the address of an index. It holds for every file on the same origin. Of several indexes there,
  the one with the longest common path counts, as with pip.
- A netrc file.
- The keyring program, once a server has refused the logins of the first two.

Any further source of logins implements ``LoginSource``.
"""

import base64
import logging
import netrc
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from storectl_daemon.network.address import Address, Login, Origin
from storectl_daemon.network.keyring_program import KeyringProgram

_log = logging.getLogger(__name__)


class LoginSource(Protocol):
    """A source that may have the login of an origin."""

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
    """Makes the ``Authorization`` header: from addresses that were learnt, then from the sources in their order.

    ``ask_keyring`` is whether the keyring program is asked after a server has refused.
    """

    def __init__(self, *sources: LoginSource, keyring: KeyringProgram | None = None, ask_keyring: bool = False) -> None:
        self.ask_keyring = ask_keyring
        self._sources = sources
        self._keyring = keyring
        self._learnt: dict[Origin, dict[str, Login | None]] = {}
        self._answers: dict[Login, str | None] = {}  # the keyring's answers, each with the user it was asked for

    def learn(self, url: Address) -> None:
        """Remember this address for its origin, with the login written into it if it has one."""
        if not url.is_web:
            return
        places = self._learnt.setdefault(url.origin, {})
        address, login = url.without_login(), url.login
        known = places.get(address)
        if login is not None and not (known is not None and _is_completed_by(login, known)):
            places.pop(address, None)  # the latest comes last
            places[address] = login
        else:
            places.setdefault(address, None)

    def authorization(self, url: Address) -> str | None:
        """The value of the header for this address; None without a login. A login in the address itself comes first."""
        login = self._login(url)
        if login is None:
            return None
        pair = f"{login.user}:{login.password}".encode()
        return f"Basic {base64.b64encode(pair).decode('ascii')}"

    async def challenged(self, url: Address) -> bool:
        """Whether a login other than that of ``authorization`` can be had, now that the server has refused.

        This may ask the keyring program. Call it after a 401, also if the request had no login.
        """
        if self._keyring is None or not self.ask_keyring:
            return False
        used = self._login(url)
        is_answer = used is not None and used in self._answers
        if used is not None and used.password and not is_answer:
            return False
        user = self._answers[used] if used is not None and is_answer else used.user if used else None
        index, host = self._nearest(url, with_login=False), urlsplit(url.without_login()).netloc
        services = [index, host] if index is not None else [host]
        login = await self._keyring.login(services, user, instead_of=used if is_answer else None)
        if login is None or login == used:
            return False
        self._answers[login] = user
        self._learnt.setdefault(url.origin, {})[index or url.without_login()] = login
        return True

    def _login(self, url: Address) -> Login | None:
        """The login in the address, with the known password if it has none; without one, the login that is known."""
        written = url.login
        if written is not None and written.password:
            return written
        known = self._known(url)
        return known if written is None or (known is not None and known.user == written.user) else written

    def _known(self, url: Address) -> Login | None:
        origin = url.origin
        nearest = self._nearest(url, with_login=True)
        learnt = self._learnt[origin][nearest] if nearest is not None else None
        if learnt is not None and learnt.password:
            return learnt
        found = (source.login(origin) for source in self._sources)
        fitting = (login for login in found if login and (learnt is None or login.user == learnt.user))
        return next(fitting, learnt)

    def _nearest(self, url: Address, *, with_login: bool) -> str | None:
        """The learnt address on the same origin that shares most of its path with this one; of equals the latest."""
        places = self._learnt.get(url.origin, {})
        wanted = _segments(url.without_login())
        found = [address for address, login in places.items() if login is not None or not with_login]
        return max(reversed(found), key=lambda address: _common(_segments(address), wanted), default=None)


def credentials_of(
    environ: Mapping[str, str], home: Path, *, keyring: KeyringProgram | None = None, ask_keyring: bool = False
) -> Credentials:
    """The credentials of a command: from ``$NETRC``, else ``~/.netrc``, else ``~/_netrc`` as it is now.

    ``keyring`` is the keyring program that these variables find, if the caller has it already.
    """
    named = environ.get("NETRC")
    candidates = [Path(named)] if named else [home / ".netrc", home / "_netrc"]
    found = next((path for path in candidates if path.is_file()), None)
    sources = [NetrcLogins(found)] if found else []
    return Credentials(*sources, keyring=keyring or KeyringProgram(environ), ask_keyring=ask_keyring)


def _is_completed_by(login: Login, known: Login) -> bool:
    """Whether ``known`` is ``login`` completed by the password that the keyring gave."""
    return not login.password and login.user == known.user


def _segments(url: str) -> list[str]:
    return [segment for segment in urlsplit(url).path.split("/") if segment]


def _common(first: list[str], second: list[str]) -> int:
    """The number of segments that two paths share at their beginning."""
    differ = (i for i, (one, other) in enumerate(zip(first, second, strict=False)) if one != other)
    return next(differ, min(len(first), len(second)))


def _read_netrc(path: Path) -> dict[str, Login]:
    try:
        hosts = netrc.netrc(str(path)).hosts
    except (netrc.NetrcParseError, OSError, UnicodeDecodeError) as error:
        # The error of the parser may quote a password. Therefore only the kind of error is told.
        _log.warning("%s is ignored: %s", path, type(error).__name__)
        return {}
    return {
        host.lower(): Login(user=user or account, password=password)
        for host, (user, account, password) in hosts.items()
        if host != "default"
    }
