"""Unpacking source archives. Their digest has been checked, but their content is still untrusted.

Links that leave the folder, devices, absolute names and names with ``..`` are refused, as by PEP 706's ``data`` filter.
An archive that is larger than anything that is built from source is refused, too.
"""

import shutil
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

from storectl_daemon.building.failure import BuildFailedError

MOST_BYTES = 4 << 30
MOST_FILES = 300_000


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack into the empty folder. Returns the project's folder: the one top-level folder, else ``folder`` itself."""
    folder.mkdir()
    try:
        if zipfile.is_zipfile(archive):
            _unzip(archive, folder)
        else:
            _untar(archive, folder)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError, RuntimeError, ValueError) as error:
        raise BuildFailedError(
            f"the source archive cannot be unpacked: {error}", hint="lock a version with a sound source archive"
        ) from error
    children = list(folder.iterdir())
    return children[0] if len(children) == 1 and children[0].is_dir() else folder


def _untar(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as tar:
        files = size = 0
        for member in tar:
            files, size = files + 1, size + max(member.size, 0)
            _check_limits(files, size)
            tar.extract(member, folder, filter="data")


def _unzip(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as opened:
        members = opened.infolist()
        _check_limits(len(members), sum(member.file_size for member in members))
        for member in members:
            target = folder / _plain(member.filename)
            if member.is_dir():
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            with opened.open(member) as source, target.open("xb") as out:
                shutil.copyfileobj(source, out)
            if (member.external_attr >> 16) & 0o111:
                target.chmod(0o755)


def _plain(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or not path.parts:
        raise ValueError(f"{name!r} is not a name below the archive")
    return path


def _check_limits(files: int, size: int) -> None:
    if files > MOST_FILES or size > MOST_BYTES:
        raise ValueError(f"more than {MOST_FILES} files or {MOST_BYTES} bytes")
