"""What a node daemon may do, and for whom: its file ``node.toml``, which only root or the service account may write.

socket = "/run/storectl/daemon.sock"   # unless a service manager passes one
interpreters = ["/usr/bin", "/opt"]    # what may compile: programs below these, of root or the service account
proxy = "http://proxy.example:3128"    # the only way out; without it, addresses are reached directly

[store]
path = "/srv/storectl"
group = "chemistry"                    # the one group that may read it; without it, everybody

[roles]
readers = "all"                        # or a list of groups
writers = "all"                        # may have wheels fetched; or a list of groups
admins = ["alice", 1000]               # accounts, beside root and the service account

[[origins]]                            # the only servers that are ever asked
url = "https://index.example/simple/"
index = true                           # a simple index: what it lists may be brought by users
private = false                        # whether its host may have an address that is not a public one
login = "team"                         # the name of a credential of the service manager: "user:password"

[limits]                               # of each account
connections = 32
requests = 20                          # a second
fetches = 4                            # at once
largest_wheel = "2G"

[quota]                                # of each account; nothing said: no limit
own = "20G"                            # what nobody else keeps
fetched = "50G"                        # a day
environments = 500                     # made new, a day
high_water = 90                        # per cent of the file system; above, nothing more is fetched
"""

import grp
import os
import pwd
import re
import stat
import tomllib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote

from storectl_daemon.errors import DaemonError, FetchError
from storectl_daemon.network.address import Address, Login
from storectl_daemon.process.settings import SettingsError
from storectl_daemon.process.user_settings import check_known
from storectl_shim.sizes import parse_size

_LARGEST_FILE = 1 << 20


class PolicyError(DaemonError):
    """The policy cannot be used; ``facts['path']``."""

    default_code = "E_POLICY"
    default_hint = "docs/many-users.md has an example"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeOrigin:
    """A place on the network that may be asked: everything below ``address``, on its scheme, host and port."""

    address: Address
    index: bool = False
    private: bool = False
    login: Login | None = None

    @property
    def text(self) -> str:
        """The address as it is shown, and as wheels' addresses begin."""
        return self.address.without_login().rstrip("/") + "/"

    def holds(self, address: Address) -> bool:
        """Whether the address is below this place, spelled like it. Raises FetchError if it cannot be read."""
        text = address.without_login()
        return address.origin == self.address.origin and text.startswith(self.text) and _is_straight(text)


def _is_straight(text: str) -> bool:
    """Whether no step of the address's path goes up or stays, however often it is encoded."""
    path = text.partition("?")[0]
    while (plain := unquote(path)) != path:
        path = plain
    return {".", ".."}.isdisjoint(re.split(r"[/\\]", path))


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeLimits:
    """What one account may do at a time. ``requests`` is a rate, each second; ``largest_wheel`` is in bytes."""

    connections: int = 32
    requests: int = 20
    fetches: int = 4
    largest_wheel: int = 2 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeQuota:
    """What one account may have. ``own`` and ``fetched`` (a day) are in bytes, None for no limit.

    ``environments`` are those that are made new for it in a day. ``high_water`` is in per cent of the file system's
    bytes and inodes.
    """

    own: int | None = None
    fetched: int | None = None
    environments: int = 500
    high_water: int = 90


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRoles:
    """Who may do what: sets of gids, None for everybody; ``admins`` are uids."""

    readers: frozenset[int] | None = None
    writers: frozenset[int] | None = None
    admins: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePolicy:
    """All of the file, with names of accounts and groups looked up. ``group`` is a gid."""

    store: Path
    group: int | None = None
    socket: Path | None = None
    origins: tuple[NodeOrigin, ...] = ()
    interpreters: tuple[Path, ...] = ()
    proxy: Address | None = None
    roles: NodeRoles = NodeRoles()
    limits: NodeLimits = NodeLimits()
    quota: NodeQuota = field(default_factory=NodeQuota)

    @classmethod
    def read(cls, path: Path, *, credentials: Path | None = None) -> Self:
        """The policy in this file. ``credentials`` is the folder of the service manager's credentials.

        Raises PolicyError, in one line, for whatever is wrong with it.
        """
        try:
            table = tomllib.loads(_read_trusted(path))
            return cls(**_values(table, path, credentials))
        except SettingsError as error:
            raise PolicyError(error.message, hint=error.hint, path=str(path)) from error
        except ValueError as error:  # of tomllib, of decoding, or of one of the readers below
            raise PolicyError(f"{path}: {error}", path=str(path)) from error


