"""How this process becomes the program: its environment variables, and the exec."""

from __future__ import annotations

import errno
import os
import stat
import sys

from storectl.errors import TargetNotExecutableError, TargetNotFoundError
from storectl.frozen import is_frozen
from storectl_shim.leases import VARIABLE, given_to
from storectl_shim.locations import store_folder
from storectl_shim.store_daemon import read_store_daemon

TYPE_CHECKING = False  # typing and collections.abc take longer to import than all of `run`
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import NoReturn


def program_environ(environment: str, environ: Mapping[str, str]) -> dict[str, str]:
    """The variables of a program in this environment, as ``client/launcher/storectl`` sets them.

    VIRTUAL_ENV and the first folder of PATH name the environment. STORECTL_SOCKET is the daemon's socket, if the
    store names one that is there and may be asked: the program's first process asks it for the import map, and removes
    the variable.
    STORECTL_LEASE is the descriptor of the environment's lease, if this process has it. All others stay.
    """
    return tool_environ(environment, environ) | {"VIRTUAL_ENV": environment}


def tool_environ(environment: str, environ: Mapping[str, str]) -> dict[str, str]:
    """The variables of a tool in an environment of its own: VIRTUAL_ENV stays that of the caller, as with uvx.

    ``ty``, ``poetry``, ``pdm`` and ``pipenv`` look at it to find the project that they work on.
    """
    changed = {name: value for name, value in environ.items() if name not in ("STORECTL_SOCKET", VARIABLE)}
    changed.update(given_to(environment))
    changed["PATH"] = path_with(os.path.join(environment, "bin"), environ.get("PATH", os.defpath))
    daemon = None if is_frozen(environ) else read_store_daemon(store_folder(environ))
    if daemon is not None and _is_own_socket(daemon.socket):
        changed["STORECTL_SOCKET"] = daemon.socket
    return changed


def path_with(folder: str, path: str) -> str:
    """PATH with this folder first; unchanged if it is the first already."""
    if path == folder or path.startswith(f"{folder}{os.pathsep}"):
        return path
    return f"{folder}{os.pathsep}{path}" if path else folder


def execute(command: list[str], environ: Mapping[str, str]) -> NoReturn:
    """Become the program; TargetNotExecutableError or TargetNotFoundError if the system refuses."""
    sys.stdout.flush()
    sys.stderr.flush()
    # `signal` is made of this module, and of enums, which take longer to import than all the rest.
    signal = __import__("_signal")
    for name in ("SIGPIPE", "SIGXFSZ"):  # Python ignores them, and the program would inherit that
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    try:
        os.execve(command[0], command, environ)  # noqa: S606 - to become the program is the whole point
    except OSError as error:
        if error.errno == errno.ENOEXEC:  # a text file without #!: every shell would run it
            os.execve("/bin/sh", ["/bin/sh", *command], environ)  # noqa: S606 - as above
        kind = TargetNotFoundError if error.errno == errno.ENOENT else TargetNotExecutableError
        hint = "the interpreter its first line names may be missing" if error.errno == errno.ENOENT else None
        raise kind(f"cannot execute {command[0]}: {error.strerror}", hint=hint) from None


def _is_own_socket(path: str) -> bool:
    try:
        status = os.stat(path)
    except OSError:
        return False
    return stat.S_ISSOCK(status.st_mode) and status.st_uid in (os.geteuid(), 0)
