r"""``VERSION``: what makes a folder a store, and says which storectl can read it.

    VERSION         "storectl store <format>\n"
    VERSION.copy    the same text, for a damaged VERSION; code that changes the format deletes the copy first

If VERSION is gone, or has one bit changed, it is written again, provided that the copy, or the folders of a store, show
that this is one.
"""

import os
import secrets
from pathlib import Path

from storectl_store.disk.durability import fsync_folder, sync_descriptor
from storectl_store.disk.whole_files import replace_file
from storectl_store.entries.layout import STORE_FORMAT, StoreLayout
from storectl_store.errors import StoreFormatError

VERSION_TEXT = f"storectl store {STORE_FORMAT}\n"

UNFINISHED_VERSION = ".VERSION."
"""The beginning of the name of a VERSION that is still being written."""

_BEFORE_THE_STORE = {"start.lock", "state"}
"""What the command that starts a daemon may have made in the folder before it is a store."""

_LARGEST = 100  # bytes of the file that are read


def ensure_version(layout: StoreLayout) -> None:
    """Make the folder a store if it is empty, and mend its VERSION.

    Raises StoreFormatError for any other folder. May raise OSError.
    """
    if not layout.version_file.exists():
        layout.root.mkdir(parents=True, exist_ok=True)
        _refuse_strangers(layout)
        _write(layout)
    found = _read(layout.version_file)
    if found != VERSION_TEXT:
        if not _is_damaged(layout, found):
            raise _of_another_format(layout, found)
        _write(layout)
    if _read(layout.version_copy) != VERSION_TEXT:
        replace_file(layout.version_copy, VERSION_TEXT.encode(), mode=0o600)


def check_version(layout: StoreLayout) -> None:
    """Raise StoreFormatError unless the folder is a store of this format. Writes nothing.

    A damaged VERSION that ``ensure_version`` would write again is accepted.
    """
    found = _read(layout.version_file)
    if found == VERSION_TEXT or _is_damaged(layout, found):
        return
    if not found:
        hint = "name the folder of one (STORECTL_STORE)"
        raise StoreFormatError(f"{layout.root} is not a store", hint=hint, path=str(layout.root))
    raise _of_another_format(layout, found)


def version_problems(layout: StoreLayout) -> list[str]:
    """A sentence for each of the two files that is not as it should be."""
    files = (layout.version_file, layout.version_copy)
    return [f"{file.name} does not say {VERSION_TEXT.strip()!r}" for file in files if _read(file) != VERSION_TEXT]


def _read(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            return stream.read(_LARGEST).decode("latin-1")
    except FileNotFoundError:
        return ""


def _is_damaged(layout: StoreLayout, found: str) -> bool:
    """Whether this VERSION was once ours and is damaged.

    Either the copy is right, and VERSION differs from it in one bit or names no format at all; or the folders of a
    store are there, and VERSION names no format.
    """
    head, _, number = found.rstrip("\n").rpartition(" ")
    is_some_format = head == "storectl store" and number.isdecimal()
    if _read(layout.version_copy) == VERSION_TEXT:
        return not is_some_format or _bits_apart(found, VERSION_TEXT) == 1
    return not is_some_format and _looks_like_store(layout)


def _of_another_format(layout: StoreLayout, found: str) -> StoreFormatError:
    return StoreFormatError(
        f"{layout.root} is {found.strip()!r}, and this storectl reads {VERSION_TEXT.strip()!r}",
        hint="use the storectl that made it, or another folder (STORECTL_STORE)",
        found=found.strip(),
    )


def _bits_apart(one: str, other: str) -> int | None:
    """How many bits two texts of one length differ in; None if their lengths differ."""
    if len(one) != len(other):
        return None
    return sum((ord(a) ^ ord(b)).bit_count() for a, b in zip(one, other, strict=True))


def _looks_like_store(layout: StoreLayout) -> bool:
    return all(folder.is_dir() for folder in (layout.entries, layout.meta, layout.environments))


def _refuse_strangers(layout: StoreLayout) -> None:
    names = [name for name in os.listdir(layout.root) if not name.startswith(UNFINISHED_VERSION)]
    strangers = [name for name in names if name not in _BEFORE_THE_STORE]
    if strangers and not layout.version_file.exists() and not _looks_like_store(layout):
        raise StoreFormatError(
            f"{layout.root} is not a store and not empty: it holds {min(strangers)!r}",
            hint="choose an empty or new folder for the store (STORECTL_STORE)",
            path=str(layout.root),
        )


def _write(layout: StoreLayout) -> None:
    """Write VERSION, whole and in one step, so that two processes may do this at once."""
    root = layout.root
    root.chmod(0o700)
    unfinished = root / f"{UNFINISHED_VERSION}{secrets.token_hex(8)}"
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
        os.write(descriptor, VERSION_TEXT.encode())
        sync_descriptor(descriptor)
    finally:
        os.close(descriptor)
    unfinished.rename(layout.version_file)
    fsync_folder(root)
