"""Build the image of a published environment: full or hot, as an archive or as a squashfs of the same tree."""

import os
import posixpath
import subprocess
import sysconfig
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from storectl_store.digest import Digest, digest_of_hex
from storectl_store.environments.export.archive import EARLIEST, replaced
from storectl_store.environments.planning.overlap import BYTECODE_FOLDER
from storectl_store.errors import ImageError
from storectl_store.images.hot import hot_part, used_layers
from storectl_store.images.image_contents import TREE, ImageContents, read_contents
from storectl_store.images.image_errors import image_errors
from storectl_store.images.image_head import FULL, HOT, ImageHead
from storectl_store.images.writing import completed, write_image, write_tar

_MODULES = "site-packages"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageOrder:
    """The image to be built: of ``environment``, into ``file``.

    ``used`` are the files that a recorded run opened, in order and absolute, for a hot image; None for a full one.
    ``lock_file`` and ``options`` are those that chose the environment.
    """

    environment: Path
    file: Path
    compressed: bool = True
    squashfs: bool = False
    used: tuple[str, ...] | None = None
    lock_file: Path | None = None
    options: tuple[str, ...] = ()
    umask: int = 0o022


def build_image(order: ImageOrder) -> ImageHead:
    """Build it, instead of what is at its place. Returns its head.

    Raises ImageError if something is gone or refused, StoreFormatError if the environment cannot be read,
    StoreFullError if the disk refuses.
    """
    if order.file.is_dir():
        raise ImageError(f"{order.file} is a folder", hint="name a file with -o", path=str(order.file))
    with image_errors(f"build an image of {order.environment}", order.environment):
        used = None if order.used is None else [os.path.realpath(path) for path in order.used]
        contents = read_contents(order.environment)
        if used is not None:
            contents = read_contents(order.environment, _modules(contents, used))
            contents = hot_part(contents, _without_packed(contents, used))
        head = _head(order, contents)
        if order.squashfs:
            return _write_squashfs(contents, head, order)
    return write_image(contents, head, order.file, compressed=order.compressed, umask=order.umask)


def folders_to_watch(environment: Path) -> list[str]:
    """The folders with the files of an environment and its entries. Raises as ``build_image``."""
    with image_errors(f"read the environment {environment}", environment):
        files = read_contents(environment).files.values()
        return sorted({os.path.dirname(file.source) for file in files if file.source})


def _modules(contents: ImageContents, used: Iterable[str]) -> list[str]:
    """The modules whose bytecode was opened, in order, as paths of their sources below site-packages."""
    sources = {file.source: path for path, file in contents.files.items() if file.source.endswith(".pyc")}
    paths = (sources[path] for path in used if path in sources)
    return [module for path in paths if (module := _module_of(path, contents.record.cache_tag)) is not None]


def _module_of(path: str, cache_tag: str) -> str | None:
    """The module of a ``.pyc`` in an image, below site-packages; None if it is no entry's module."""
    folder, name = posixpath.split(path)
    parts = folder.split("/")  # store, name, prefix, site-packages, …
    if parts[3:4] != [_MODULES] or parts[-1] != BYTECODE_FOLDER or not name.endswith(f".{cache_tag}.pyc"):
        return None
    return "/".join([*parts[4:-1], f"{name.removesuffix(f'.{cache_tag}.pyc')}.py"])


def _without_packed(contents: ImageContents, used: Iterable[str]) -> list[str]:
    """What was used, but for bytecode: the pack of the image has it."""
    return [path for path in used if not path.endswith(f".{contents.record.cache_tag}.pyc")]


def _head(order: ImageOrder, contents: ImageContents) -> ImageHead:
    record = contents.record
    hot = order.used is not None
    return ImageHead(
        environment=record.id,
        kind=HOT if hot else FULL,
        executable=record.executable,
        version=record.version,
        cache_tag=record.cache_tag,
        platform=sysconfig.get_platform(),
        lock=None if order.lock_file is None else digest_of_hex(sha256(order.lock_file.read_bytes()).hexdigest()),
        options=order.options,
        layers=used_layers(contents) if hot else (),
        entries=tuple(sorted(contents.places.values())) if hot else (),
        local=tuple(_local_folders(contents)),
        members=0,
        size=0,
        tree=Digest(""),
    )


def _local_folders(contents: ImageContents) -> list[str]:
    """The folders that ``.pth`` files name: code there is not in the image."""
    folder = f"{TREE.entries}/"
    starting = (
        file
        for path, file in contents.files.items()
        if path.endswith(".pth") and (not path.startswith(folder) or path.split("/")[3:-1] == [_MODULES])
    )
    lines = (line for file in starting for line in file.read().splitlines())
    return sorted({os.fsdecode(line) for line in lines if line.startswith(b"/")})


def _write_squashfs(contents: ImageContents, head: ImageHead, order: ImageOrder) -> ImageHead:
    """Have ``mksquashfs`` write the tree, which it reads as a tar archive. May raise OSError."""
    head = completed(contents, head)
    options = ["-tar", "-noappend", "-quiet", "-no-progress", "-comp", "zstd", "-mkfs-time", str(EARLIEST)]
    with replaced(order.file, 0o666 & ~order.umask) as stream:
        command = ["mksquashfs", "-", stream.name, *options, "-root-mode", "0755"]
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
            )
        except FileNotFoundError:
            hint = "install it (Debian: squashfs-tools), or build without --squashfs"
            raise ImageError("there is no mksquashfs on PATH", hint=hint) from None
        with process:
            assert process.stdin is not None
            assert process.stderr is not None
            with suppress(BrokenPipeError):  # it has ended, and says why
                write_tar(contents, head, process.stdin)
                process.stdin.close()
            told = process.stderr.read().decode(errors="replace").strip()
        if process.returncode != 0:
            raise ImageError(f"mksquashfs failed: {told[-500:]}", hint="squashfs-tools 4.5 or newer reads tar archives")
    return head
