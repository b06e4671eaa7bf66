r"""Which layers there are: lower stores that are read by their files, after the own one.

    STORECTL_LAYERS=/srv/a:/srv/b                 first; counts only if no other user's rights are in play
    ~/.config/storectl/config.toml                then the user's (below $XDG_CONFIG_HOME if that is set)
    /etc/storectl/config.toml                     then the machine's, for every user

    [[layers]]
    path = "/srv/storectl"                        absolute, without symbolic links
    owner = "storectl"                            whose files they are, by name or number; else this user's or root's
    socket = "/run/storectl/daemon.sock"          of the daemon that keeps it, if one does
    builds = "trusted"                            wheels that were built there are used, too

``owner = "unmapped"`` is for a user namespace, which shows other accounts as one that stands for all: it counts only if
the layer is mounted read-only. ``layers = []`` in the user's file: none of the machine's.

What is wrong with a layer's settings leaves out that layer, and is told in a line. A store without layers needs nothing
of this: a file that is not there costs one call.
"""

import os
import pwd
import stat
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from storectl_shim.locations import NoHomeError, config_folder
from storectl_store.entries.trusted_path import OTHERS_WRITE, overflow_uid
from storectl_store.errors import LayerError
from storectl_store.system_errors import reason_of

VARIABLE = "STORECTL_LAYERS"
FILE_NAME = "config.toml"
TABLE = "layers"
UNMAPPED = "unmapped"

SYSTEM_FOLDER = "/etc/storectl"
SYSTEM_FOLDER_VARIABLE = "STORECTL_SYSTEM_CONFIG"
"""Another folder instead of ``SYSTEM_FOLDER``, for tests: it has to be this user's or root's."""

_KEYS = ("path", "socket", "owner", "builds")


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerSettings:
    """One layer. ``owner`` is an account's name or number, or ``UNMAPPED``; None if it is this user's or root's.

    ``said_in`` is the file or variable that names it.
    """

    path: Path
    socket: Path | None = None
    owner: str | None = None
    builds: Literal["trusted"] | None = None
    said_in: str = VARIABLE

    def owners(self) -> frozenset[int]:
        """The accounts, beside root, whose files count in the layer.

        Raises LayerError if the account is not known, or may not stand for others here.
        """
        own = os.geteuid()
        if self.owner is None:
            return frozenset({own})
        if self.owner == UNMAPPED:
            if not _is_read_only(self.path):
                raise LayerError(
                    f'the layer {self.path} is not used: owner = "{UNMAPPED}", and it is not mounted read-only',
                    hint="mount it read-only, or name its owner",
                    path=str(self.path),
                )
            return frozenset({own, overflow_uid()})
        if self.owner.isdecimal():
            return frozenset({own, int(self.owner)})
        try:
            return frozenset({own, pwd.getpwnam(self.owner).pw_uid})
        except KeyError:
            raise LayerError(
                f"the layer {self.path} is not used: there is no account {self.owner}, which {self.said_in} names",
                hint="name its owner by number, or correct the name",
                path=str(self.path),
            ) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadLayers:
    """The layers in the order in which they are asked, and a line for everything that is wrong in the settings."""

    layers: tuple[LayerSettings, ...] = ()
    problems: tuple[LayerError, ...] = ()


def read_layer_settings(environ: Mapping[str, str]) -> ReadLayers:
    """The layers that these variables and the files of settings name. Each path counts once, as first named."""
    problems: list[LayerError] = []
    found: dict[Path, LayerSettings] = {}
    for settings in _named(environ, problems):
        found.setdefault(settings.path, settings)
    return ReadLayers(layers=tuple(found.values()), problems=tuple(problems))


def user_file(environ: Mapping[str, str]) -> Path | None:
    """The user's file of settings; None if there is no home folder."""
    with suppress(NoHomeError):
        return Path(config_folder(environ), FILE_NAME)
    return None


