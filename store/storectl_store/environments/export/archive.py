"""Write an export as a tar archive, in one pass and with no folder in between.

Equal environments give equal bytes: names are sorted, all times are one moment, owner and group are 0, and a gzip
header holds neither name nor time.
"""

import io
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from isal import igzip

from storectl_store.environments.export.contents import Contents, ExportedFile
from storectl_store.environments.export.writing import Told, writing_errors
from storectl_store.errors import ExportError

EARLIEST = 315532800
"""1980-01-01 in seconds: the earliest time that a zip archive can hold, into which some tools turn a tar archive."""

_COMPRESSED = (".tar.gz", ".tgz")
_PLAIN = ".tar"
_MANY = 64  # files between two reports


def export_to_archive(contents: Contents, file: Path, moment: int, umask: int, told: Told) -> None:
    """Write the export to ``file``, compressed if it is named ``.tar.gz`` or ``.tgz``, instead of what is there.

    ``moment`` is the time of all files in seconds; the mode of the archive itself is what ``umask`` leaves.

    Raises ExportError if the name says no kind, or the file is refused.
    """
    check_archive(file)
    with writing_errors(file), replaced(file, 0o666 & ~umask) as stream:
        compressed = file.name.endswith(_COMPRESSED)
        out = igzip.IGzipFile("", "wb", fileobj=stream, mtime=0) if compressed else stream  # type: ignore[no-untyped-call]
        with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
            _fill(archive, contents, moment, told)
        if compressed:
            out.close()


def check_archive(file: Path) -> None:
    """Raise ExportError if the file cannot be an archive: by its name, or because a folder is there."""
    if not file.name.endswith((*_COMPRESSED, _PLAIN)):
        raise ExportError(
            f"{file.name} does not say what kind of archive it is to be",
            hint="give it a name that ends with .tar, .tar.gz or .tgz",
            path=str(file),
        )
    if file.is_dir():
        raise ExportError(f"{file} is a folder", hint="name a file for --tar", path=str(file))


@contextmanager
def replaced(file: Path, mode: int) -> Iterator[IO[bytes]]:
    """A new file that takes the place of this one when the block is done; if it fails nothing changes."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(prefix=f".{file.name}-", dir=file.parent, delete=False) as stream:
        stage = Path(stream.name)
        try:
            yield stream.file
            stream.close()
            stage.chmod(mode)
            stage.rename(file)
        except BaseException:
            with suppress(OSError):
                stage.unlink()
            raise


def _fill(archive: tarfile.TarFile, contents: Contents, moment: int, told: Told) -> None:
    links = {path: _member(path, tarfile.SYMTYPE, moment, target=target) for path, target in contents.links.items()}
    folders = {path: _member(path, tarfile.DIRTYPE, moment) for path in contents.folders}
    waiting = 0
    for path in sorted([*links, *folders, *contents.files]):
        file = contents.files.get(path)
        if file is None:
            archive.addfile(links.get(path) or folders[path])
            continue
        _add(archive, path, file, moment)
        waiting += 1
        if waiting == _MANY:
            told(waiting)
            waiting = 0
    told(waiting)


def _add(archive: tarfile.TarFile, path: str, file: ExportedFile, moment: int) -> None:
    member = _member(path, tarfile.REGTYPE, moment, executable=file.executable)
    member.size = file.size
    with io.BytesIO(file.read()) if file.made else open(file.source, "rb") as stream:
        archive.addfile(member, stream)


def _member(path: str, kind: bytes, moment: int, *, executable: bool = False, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(path)
    member.type, member.mtime, member.linkname = kind, moment, target
    member.mode = 0o755 if executable or kind != tarfile.REGTYPE else 0o644
    return member
