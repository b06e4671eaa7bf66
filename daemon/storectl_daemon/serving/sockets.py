"""The socket that the daemon listens on: the daemon binds it, or a service manager passes it.

    <runtime folder>/storectl/          0700, this user's
      daemon-<name of the store>.sock   0600 from the first moment, without the umask, which all threads share

Binding happens while the store's lock is held, so that two daemons of one store never bind at once.
"""

import contextlib
import errno
import os
import socket
import stat
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from storectl_daemon.errors import DaemonError
from storectl_shim.locations import SOCKET_PATH_LIMIT

_BACKLOG = 2048
"""The number of connections that may wait to be accepted. The kernel has a limit of its own."""

_FIRST_PASSED = 3
"""SD_LISTEN_FDS_START of sd_listen_fds(3)."""


class SocketBusyError(DaemonError):
    """Another daemon answers on the socket; ``facts['path']``."""

    default_code = "E_SOCKET_BUSY"


class SocketFolderError(DaemonError):
    """The socket's place cannot be used safely, or at all; ``facts['path']``."""

    default_code = "E_SOCKET"
    default_hint = "XDG_RUNTIME_DIR may name another folder, which has to be yours alone"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListeningSocket:
    """A listening socket. ``passed`` ones belong to the service manager, which keeps them open across restarts."""

    socket: socket.socket
    path: Path
    passed: bool


@contextmanager
def open_listening(path: Path, environ: Mapping[str, str], *, public: bool = False) -> Iterator[ListeningSocket]:
    """The socket to serve on. If the daemon bound it, and it is still the daemon's, it is removed at the end.

    To a ``public`` one everybody may connect.
    """
    passed = passed_socket(environ)
    if passed is not None:
        with passed:
            yield ListeningSocket(socket=passed, path=Path(passed.getsockname()), passed=True)
        return
    listening = bind(path, public=public)
    identity = socket_identity(path)
    try:
        with listening:
            yield ListeningSocket(socket=listening, path=path, passed=False)
    finally:
        if identity is not None and socket_identity(path) == identity:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)


def socket_identity(path: Path) -> tuple[int, int, int] | None:
    """Device, inode and change time, because inode numbers are used again; None if nothing can be seen at the path."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_ctime_ns


def bind(path: Path, *, public: bool = False) -> socket.socket:
    """A listening socket at the path, 0600 in a folder of 0700, or ``public`` for everybody.

    Raises SocketBusyError if a daemon answers there.
    """
    mode = 0o666 if public else 0o600
    if len(os.fsencode(path)) > SOCKET_PATH_LIMIT:
        raise SocketFolderError(
            f"{path} is too long for a socket", hint="Set XDG_RUNTIME_DIR to a short path.", path=str(path)
        )
    (check_public_folder if public else secure_folder)(path.parent)
    _remove_stale(path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # Linux gives a socket's file the mode of the socket. On other systems the folder keeps other users out.
        with contextlib.suppress(OSError):
            os.fchmod(listening.fileno(), mode)
        listening.bind(os.fspath(path))
        os.chmod(path, mode)
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        raise SocketFolderError(f"{path}: {error.strerror}", path=str(path)) from error
    listening.setblocking(False)
    return listening


def secure_folder(folder: Path) -> None:
    """Make the folder, or check that it is this user's own and that no other user can enter it."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = os.lstat(folder)
    except OSError as error:
        raise SocketFolderError(f"{folder}: {error.strerror}", path=str(folder)) from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise SocketFolderError(
            f"{folder} is not a folder of this user",
            hint="Remove it, or set XDG_RUNTIME_DIR to a folder of your own.",
            path=str(folder),
        )
    if stat.S_IMODE(found.st_mode) != 0o700:
        os.chmod(folder, 0o700)


def check_public_folder(folder: Path) -> None:
    """Check that only this user and root can put a socket into the folder. Its modes say who may connect."""
    try:
        found = os.stat(folder)
    except OSError as error:
        raise SocketFolderError(f"{folder}: {error.strerror}", hint="make it", path=str(folder)) from error
    if found.st_uid not in (0, os.geteuid()) or found.st_mode & 0o022:
        raise SocketFolderError(
            f"{folder} can be written by other users", hint="give it to the service account, 0755", path=str(folder)
        )


def _remove_stale(path: Path) -> None:
    """Remove a socket on which nothing listens. Anything else at the path stays and is an error."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise SocketFolderError(f"{path} is not a socket", hint="Move it away.", path=str(path))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        answer = probe.connect_ex(os.fspath(path))
    if answer == errno.ECONNREFUSED:
        os.unlink(path)
    elif answer != errno.ENOENT:
        raise SocketBusyError(
            f"another daemon answers on {path}", hint="`storectl daemon status` shows which.", path=str(path)
        )


def passed_socket(environ: Mapping[str, str]) -> socket.socket | None:
    """The listening Unix socket that systemd or launchd passed to exactly this process; None if there is none."""
    descriptor = _systemd_descriptor(environ) if sys.platform != "darwin" else _launchd_descriptor()
    if descriptor is None:
        return None
    passed = socket.socket(fileno=descriptor)
    if passed.family != socket.AF_UNIX or not passed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        passed.close()
        raise SocketFolderError(
            "the socket that was passed is no listening Unix socket", hint="Check ListenStream= of storectl.socket."
        )
    passed.setblocking(False)
    os.set_inheritable(descriptor, False)
    return passed


def _systemd_descriptor(environ: Mapping[str, str]) -> int | None:
    """The descriptor by sd_listen_fds(3), or None: LISTEN_FDS counts only if LISTEN_PID is this process."""
    if environ.get("LISTEN_PID") != str(os.getpid()):
        return None
    count = environ.get("LISTEN_FDS", "")
    if count != "1":
        raise SocketFolderError(f"LISTEN_FDS is {count!r}", hint="storectl.socket passes exactly one socket.")
    return _FIRST_PASSED


def _launchd_descriptor() -> int | None:
    """launch_activate_socket(3) for the socket named ``Listener``; None if launchd did not start this process."""
    import ctypes  # noqa: PLC0415 - only on macOS

    library = ctypes.CDLL(None)
    descriptors, count = ctypes.POINTER(ctypes.c_int)(), ctypes.c_size_t()
    if library.launch_activate_socket(b"Listener", ctypes.byref(descriptors), ctypes.byref(count)) != 0:
        return None
    found = [descriptors[place] for place in range(count.value)]
    library.free(descriptors)
    return found[0] if found else None
