"""The user's settings: ``$XDG_CONFIG_HOME/storectl/config.toml``, else ``~/.config/storectl/config.toml``.

A table for each part of storectl, which reads its own (``storectl_daemon.collecting.settings``). The file is read when
it is needed, not only at the start. Like everything that decides what happens, it must be this user's or root's.
"""

import difflib
import os
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from storectl_daemon.process.settings import SettingsError
from storectl_shim.locations import NoHomeError, config_folder

FILE_NAME = "config.toml"
KNOWN = ("collect", "layers", "prefetch", "tell")
"""What may stand in the file at its top; ``layers`` are read by ``storectl_store.entries.layer_settings``."""


def read_user_settings(environ: Mapping[str, str]) -> tuple[Path | None, Mapping[str, Any]]:
    """The file, and what stands in it; None and nothing if there is no such file.

    ``environ`` are the variables that say where it is. Raises SettingsError if it cannot be read, or says something
    that nobody knows.
    """
    try:
        file = Path(config_folder(environ), FILE_NAME)
        content = file.read_bytes()
        owner = file.stat().st_uid
    except (FileNotFoundError, NotADirectoryError, NoHomeError):
        return None, {}
    except OSError as error:
        raise SettingsError(f"{file} cannot be read: {os.strerror(error.errno or 0)}", variable=str(file)) from error
    if owner not in (os.geteuid(), 0):
        raise SettingsError(
            f"{file} is another user's, whose settings decide nothing here", hint="make it your own", variable=str(file)
        )
    try:
        value = tomllib.loads(content.decode())
    except ValueError as error:
        raise SettingsError(f"{file}: {error}", hint="correct it there; it is TOML", variable=str(file)) from error
    check_known(value, KNOWN, where=str(file))
    return file, value


def check_known(found: Collection[str], known: Collection[str], *, where: str) -> None:
    """Raise SettingsError if there is a name that is not among the known ones; the hint has the nearest of these."""
    for name in found:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(known))}"
            raise SettingsError(f"{where}: there is no setting {name}", hint=hint, variable=name)
