"""The settings that the daemon gets from outside: environment variables and command line, read once, at the start."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from storectl_daemon.errors import DaemonError
from storectl_daemon.process.processors import usable_processors
from storectl_shim import locations
from storectl_shim.own_variables import SHARED_LIBRARIES, own_variables

_ACTIVATED_IDLE_EXIT = 3600.0
_MOST_WORKERS = 2


class SettingsError(DaemonError):
    """An environment variable with a value that cannot be used; ``facts['variable']``."""

    default_code = "E_SETTINGS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """``sockets`` are the paths to listen at, the best first; ``idle_exit`` is in seconds, None for never.

    ``environ`` are the daemon's own variables, which say where its things are. All other variables come with the
    requests of commands.
    """

    store: Path
    sockets: tuple[Path, ...]
    idle_exit: float | None
    workers: int
    home: str | None
    notify_socket: str | None
    environ: Mapping[str, str]

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        """The settings. Raises SettingsError for a value that cannot be used."""
        return cls(
            store=Path(locations.store_folder(environ)),
            sockets=tuple(map(Path, locations.socket_paths(environ))),
            idle_exit=_idle_exit(environ),
            workers=min(_MOST_WORKERS, usable_processors()),
            home=environ.get("HOME"),
            notify_socket=environ.get("NOTIFY_SOCKET"),
            environ=environ,
        )


_OF_A_SERVICE_MANAGER = ("NOTIFY_SOCKET", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "CREDENTIALS_DIRECTORY")


def daemon_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that count for a daemon: those that say where its things are, and those of a service manager."""
    managed = {name: environ[name] for name in _OF_A_SERVICE_MANAGER if name in environ}
    return own_variables(environ) | managed


def service_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that count for a node daemon: those of a service manager, and none that names a folder of a user.

    An interpreter that was built with a shared library may not start without the others.
    """
    return {name: environ[name] for name in (*_OF_A_SERVICE_MANAGER, *SHARED_LIBRARIES) if name in environ}


def _idle_exit(environ: Mapping[str, str]) -> float | None:
    """STORECTL_IDLE_EXIT in seconds; None for 0, which means never.

    If it is not set: an hour if a service manager can start the daemon again.
    """
    text = environ.get("STORECTL_IDLE_EXIT")
    if not text:
        return _ACTIVATED_IDLE_EXIT if environ.get("LISTEN_FDS") else None
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise SettingsError(
            f"STORECTL_IDLE_EXIT is {text!r}",
            hint="It is a number of seconds; 0 means never.",
            variable="STORECTL_IDLE_EXIT",
        )
    return seconds or None
