"""Addresses of wheels in lock files: checked URLs, files beside the lock file, file names in both."""

import os
import re
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

SCHEMES = frozenset({"https", "http", "file"})
_PLAIN_URL = re.compile(r"https?://[A-Za-z0-9][A-Za-z0-9.-]*(?::[0-9]{1,5})?/[!-~]*")
"""Absolute, with a host, and printable; no login."""


def is_url(text: str) -> bool:
    """Whether this is a URL of any scheme rather than a path."""
    scheme, separator, _ = text.partition(":")
    return bool(separator) and len(scheme) > 1 and scheme.replace("+", "").replace("-", "").replace(".", "").isalnum()


def checked_url(text: str, *, base: str = "") -> str:
    """The absolute URL that this text means, relative to ``base`` if there is one.

    Raises ValueError, with what to do, if storectl does not fetch such URLs.
    """
    if _PLAIN_URL.fullmatch(text):  # as nearly all are: this check takes a tenth of the time
        return text
    if not text.isprintable() or " " in text:
        raise ValueError("an address with blanks or control characters")
    url = urljoin(f"{base.rstrip('/')}/", text) if base and not is_url(text) else text
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES:
        raise ValueError(f"an address with scheme {parts.scheme[:20] or '(none)'!r}; use https, http or file")
    if parts.scheme != "file" and not parts.hostname:
        raise ValueError("an address without a host")
    return url


def absolute_path(folder: Path, text: str) -> str:
    """The path that this text means in this folder, normalised without asking the disk. Raises ValueError for a NUL."""
    if "\0" in text:
        raise ValueError("a path with a NUL character")
    return os.path.normpath(os.path.join(folder, text))


def file_url(folder: Path, text: str) -> str:
    """The ``file:`` URL of a path relative to this folder."""
    return Path(absolute_path(folder, text)).as_uri()


def path_of_file_url(url: str) -> str:
    """The local path that a ``file:`` URL means."""
    return os.path.normpath(unquote(urlsplit(url).path))


def filename_of(url: str) -> str:
    """The last part of a URL's path, decoded."""
    # Without a query or fragment it is what follows the last slash. This is worth a shortcut: lock files have thousands
    # of URLs.
    path = urlsplit(url).path if "?" in url or "#" in url else url
    return unquote(path.rpartition("/")[2])
