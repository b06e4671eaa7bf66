"""pip's variables for a build: the sources of packages, and no other setting that the user has made for pip.

pip then reads none of its configuration files. ``user``, ``target``, ``no-deps``, ``require-hashes`` or ``dry-run`` in
them are meant for packages that the user installs by hand. Logins are in variables, never on a command line or in a
file.

Build requirements come from the project's own sources of packages: the indexes that its lock file names, then those of
the configuration, unless the lock file's replace these. No public index that the project does not use is asked for a
private name.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from storectl_daemon.network.address import Address
from storectl_store.selection.pin import IndexPin

if TYPE_CHECKING:
    from storectl_daemon.indexes.configuration import IndexSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedPlaces:
    """The places that a lock file names for packages. With ``exclusive`` the configuration's indexes do not count."""

    indexes: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    exclusive: bool = False


NOWHERE = LockedPlaces()


def locked_places(pins: Sequence[IndexPin]) -> LockedPlaces:
    """The places of these pins, which are all pins of a lock file."""
    return LockedPlaces(
        indexes=tuple(dict.fromkeys(index for pin in pins for index in pin.indexes)),
        find_links=tuple(dict.fromkeys(place for pin in pins for place in pin.find_links)),
        exclusive=bool(pins) and all(pin.exclusive for pin in pins),
    )


def pip_variables(settings: "IndexSettings", places: LockedPlaces) -> dict[str, str]:
    """The project's indexes as pip's variables."""
    named = [_with_login(Address(index), settings.addresses) for index in places.indexes]
    indexes = [*named, *([] if places.exclusive else settings.indexes)]
    links = [*places.find_links, *(place.with_login() for place in settings.find_links)]
    default, *extra = [*dict.fromkeys(index.with_login() for index in reversed(indexes))] or [""]
    found = {
        "PIP_INDEX_URL": default,
        "PIP_EXTRA_INDEX_URL": " ".join(reversed(extra)),
        "PIP_FIND_LINKS": " ".join(dict.fromkeys(links)),
        "PIP_TRUSTED_HOST": " ".join(sorted(settings.trusted_hosts)),
        "PIP_CERT": settings.ca_bundle or "",
        "PIP_CLIENT_CERT": settings.client_cert or "",
        "PIP_PROXY": settings.proxy.with_login() if settings.proxy else "",
        "PIP_KEYRING_PROVIDER": "subprocess" if settings.keyring else "",
        "PIP_NO_INDEX": "" if default else "1",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_INPUT": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    return {name: value for name, value in found.items() if value}


def _with_login(index: Address, known: Iterable[Address]) -> Address:
    """The address, with the login that a configuration has for it or for another address of its origin."""
    if not index.is_web or index.login is not None:
        return index
    fitting = [place for place in known if place.is_web and place.login and place.origin == index.origin]
    same = (place for place in fitting if place.without_login().rstrip("/") == index.without_login().rstrip("/"))
    login = next((place.login for place in (*same, *fitting)), None)
    return index.logged_in(login.user, login.password) if login else index
