r"""Index pages on disk, so that the next daemon asks only whether they have changed.

    <folder>/<64 hex>
      {"format": 2, "url": …, "content_type": …, "etag": …, "last_modified": …, "asked_at": …, "max_age": …}\n
      the body as it was sent
      sha256 <64 hex digits of all before>\n

The name is the sha256 of the address with its user name and without its password. ``asked_at`` is in seconds of the
system clock, ``max_age`` in seconds (RFC 9111, 5.2.2.1). A page that cannot be read is as good as none. The folder is
kept below ``LARGEST_FOLDER`` bytes: the pages that were written longest ago go first.
"""

import hashlib
import json
import logging
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from storectl_daemon.network.address import Address
from storectl_daemon.network.fetch import Page
from storectl_store.disk.whole_files import PRIVATE, replace_file
from storectl_store.entries.sealed import opened, sealed

PAGE_FORMAT = 2
LARGEST_FOLDER = 256 << 20
LONGEST_AGE = 86400
"""Seconds after which every page is asked for again, whatever its server says."""

_MAX_AGE = re.compile(r"(?:^|[\s,])max-age=\"?(\d{1,9})")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptPage:
    """Everything about a page except its body. ``url`` is where redirects ended, without a login."""

    url: str
    content_type: str
    etag: str | None
    last_modified: str | None
    asked_at: float
    max_age: int

    @property
    def conditions(self) -> dict[str, str]:
        """The headers of a conditional request (RFC 9110, 13.1)."""
        found = {"If-None-Match": self.etag, "If-Modified-Since": self.last_modified}
        return {name: value for name, value in found.items() if value}

    def is_fresh(self, now: float) -> bool:
        """Whether the server has said that the page need not be asked for again yet."""
        return self.asked_at <= now < self.asked_at + self.max_age

    def confirmed(self, answer: Page, now: float) -> "KeptPage":
        """This page after the server has said that nothing has changed: with the age and headers of that ``answer``."""
        return replace(
            self,
            etag=answer.etag or self.etag,
            last_modified=answer.last_modified or self.last_modified,
            asked_at=now,
            max_age=max_age_of(answer.cache_control) if answer.cache_control else self.max_age,
        )


def kept_page(answer: Page, now: float) -> KeptPage | None:
    """What to keep of an answer; None if it may not be kept, or if it could never be used again."""
    if _has(answer.cache_control, "no-store"):
        return None
    page = KeptPage(
        url=answer.url.without_login(),
        content_type=answer.content_type,
        etag=answer.etag,
        last_modified=answer.last_modified,
        asked_at=now,
        max_age=max_age_of(answer.cache_control),
    )
    return page if page.conditions or page.max_age else None


def max_age_of(cache_control: str) -> int:
    """Seconds that a page may be used without asking; 0 if the server states none, or states that it must be asked."""
    found = _MAX_AGE.search(cache_control.lower())
    if found is None or _has(cache_control, "no-cache"):
        return 0
    return min(int(found[1]), LONGEST_AGE)


class PageStore:
    """The pages below one folder. Blocking; safe in threads and processes, because a file is replaced as a whole."""

    def __init__(self, folder: Path, *, largest: int = LARGEST_FOLDER) -> None:
        self._folder = folder
        self._largest = largest

    def read(self, url: Address) -> tuple[KeptPage, bytes] | None:
        """The page of this address, and its body; None if there is none, or if it is damaged."""
        try:
            content, has_seal = opened(self._path(url).read_bytes())
            head, _, body = content.partition(b"\n")
            return _read_head(json.loads(head), has_seal=has_seal), body
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            _log.warning("a kept page is ignored, its index is asked again: %s", type(error).__name__)
            return None

    def write(self, url: Address, page: KeptPage, body: bytes) -> None:
        """Keep a page. If it cannot be written, the only cost is a request later."""
        head = {"format": PAGE_FORMAT, **asdict(page)}
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._make_room(len(body))
            replace_file(self._path(url), sealed(json.dumps(head).encode() + b"\n" + body), mode=PRIVATE)
        except OSError as error:
            _log.warning("an index page is not kept: %s", error.strerror)

    def remove(self, url: Address) -> None:
        """Forget a page."""
        with suppress(OSError):
            self._path(url).unlink()

    def drop_old(self, before: float) -> int:
        """Delete the pages that were asked for last before this time, in seconds. Returns how many."""
        dropped = 0
        with suppress(FileNotFoundError):
            for changed, _, path in self._sizes():
                if changed < before:
                    path.unlink(missing_ok=True)
                    dropped += 1
        return dropped

    def _path(self, url: Address) -> Path:
        login = url.login
        name = f"{login.user if login else ''}\0{url.without_login()}"
        return self._folder / hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()

    def _make_room(self, size: int) -> None:
        pages = sorted(self._sizes())
        total = sum(page_size for _, page_size, _ in pages) + size
        for _, page_size, path in pages:
            if total <= self._largest:
                return
            with suppress(OSError):
                path.unlink()
            total -= page_size

    def _sizes(self) -> Iterator[tuple[float, int, Path]]:
        """Time of the last change, size and path of each page."""
        for path in self._folder.iterdir():
            with suppress(OSError):
                status = path.stat()
                yield status.st_mtime, status.st_size, path


def _read_head(head: dict[str, Any], *, has_seal: bool) -> KeptPage:
    if head.pop("format") != PAGE_FORMAT or not has_seal:
        raise ValueError("damaged, or of another format")
    page = KeptPage(**head)
    texts = (page.url, page.content_type, page.etag or "", page.last_modified or "")
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("a text is none")
    return replace(page, asked_at=float(page.asked_at), max_age=int(page.max_age))


def _has(cache_control: str, directive: str) -> bool:
    return directive in (part.partition("=")[0].strip().lower() for part in cache_control.split(","))
