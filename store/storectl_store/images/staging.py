"""Unpack an image on a node, once, however many processes ask for it.

    <folder>/storectl-<uid>/              0700, and this user's: else it is refused
        <tree digest>/                    an unpacked image: a store that is only read
        <tree digest>.lock                flock of the process that unpacks; then the boot in which it was done
        .tmp-<tree digest>-<random>/      being unpacked; a dead process leaves it, the next one deletes it

An image is there if its folder is, and if its lock file names this boot: nothing is synced, so what another boot has
left may be torn.
"""

import fcntl
import os
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from storectl_shim._storectl_pack import boot_id
from storectl_store.collecting.leases import try_write_lease
from storectl_store.digest import EnvironmentId, hex_of
from storectl_store.entries.layout import StoreLayout
from storectl_store.entries.trash import delete_tree
from storectl_store.environments.view_builder import FOLDER_MODE
from storectl_store.errors import ImageError
from storectl_store.images.image_errors import image_errors
from storectl_store.images.image_head import HEAD_NAME, HOT, LARGEST_HEAD, ImageHead, decode_head, encode_head
from storectl_store.images.reading import read_head, read_image

LONGEST_WAIT = 120.0
"""Seconds that a process waits for another one that unpacks the same image."""

_POLL = 0.02  # seconds
_LOCK = ".lock"
_UNFINISHED = ".tmp-"
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def staged_environment(file: Path, node: Path, *, longest_wait: float = LONGEST_WAIT) -> Path:
    """The environment of this image, unpacked below the folder ``node`` if it is not yet.

    ``file`` may be the folder of an image that is unpacked or mounted: then nothing is staged.

    Raises ImageError if the image is not whole, cannot be unpacked there, or needs what is not there; StoreFullError if
    the disk refuses.
    """
    head = head_at(file)
    if file.is_dir():
        return ready_environment(file, head)
    place = node / f"storectl-{os.getuid()}"
    with image_errors(f"stage the image {file} in {node}", node):
        _own_folder(place)
        folder = place / hex_of(head.tree)
        if not _is_there(folder):
            _stage(file, head, folder, longest_wait)
    return ready_environment(folder, head)


def ready_environment(folder: Path, head: ImageHead) -> Path:
    """The environment in this unpacked image. Raises ImageError if it is not there, or what it needs is not."""
    for layer in head.layers:
        if not StoreLayout(Path(layer)).entries.is_dir():
            raise ImageError(
                f"the image is a hot one, which needs the layer {layer}, and that is not there",
                hint="mount it on this node, or build a full image (without --hot)",
                path=layer,
            )
    environment = StoreLayout(folder).environment(head.environment)
    if not (environment / "bin/python").exists():
        gone = head.executable if os.path.lexists(environment / "bin/python") else str(environment)
        hint = f"the image needs {head.executable}, Python {head.version}, at this path on every node"
        raise ImageError(f"the image's Python {gone} is not there", hint=hint, path=gone)
    return environment


def unstage(node: Path, file: Path | None = None) -> list[Path]:
    """Delete what is staged below ``node``: this image, or all of this user's. Returns the folders.

    Raises ImageError if a program runs in one of them; those before it are gone then.
    """
    place = node / f"storectl-{os.getuid()}"
    wanted = None if file is None else hex_of(read_head(file).tree)
    deleted = []
    with image_errors(f"delete what is staged in {place}", place):
        if not os.path.lexists(place):
            return []
        _own_folder(place)
        for lock in sorted(place.glob(f"*{_LOCK}")):
            folder = lock.with_suffix("")
            if wanted in (None, folder.name):
                with _locked(folder, LONGEST_WAIT):
                    if folder.is_dir():
                        _delete(folder)
                        deleted.append(folder)
                    _sweep(folder)
                    lock.unlink()
        if wanted is None:
            with suppress(OSError):  # somebody is staging again
                place.rmdir()
    return deleted


def head_at(path: Path) -> ImageHead:
    """The head of this image, or of the one that is unpacked or mounted in this folder.

    Raises ImageError or StoreFullError.
    """
    return _head_of_folder(path) if path.is_dir() else read_head(path)


def _head_of_folder(folder: Path) -> ImageHead:
    with image_errors(f"read the image in {folder}", folder), (folder / HEAD_NAME).open("rb") as stream:
        return decode_head(stream.read(LARGEST_HEAD), str(folder))


def _own_folder(place: Path) -> None:
    """Make the folder for this user's images. Raises ImageError if it is not this user's alone. May raise OSError."""
    with suppress(FileExistsError):
        place.mkdir(mode=0o700)
    status = place.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
        raise ImageError(
            f"{place} is not a folder of yours alone",
            hint="remove it if it is yours; or name another folder with --to",
            path=str(place),
        )


def _is_there(folder: Path) -> bool:
    try:
        return folder.with_suffix(_LOCK).read_text() == _this_boot() and folder.is_dir()
    except OSError:
        return False


