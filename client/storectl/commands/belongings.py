"""What storectl has made for this user, in the order in which it has to be removed.

First what would start the daemon again, then the store, with its file VERSION last, so that an uninstall that was
interrupted finds the store again; then what else is kept. Links are the daemon's to remove, before all that.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from storectl.daemon.service_files import install_folder, service_manager
from storectl.daemon.store_place import check_store_owner
from storectl.kernels.specs import installed, known_data_folders
from storectl_shim._storectl_pack import cache_folder
from storectl_shim.locations import NoHomeError, config_folder, socket_path, state_folder, store_folder

_VERSION = "VERSION"
_PLACES: Mapping[str, Callable[[Mapping[str, str]], str]] = {
    "log, remembered locks": state_folder,
    "socket": lambda environ: os.path.dirname(socket_path(environ)),
    "cache": cache_folder,
    "settings": config_folder,
}
"""Folders that are storectl's own, by what is in them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Belonging:
    """A file or folder of storectl's, and what it is for people."""

    what: str
    path: Path

    @property
    def size(self) -> int:
        """Its bytes on disk. What has several names counts once."""
        found = {(status.st_dev, status.st_ino): status.st_blocks * 512 for status in _statuses(self.path)}
        return sum(found.values())

    def remove(self) -> None:
        """Remove it, read-only folders in it too. It is no error if it is gone."""
        if self.path.is_symlink() or not self.path.is_dir():
            self.path.unlink(missing_ok=True)
            return
        _open_folders(self.path)
        names = sorted(self.path.iterdir(), key=lambda path: path.name == _VERSION)
        for each in names:
            shutil.rmtree(each) if each.is_dir() and not each.is_symlink() else each.unlink(missing_ok=True)
        with suppress(OSError):
            self.path.rmdir()  # a volume of its own stays


def store_of(environ: Mapping[str, str]) -> Path | None:
    """The folder of the store; None if there is none. StoreOwnerError if it is another user's."""
    store = store_folder(environ)
    check_store_owner(store)
    return Path(store) if os.path.isfile(os.path.join(store, _VERSION)) else None


def belongings(environ: Mapping[str, str]) -> Iterator[Belonging]:
    """All that is there. StoreOwnerError if the store is another user's."""
    manager = service_manager()
    for name in manager.files:
        file = install_folder(manager, environ) / name
        if file.is_file():
            yield Belonging(what="service", path=file)
    for spec in installed(known_data_folders(environ)):
        yield Belonging(what="kernel", path=spec.folder)
    for path in _pythons(environ):
        yield Belonging(what="name of a Python", path=path)
    store = store_of(environ)
    if store is not None:
        yield Belonging(what="store", path=store)
    for what, place in _PLACES.items():
        with suppress(NoHomeError):
            path = Path(place(environ))
            if path.name and path.is_dir() and store not in (path, *path.parents):
                yield Belonging(what=what, path=path)


def _pythons(environ: Mapping[str, str]) -> Iterator[Path]:
    """Links to the launcher that are called like a Python."""
    home = environ.get("HOME", "")
    for folder in dict.fromkeys([*environ.get("PATH", "").split(os.pathsep), os.path.join(home, ".local", "bin")]):
        for path in sorted(Path(folder).glob("python*")) if os.path.isabs(folder) else ():
            if path.is_symlink() and os.path.basename(path.readlink()) == "storectl":
                yield path


def _statuses(path: Path) -> Iterator[os.stat_result]:
    with suppress(OSError):
        yield path.lstat()
    for folder, folders, files in os.walk(path):
        for name in (*folders, *files):
            with suppress(OSError):
                yield os.lstat(os.path.join(folder, name))


def _open_folders(root: Path) -> None:
    """Let the owner remove what is in the folders: those of an entry are read-only."""
    root.chmod(0o700)
    for folder, names, _ in os.walk(root):
        for name in names:
            path = os.path.join(folder, name)
            if not os.path.islink(path):
                os.chmod(path, 0o700)