def _read_trusted(path: Path) -> str:
    """The text of the file. Raises PolicyError if an account other than root and this one could have written it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or found.st_uid not in (0, os.geteuid()) or found.st_mode & 0o022:
                hint = "make it a file of root's, with mode 0640 and the group of the service account"
                raise PolicyError(f"{path} could have been written by another account", hint=hint, path=str(path))
            return file.read(_LARGEST_FILE).decode()
    except OSError as error:
        raise PolicyError(f"{path} cannot be read: {os.strerror(error.errno or 0)}", path=str(path)) from error


_TABLES = ("store", "socket", "interpreters", "proxy", "roles", "origins", "limits", "quota")


def _values(table: Mapping[str, Any], path: Path, credentials: Path | None) -> dict[str, Any]:
    check_known(table, _TABLES, where=str(path))
    store = _table(table, "store", ("path", "group"), path)
    if "path" not in store:
        raise ValueError('[store] has no path; it is the folder of the store, such as "/srv/storectl"')
    group = _gid("group in [store]", store["group"]) if "group" in store else None
    roles = _table(table, "roles", ("readers", "writers", "admins"), path)
    origins = table.get("origins", [])
    if not isinstance(origins, list) or not all(isinstance(each, dict) for each in origins):
        raise ValueError("origins is no list of tables; write [[origins]]")
    return {
        "store": _path("path in [store]", store["path"]),
        "group": group,
        "socket": _path("socket", table["socket"]) if "socket" in table else None,
        "interpreters": tuple(_path("interpreters", each) for each in _list("interpreters", table)),
        "proxy": _address("proxy", table["proxy"]) if "proxy" in table else None,
        "roles": NodeRoles(
            readers=_groups("readers", roles, group),
            writers=_groups("writers", roles, group),
            admins=frozenset(_uid("admins", each) for each in _list("admins", roles)),
        ),
        "origins": tuple(_origin(each, path, credentials, group) for each in origins),
        "limits": _numbers(NodeLimits, table, "limits", path),
        "quota": _numbers(NodeQuota, table, "quota", path),
    }


def _table(table: Mapping[str, Any], name: str, known: tuple[str, ...], path: Path) -> Mapping[str, Any]:
    found = table.get(name, {})
    if not isinstance(found, dict):
        raise ValueError(f"{name} is no table; write [{name}]")  # noqa: TRY004 - what reads it makes one error of all
    check_known(found, known, where=f"[{name}] in {path}")
    return found


def _list(name: str, table: Mapping[str, Any]) -> list[Any]:
    found = table.get(name, [])
    if not isinstance(found, list):
        raise ValueError(f"{name} is {found!r}; it is a list")  # noqa: TRY004 - as above
    return found


def _path(name: str, value: object) -> Path:
    if not isinstance(value, str) or not os.path.isabs(value) or os.path.normpath(value) != value or "\0" in value:
        raise ValueError(f"{name} is {value!r}; it is an absolute path without ..")
    return Path(value)


def _groups(name: str, table: Mapping[str, Any], group: int | None) -> frozenset[int] | None:
    """The gids of a role; "all" are those of the store's one ``group`` if it has one."""
    found = table.get(name, "all")
    if found == "all":
        return None if group is None else frozenset({group})
    if not isinstance(found, list):
        raise ValueError(f'{name} is {found!r}; it is "all" or a list of groups')  # noqa: TRY004 - as above
    return frozenset(_gid(name, each) for each in found)


def _gid(name: str, value: object) -> int:
    return _number_of(name, value, "group", lambda text: grp.getgrnam(text).gr_gid)


def _uid(name: str, value: object) -> int:
    return _number_of(name, value, "account", lambda text: pwd.getpwnam(text).pw_uid)


def _number_of(name: str, value: object, kind: str, look_up: Callable[[str], int]) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    try:
        return look_up(value) if isinstance(value, str) else int("no number")
    except (KeyError, ValueError):
        raise ValueError(f"{name} is {value!r}; there is no such {kind}") from None


def _address(name: str, value: object) -> Address:
    address = Address(value) if isinstance(value, str) else Address("")
    try:
        if not address.is_web or address.origin.port is None:
            raise ValueError(f"{name} is {str(address)!r}; it is an https or http address")
    except FetchError as error:
        raise ValueError(f"{name}: {error.message}") from error
    return address


def _origin(table: Mapping[str, Any], path: Path, credentials: Path | None, group: int | None) -> NodeOrigin:
    check_known(table, ("url", "index", "private", "login"), where=f"[[origins]] in {path}")
    address = _address("url in [[origins]]", table.get("url"))
    text = address.with_login()
    if address.login is not None or "?" in text or "#" in text:
        raise ValueError(f"url in [[origins]] is {address}; a login stands in a credential that `login` names")
    for name in ("index", "private"):
        if not isinstance(table.get(name, False), bool):
            raise ValueError(f"{name} of {address} is {table[name]!r}; it is true or false")  # noqa: TRY004 - as above
    if "login" in table and group is None:
        raise ValueError(f"login of {address}: everybody could read what it fetches; name the `group` in [store]")
    login = _login(table["login"], address, credentials) if "login" in table else None
    return NodeOrigin(
        address=address, index=table.get("index", False), private=table.get("private", False), login=login
    )


def _login(name: object, address: Address, credentials: Path | None) -> Login:
    if not isinstance(name, str) or not name or "/" in name or name.startswith("."):
        raise ValueError(f"login of {address} is {name!r}; it is the name of a credential")
    if credentials is None:
        raise ValueError(f"login of {address}: there are no credentials; write LoadCredential={name}:FILE in the unit")
    try:
        user, found, password = (credentials / name).read_text().rstrip("\n").partition(":")
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise ValueError(f"login of {address}: the credential {name} cannot be read: {reason}") from None
    if not found:
        raise ValueError(f"login of {address}: the credential {name} is not user:password")
    return Login(user=user, password=password)


def _numbers(kind: type[Any], table: Mapping[str, Any], name: str, path: Path) -> Any:
    """The limits in a table: sizes in bytes, or as a text such as "20G"; everything else whole numbers from 1."""
    found = _table(table, name, tuple(each.name for each in fields(kind)), path)
    return kind(**{key: _number(f"{key} in [{name}]", key in _SIZES, value) for key, value in found.items()})


_SIZES = frozenset({"largest_wheel", "own", "fetched"})


def _number(name: str, is_size: bool, value: object) -> int:  # noqa: FBT001 - a reader of values, not of switches
    number = 0
    with suppress(ValueError):
        if is_size and isinstance(value, str):
            number = parse_size(value)
        elif isinstance(value, int) and not isinstance(value, bool):
            number = value
    if number < 1:
        what = 'a size such as "20G"' if is_size else "a whole number from 1"
        raise ValueError(f"{name} is {value!r}; it is {what}")
    return number