def _this_boot() -> str:
    return boot_id() or "unknown"


def _stage(file: Path, head: ImageHead, folder: Path, longest_wait: float) -> None:
    with _locked(folder, longest_wait) as lock:
        if _is_there(folder):  # another process was faster
            return
        _sweep(folder)
        if folder.exists():
            delete_tree(folder)  # of another boot
        os.ftruncate(lock, 0)
        _check_room(head, folder.parent)
        stage = folder.with_name(f"{_UNFINISHED}{folder.name}-{secrets.token_hex(8)}")
        stage.mkdir(mode=0o755)
        try:
            _unpack(file, head, stage)
            stage.rename(folder)
        except BaseException:
            delete_tree(stage)
            raise
        os.pwrite(lock, _this_boot().encode(), 0)


def _unpack(file: Path, head: ImageHead, stage: Path) -> None:
    tree = _Tree(stage)
    read = read_image(file, tree)
    tree.finish()
    if read != head:
        raise ImageError(f"{file} has changed while it was read", hint="try again", path=str(file))
    _check_entries(head)


@contextmanager
def _locked(folder: Path, longest_wait: float) -> Iterator[int]:
    """Hold the lock of this image; yields the descriptor of its file. The kernel frees it if this process dies."""
    end = time.monotonic() + longest_wait
    path = folder.with_suffix(_LOCK)
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            if _try_lock(descriptor) and _is_at(path, descriptor):
                yield descriptor
                return
        finally:
            os.close(descriptor)
        if time.monotonic() > end:
            raise ImageError(
                f"another process has been unpacking the image for {longest_wait:.0f} s",
                hint=f"see who has {path} open, or name another folder with --to",
                path=str(path),
            )
        time.sleep(_POLL)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(path: Path, descriptor: int) -> bool:
    """Whether the file is still the one at this path: who deletes an image deletes its lock."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _sweep(folder: Path) -> None:
    """Delete what dead processes have left of this image."""
    for left in folder.parent.glob(f"{_UNFINISHED}{folder.name}-*"):
        delete_tree(left)


def _check_room(head: ImageHead, place: Path) -> None:
    room = os.statvfs(place)
    if head.size > room.f_bavail * room.f_frsize or (room.f_files and head.members > room.f_favail):
        raise ImageError(
            f"the image needs {head.size >> 20} MiB and {head.members} files, for which {place} has no room",
            hint="name a larger place with --to, or build a hot image",
            path=str(place),
        )


def _check_entries(head: ImageHead) -> None:
    """Raise ImageError if what a hot image leads to is not there."""
    if head.kind == HOT:
        for entry in head.entries:
            if not os.path.isdir(entry):
                layer = next((layer for layer in head.layers if entry.startswith(f"{layer}/")), entry)
                raise ImageError(
                    f"the image is a hot one, which needs {entry} of the layer {layer}, and that is not there",
                    hint="warm the project in that store and build the image again, or build a full one",
                    path=entry,
                )


def _delete(folder: Path) -> None:
    """Delete an unpacked image, unless a program runs in it."""
    head = _head_of_folder(folder)
    environment = StoreLayout(folder).environment(EnvironmentId(head.environment))
    try:
        lease = try_write_lease(environment / "pyvenv.cfg")
    except OSError:
        lease = None
    if lease is None:
        raise ImageError(f"a program runs in {folder}", hint="wait for its end, then try again", path=str(folder))
    with lease:
        gone = folder.with_name(f"{_UNFINISHED}{folder.name}-{secrets.token_hex(8)}")
        folder.rename(gone)
        delete_tree(gone)


class _Tree:
    """Makes the members of an image below a new, empty folder. Links come last, so nothing is made through one."""

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._folders: list[str] = []
        self._links: dict[str, str] = {}

    def begin(self, head: ImageHead) -> None:
        """Write the head."""
        self.file(HEAD_NAME, encode_head(head), executable=False)

    def folder(self, path: str) -> None:
        """Make a folder."""
        os.mkdir(f"{self._root}/{path}", 0o755)
        self._folders.append(path)

    def file(self, path: str, content: bytes, *, executable: bool) -> None:
        """Write a file, read-only."""
        descriptor = os.open(f"{self._root}/{path}", _NEW_FILE, 0o600)
        try:
            rest = memoryview(content)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            os.fchmod(descriptor, 0o555 if executable else 0o444)
        finally:
            os.close(descriptor)

    def link(self, path: str, target: str) -> None:
        """Note a link."""
        self._links[path] = target

    def finish(self) -> None:
        """Make the links, and close the folders of entries and of the environment: nobody writes into them."""
        for path, target in self._links.items():
            os.symlink(target, f"{self._root}/{path}")
        for path in self._folders:
            if "/" in path:
                os.chmod(f"{self._root}/{path}", FOLDER_MODE)