def system_file(environ: Mapping[str, str]) -> Path:
    """The machine's file of settings. A variable names another only if nobody gains rights by it."""
    other = environ.get(SYSTEM_FOLDER_VARIABLE)
    if other and _is_plain_user() and os.path.isabs(other):
        with suppress(OSError):
            if os.stat(other).st_uid in (os.geteuid(), 0):
                return Path(other, FILE_NAME)
    return Path(SYSTEM_FOLDER, FILE_NAME)


def _named(environ: Mapping[str, str], problems: list[LayerError]) -> Iterator[LayerSettings]:
    if _is_plain_user():
        for text in filter(None, environ.get(VARIABLE, "").split(os.pathsep)):
            yield from _checked({"path": text}, VARIABLE, problems)
    own = user_file(environ)
    tables = None if own is None else _tables(own, (os.geteuid(), 0), problems)
    for table in tables or ():
        yield from _checked(table, str(own), problems)
    if tables == []:
        return
    system = system_file(environ)
    # What the variable named belongs to this user, or is root's like the machine's own.
    owners = (0,) if str(system.parent) == SYSTEM_FOLDER else (os.geteuid(), 0)
    for table in _tables(system, owners, problems) or ():
        yield from _checked(table, str(system), problems)


def _tables(file: Path, owners: Sequence[int], problems: list[LayerError]) -> list[Any] | None:
    """What the file says of layers; None if it says nothing, or may not."""
    try:
        with file.open("rb") as stream:
            status = os.fstat(stream.fileno())
            if status.st_uid not in owners or status.st_mode & OTHERS_WRITE or not stat.S_ISREG(status.st_mode):
                problems.append(_wrong(file, "others could have written it", hint=f"chmod go-w {file}"))
                return None
            value = tomllib.loads(stream.read().decode())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        problems.append(_wrong(file, reason_of(error)))
        return None
    except ValueError as error:
        problems.append(_wrong(file, str(error)))
        return None
    tables = value.get(TABLE)
    if tables is None or isinstance(tables, list):
        return tables
    problems.append(_wrong(file, f"{TABLE} is no list of tables", hint="begin each with [[layers]]"))
    return None


def _checked(table: Any, said_in: str, problems: list[LayerError]) -> Iterator[LayerSettings]:
    """The settings that this table gives; none, and a problem, if they are wrong."""
    problem = _problem_of(table)
    if problem is not None:
        problems.append(_wrong(Path(said_in), problem))
        return
    socket, owner = table.get("socket"), table.get("owner")
    yield LayerSettings(
        path=Path(os.path.normpath(table["path"])),
        socket=Path(socket) if socket else None,
        owner=None if owner is None else str(owner),
        builds=table.get("builds"),
        said_in=said_in,
    )


def _problem_of(table: Any) -> str | None:
    if not isinstance(table, dict):
        return "a layer is no table"
    unknown = [name for name in table if name not in _KEYS]
    if unknown:
        return f"a layer has no setting {unknown[0]}; known are {', '.join(_KEYS)}"
    path, socket, owner = table.get("path"), table.get("socket"), table.get("owner")
    if not isinstance(path, str) or not os.path.isabs(path) or "\n" in path or "\0" in path:
        return f"the path of a layer must be absolute, and is {path!r}"
    if socket is not None and (not isinstance(socket, str) or not os.path.isabs(socket)):
        return f"the socket of {path} must be an absolute path, and is {socket!r}"
    if owner is not None and (isinstance(owner, bool) or not isinstance(owner, str | int) or owner == ""):
        return f"the owner of {path} must be an account, and is {owner!r}"
    if table.get("builds") not in (None, "trusted"):
        return f'builds of {path} can only be "trusted"'
    return None


def _wrong(file: Path, reason: str, *, hint: str | None = None) -> LayerError:
    return LayerError(f"{file}: {reason}", hint=hint or "correct it there: docs/many-users.md", path=str(file))


def _is_plain_user() -> bool:
    """Whether this process has the rights of the user who started it, and no others."""
    return os.getuid() == os.geteuid() and os.getgid() == os.getegid()


def _is_read_only(path: Path) -> bool:
    try:
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except OSError:
        return False
