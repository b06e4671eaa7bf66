"""Where the daemon listens: its socket, at the first path that can be used, and the file in the store that names it.

The socket may disappear: a runtime folder is removed at logout. The daemon then listens on a new one. Clients read its
path from the store's file (``storectl_shim.store_daemon``).
"""

import contextlib
import logging
import socket
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from storectl_daemon.serving.sockets import ListeningSocket, SocketFolderError, open_listening, socket_identity
from storectl_shim.store_daemon import daemon_file, launcher_file, this_daemon
from storectl_store.disk.durability import disk_errors
from storectl_store.disk.whole_files import PRIVATE, replace_file

logger = logging.getLogger(__name__)


class Endpoint:
    """The daemon's socket, until ``close``. Only a process with the store's lock may make it.

    Raises SocketBusyError or SocketFolderError if no path can be used.
    """

    def __init__(self, store: Path, paths: Sequence[Path], environ: Mapping[str, str]) -> None:
        self._file = Path(daemon_file(str(store)))
        self._launcher_file = Path(launcher_file(str(store)))
        self._paths = paths
        self._environ = environ
        self._opened = ExitStack()
        try:
            self._open()
        except BaseException:
            self._opened.close()
            raise

    def _open(self) -> None:
        """Listen, and write the socket's path into the store."""
        self._listening = self._first_listening()
        self._identity = socket_identity(self._listening.path)
        with disk_errors(f"say where the daemon of {self._file.parent} is"):
            daemon = this_daemon(str(self.path))
            replace_file(self._file, daemon.text(), mode=PRIVATE)
            replace_file(self._launcher_file, daemon.text_for_launcher(), mode=PRIVATE)

    @property
    def path(self) -> Path:
        """The path of the socket now."""
        return self._listening.path

    @property
    def socket(self) -> socket.socket:
        """The socket that listens now."""
        return self._listening.socket

    @property
    def reachable(self) -> bool:
        """Whether a client that connects to the path still reaches this socket."""
        return self._identity is not None and socket_identity(self.path) == self._identity

    def reopen(self) -> None:
        """Listen at a new socket. The old one stays open until the end: clients may still wait on it to be accepted."""
        gone = self.path
        self._environ = {}  # what a service manager passed has been used already
        self._open()
        logger.warning("the socket %s is gone; listening on %s", gone, self.path)

    def _first_listening(self) -> ListeningSocket:
        refusals: list[SocketFolderError] = []
        for path in self._paths:
            try:
                return self._opened.enter_context(open_listening(path, self._environ))
            except SocketFolderError as error:
                refusals.append(error)
        raise refusals[0]

    def close(self) -> None:
        """Close the sockets, and remove the files from the store."""
        with contextlib.suppress(OSError):
            if self._file.read_bytes() == this_daemon(str(self.path)).text():  # else another daemon's, in a new store
                self._launcher_file.unlink(missing_ok=True)
                self._file.unlink()
        self._opened.close()
