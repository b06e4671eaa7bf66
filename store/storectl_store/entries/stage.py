"""Staging: a wheel file becomes a whole entry in a folder of its own, invisible until it is committed.

    <stage>/
      entry/            site-packages/ scripts/ data/ headers/, sealed; itself 0700 until it has been renamed
      manifest.json     what goes to meta/

The wheel and the stage must be on the store's file system. Staging runs in a worker process: it takes values, returns a
value, and leaves nothing on failure.
"""

import hashlib
import mmap
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from storectl_store.digest import Digest, digest_of_hex, hex_of
from storectl_store.disk.durability import disk_errors
from storectl_store.entries.installed_record import installed_record
from storectl_store.entries.manifest import Manifest, ManifestFile, encode_manifest, folders_above
from storectl_store.entries.native.libraries import escaping_library
from storectl_store.entries.staged import INSTALLER, StagedEntry
from storectl_store.entries.trash import delete_tree
from storectl_store.entries.unpack import Folders, check_content, unpack, write_constant
from storectl_store.errors import WheelError
from storectl_store.wheel.check import check_wheel
from storectl_store.wheel.checked import CheckedWheel, Expectation, Part

_OF_INSTALLERS = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")
"""Files of the dist-info folder that say how a wheel was installed, which the wheel cannot know.

Source: the "Recording installed projects" specification.
"""


def stage_wheel(wheel: Path, expectation: Expectation, stage: Path, *, verified: Digest | None = None) -> StagedEntry:
    """Check the wheel and unpack it into the new folder ``stage``, whose parent exists.

    The wheel is mapped, so it has to be a file that no process changes meanwhile: one in the session of the writer.

    ``verified`` is the sha256 that the fetcher computed over every byte while it wrote this very file. If the lock file
    has a sha256, the two are compared and the archive is not hashed again: no other process can write to the file in
    between. If the lock file has none, ``verified`` is one more digest that the bytes must have.

    Raises WheelError if the wheel is refused, and StoreFullError or StoreError if the disk refuses. Then there is no
    ``stage``.
    """
    counted = verified if "sha256" in expectation.digests else None
    if verified is not None:
        expectation = replace(expectation, digests={"sha256": hex_of(verified)} | expectation.digests)
    with disk_errors(f"unpack {expectation.filename}"):
        data = _mapped(wheel)
        checked = check_wheel(data, expectation, verified=counted)
        stage.mkdir()
        try:
            stage.chmod(0o700)
            return _fill(stage, data, checked, expectation)
        except BaseException:
            delete_tree(stage)
            raise


def _mapped(wheel: Path) -> mmap.mmap | bytes:
    """Map the wheel's bytes.

    The map is closed with its last view: closing it by hand fails while an error holds one.
    """
    descriptor = os.open(wheel, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise WheelError(f"{wheel.name} is not a regular file", code="E_ZIP_STRUCT", hint="give the wheel itself")
        if status.st_size == 0:
            return b""
        return mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
    finally:
        os.close(descriptor)


def _fill(stage: Path, data: mmap.mmap | bytes, checked: CheckedWheel, expectation: Expectation) -> StagedEntry:
    entry = stage / "entry"
    entry.mkdir()
    entry.chmod(0o700)
    with _named(checked.filename), Folders.below(entry) as folders:
        files = _unpack_all(data, checked, folders)
        folders.seal()
    manifest = Manifest(
        digest=_digest(data, expectation),
        filename=checked.filename,
        name=checked.name,
        version=checked.version,
        wheel_size=len(data),
        tags=checked.tags,
        root_is_purelib=checked.root_is_purelib,
        dist_info=checked.dist_info,
        requires_dist=checked.requires_dist,
        entry_points=checked.entry_points,
        escaping_libraries=_escaping_libraries(entry, files),
        files=tuple(sorted(files, key=lambda file: (file.part, file.path))),
    )
    staged = StagedEntry(folder=stage, manifest=manifest, warnings=checked.warnings)
    _write_manifest(staged)
    return staged


def _unpack_all(data: mmap.mmap | bytes, checked: CheckedWheel, folders: Folders) -> list[ManifestFile]:
    """Unpack all members. Files that only an installer may write are checked, then left out or replaced."""
    own = {f"{checked.dist_info}/{name}".casefold() for name in _OF_INSTALLERS}
    left_out = [m for m in checked.members if m.part is Part.SITE_PACKAGES and m.path.casefold() in own]
    for member in left_out:
        check_content(data, member)
    files = unpack(data, [member for member in checked.members if member not in left_out], folders)
    files.append(write_constant(Part.SITE_PACKAGES, f"{checked.dist_info}/INSTALLER", INSTALLER, folders))
    content = installed_record(checked.dist_info, files, checked.entry_points)
    return [*files, write_constant(Part.SITE_PACKAGES, f"{checked.dist_info}/RECORD", content, folders)]


@contextmanager
def _named(filename: str) -> Iterator[None]:
    """Put the wheel's file name before the errors of its members."""
    try:
        yield
    except WheelError as error:
        raise WheelError(f"{filename}: {error.message}", code=error.code, hint=error.hint, **error.facts) from error


def _digest(data: mmap.mmap | bytes, expectation: Expectation) -> Digest:
    """The wheel's sha256: the expected one, which the checks have compared, or else computed now."""
    return digest_of_hex(expectation.digests.get("sha256") or hashlib.sha256(data).hexdigest())


def _escaping_libraries(entry: Path, files: list[ManifestFile]) -> tuple[str, ...]:
    """Paths in site-packages of the libraries that look for others in a folder that the wheel does not have."""
    paths = sorted(file.path for file in files if file.part is Part.SITE_PACKAGES)
    libraries = [path for path in paths if _is_library(path)]
    if not libraries:
        return ()
    folders = folders_above(paths)
    return tuple(path for path in libraries if _escapes(entry / Part.SITE_PACKAGES.value / path, path, folders))


def _is_library(path: str) -> bool:
    name = path.rpartition("/")[2]
    return name.endswith(".so") or ".so." in name


def _escapes(library: Path, path: str, folders: set[str]) -> bool:
    with library.open("rb") as file:
        return escaping_library(file, path, folders)


def _write_manifest(staged: StagedEntry) -> None:
    descriptor = os.open(staged.manifest_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444)
    with open(descriptor, "wb") as file:
        os.fchmod(descriptor, 0o444)
        file.write(encode_manifest(staged.manifest))
