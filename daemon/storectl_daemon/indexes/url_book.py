"""The book of addresses: what indexes have said, so that the second time needs no network.

    <folder>/<project name>.json
      {"format": 2,
       "files": {"sha256:…": [{"filename": …, "url": …, "size": …, "requires_python": …, "index": …}, …]},
       "lookups": ["<64 hex digits>", …]}

``files`` maps a locked digest to what each index that has it says of the file, the latest first. An address counts only
if its index is among those asked now. ``lookups`` holds the questions whose answer is complete although no index
offered some digest: version, digests and the sources asked, hashed together. The file is sealed
(``storectl_store.entries.sealed``). A file from before there were seals is read, too.

A book that is broken, has another format, or cannot be written counts as empty. Addresses with a query are never
written: they hold signatures and tokens, and expire.
"""

import hashlib
import json
import logging
import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from packaging.utils import NormalizedName

from storectl_daemon.errors import DaemonError
from storectl_daemon.indexes.file import IndexFile
from storectl_daemon.network.address import Address
from storectl_store.digest import Digest, parse_strong_digest
from storectl_store.disk.whole_files import PRIVATE, replace_file
from storectl_store.entries.sealed import opened, sealed
from storectl_store.selection.pin import IndexPin

BOOK_FORMAT = 2
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_LARGEST_BOOK = 16 << 20
_MOST_LOOKUPS = 500
_MOST_INDEXES = 8

_log = logging.getLogger(__name__)


class UrlBook:
    """One JSON file per project name below ``folder``. Blocking; safe in threads of one process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()

    def recall(self, pin: IndexPin, sources: Sequence[Address] | None) -> tuple[IndexFile, ...] | None:
        """The files with the pin's digests if the book has all of them; otherwise None (ask the indexes).

        The book has all of them if one of ``sources`` has each digest, or if exactly these sources have already
        answered exactly this question. A local file that is gone makes the answer incomplete. With None for ``sources``
        the answers of every index count: that is for a wheel that the store has already, or that must not be asked for.
        """
        book = self._read(pin.name)
        known = _known(pin, _of_sources(book["files"], sources))
        asked = sources is not None and question(pin, sources) in book["lookups"]
        complete = 0 < len(known) == len(pin.digests) or asked
        return known if known and complete and all(map(_still_there, known)) else None

    def address(self, name: NormalizedName, digest: Digest) -> IndexFile | None:
        """The file with this digest, from any index; None if no index has given an address for it."""
        entries = self._read(name)["files"].get(digest)
        return _file(digest, entries[0]) if entries else None

    def record(self, pin: IndexPin, sources: Sequence[Address], files: Iterable[IndexFile]) -> None:
        """Remember the answer to the question ``pin``. All of ``sources`` must have answered."""
        answers = [file for file in files if is_locked(pin, file)]
        durable = [file for file in answers if not urlsplit(file.url).query]
        with self._lock:
            book = self._read(pin.name)
            for file in durable:
                others = [entry for entry in book["files"].get(file.digest, []) if entry["index"] != file.index]
                book["files"][file.digest] = [_entry(file), *others][:_MOST_INDEXES]
            if durable and len(durable) == len(answers):
                key = question(pin, sources)
                book["lookups"] = [*(k for k in book["lookups"] if k != key), key][-_MOST_LOOKUPS:]
            self._write(pin.name, book)

    def _path(self, name: NormalizedName) -> Path:
        if not _NAME.fullmatch(name):
            raise ValueError(f"not a normalised project name: {name!r}")
        return self._folder / f"{name}.json"

    def _read(self, name: NormalizedName) -> dict[str, Any]:
        path = self._path(name)
        try:
            with path.open("rb") as file:
                return _checked(json.loads(opened(file.read(_LARGEST_BOOK))[0]))
        except FileNotFoundError:
            pass
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            _log.warning("%s is ignored, indexes are asked again: %s", path, error)
        return {"format": BOOK_FORMAT, "files": {}, "lookups": []}

    def _write(self, name: NormalizedName, book: dict[str, Any]) -> None:
        """Replace the file in one step. It is not synced, because the indexes can be asked again."""
        path = self._path(name)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            content = json.dumps(book, separators=(",", ":"), sort_keys=True).encode() + b"\n"
            replace_file(path, sealed(content), mode=PRIVATE)
        except OSError as error:
            _log.warning("%s is not written: %s", path, error)


def is_locked(pin: IndexPin, file: IndexFile) -> bool:
    """Whether the file is one of the locked ones: by its digest; by its name only if no digest is locked."""
    return file.digest in pin.digests if pin.digests else file.filename in pin.filenames


def _of_sources(
    files: Mapping[Digest, Sequence[dict[str, Any]]], sources: Sequence[Address] | None
) -> dict[Digest, dict[str, Any]]:
    """For each digest, what the first of the sources that has it says; if ``sources`` is None, what any said last."""
    if sources is None:
        return {digest: entries[0] for digest, entries in files.items() if entries}
    order = {str(source): place for place, source in reversed(list(enumerate(sources)))}
    offered = {digest: [entry for entry in entries if entry["index"] in order] for digest, entries in files.items()}
    return {
        digest: min(entries, key=lambda entry: order[entry["index"]]) for digest, entries in offered.items() if entries
    }


def _known(pin: IndexPin, files: Mapping[Digest, dict[str, Any]]) -> tuple[IndexFile, ...]:
    """The files of the pin that the book has.

    A local file is left out if no digest is locked: it may have been replaced.
    """
    if pin.digests:
        return tuple(_file(digest, files[digest]) for digest in sorted(pin.digests) if digest in files)
    named = (_file(digest, entry) for digest, entry in files.items() if entry["filename"] in pin.filenames)
    return tuple(file for file in named if not Address(file.url).is_file)


def question(pin: IndexPin, sources: Sequence[Address]) -> str:
    """The key of a lookup: 64 hex digits. Logins in the sources do not count."""
    parts = [pin.version, *sorted(pin.digests or pin.filenames), "", *(str(source) for source in sources)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _entry(file: IndexFile) -> dict[str, Any]:
    return {
        "filename": file.filename,
        "url": file.url,
        "size": file.size,
        "requires_python": file.requires_python,
        "index": file.index,
    }


def _file(digest: Digest, entry: dict[str, Any]) -> IndexFile:
    return IndexFile(digest=digest, **entry)


def _checked(book: Any) -> dict[str, Any]:
    """The book, if every part of it has the right shape; otherwise one of several errors is raised."""
    if book["format"] != BOOK_FORMAT:
        raise ValueError(f"format {book['format']!r} is not {BOOK_FORMAT}")
    for digest, entries in book["files"].items():
        if not isinstance(entries, list) or not all(_is_entry(parse_strong_digest(digest), entry) for entry in entries):
            raise TypeError(f"the entry of {digest} is malformed")
    if not all(isinstance(key, str) for key in book["lookups"]):
        raise TypeError("a lookup is malformed")
    return {"format": BOOK_FORMAT, "files": dict(book["files"]), "lookups": list(book["lookups"])}


def _is_entry(digest: Digest, entry: Any) -> bool:
    _file(digest, entry)
    texts = (entry["filename"], entry["url"], entry["requires_python"] or "", entry["index"] or "")
    return all(isinstance(text, str) for text in texts) and isinstance(entry["size"], int | None)


def _still_there(file: IndexFile) -> bool:
    try:
        address = Address(file.url)
        return not address.is_file or address.path.is_file()
    except (OSError, DaemonError):
        return False
