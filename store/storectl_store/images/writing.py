"""Write an image as a file.

Equal contents give equal bytes: names are sorted, all times are one moment, owner and group are 0, and a gzip header
holds neither name nor time.
"""

import hashlib
import io
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import IO, cast

from isal import igzip

from storectl_store.environments.export.archive import EARLIEST, replaced
from storectl_store.images.image_contents import ImageContents, ImageFile
from storectl_store.images.image_errors import image_errors
from storectl_store.images.image_head import HEAD_NAME, ImageHead, TreeDigest, encode_head

_LEVEL = 3  # the best that igzip has


def write_image(contents: ImageContents, head: ImageHead, file: Path, *, compressed: bool, umask: int) -> ImageHead:
    """Write the image to ``file``, instead of what is there. Returns its head, with digest and counts.

    Raises ImageError or StoreFullError if the file is refused, or something of the contents is gone.
    """
    with image_errors(f"write the image {file}", file):
        head = completed(contents, head)
        with replaced(file, 0o666 & ~umask) as stream:
            if not compressed:
                write_tar(contents, head, stream)
                return head
            with igzip.IGzipFile("", "wb", compresslevel=_LEVEL, fileobj=stream, mtime=0) as out:  # type: ignore[no-untyped-call]
                write_tar(contents, head, cast("IO[bytes]", out))
    return head


def completed(contents: ImageContents, head: ImageHead) -> ImageHead:
    """The head with the digest and the counts of these contents. May raise OSError."""
    tree = TreeDigest()
    for path in contents.folders:
        tree.add_folder(path)
    for path, target in contents.links.items():
        tree.add_link(path, target)
    for path, file in contents.files.items():
        sha256 = hashlib.sha256(file.read()).hexdigest()
        tree.add_file(path, file.size, sha256, executable=file.executable)
    head = replace(head, members=tree.members, size=tree.size)
    return replace(head, tree=tree.under(head))


def write_tar(contents: ImageContents, head: ImageHead, stream: IO[bytes]) -> None:
    """Write the image as a plain tar archive. May raise OSError."""
    with tarfile.open(fileobj=stream, mode="w|", format=tarfile.GNU_FORMAT) as archive:
        _add_file(archive, HEAD_NAME, encode_head(head), executable=False)
        for path in sorted([*contents.folders, *contents.links, *contents.files]):
            file: ImageFile | None = contents.files.get(path)
            if file is not None:
                _add_file(archive, path, file.read(), executable=file.executable)
            else:
                kind = tarfile.SYMTYPE if path in contents.links else tarfile.DIRTYPE
                archive.addfile(_member(path, kind, 0o555, target=contents.links.get(path, "")))


def _add_file(archive: tarfile.TarFile, path: str, content: bytes, *, executable: bool) -> None:
    member = _member(path, tarfile.REGTYPE, 0o555 if executable else 0o444)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def _member(path: str, kind: bytes, mode: int, *, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(path)
    member.type, member.mode, member.mtime, member.linkname = kind, mode, EARLIEST, target
    return member
