"""Step 6: no two members on one path, on any file system: after spreading, Unicode composition and case folding."""

import unicodedata
from collections.abc import Iterable

from storectl_store.wheel.layout import spread
from storectl_store.wheel.limits import check_folders
from storectl_store.wheel.refusal import Code, refused, shown


def check_collisions(names: Iterable[str]) -> None:
    """E_ZIP_COLLISION for two files on one path, or a file where a folder must be. Folder entries may repeat."""
    files: dict[str, str] = {}
    folders: dict[str, str] = {}
    for name in names:
        part, path = spread(name)
        key = _folded(f"{part}/{path}")
        if key.endswith("/"):
            folders.setdefault(key[:-1], name)
        elif key in files:
            raise refused(Code.COLLISION, f"{shown(name)} and {shown(files[key])} are one path", member=name)
        else:
            files[key] = name
        parent = key.removesuffix("/").rpartition("/")[0]
        while parent and parent not in folders:
            folders[parent] = name
            parent = parent.rpartition("/")[0]
        check_folders(len(folders))
    _check_kinds(files, folders)


def _check_kinds(files: dict[str, str], folders: dict[str, str]) -> None:
    key = min(files.keys() & folders.keys(), default=None)
    if key is not None:
        file, below = files[key], folders[key]
        raise refused(Code.COLLISION, f"{shown(file)} is a file, and a folder for {shown(below)}", member=file)


def _folded(path: str) -> str:
    if path.isascii():
        return path.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())
