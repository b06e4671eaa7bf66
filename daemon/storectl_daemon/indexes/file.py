"""One file as an index describes it, and how the pages of an index are read.

A page is JSON (PEP 691, PEP 700 for ``size``) or HTML (PEP 503). Both are untrusted: what cannot be understood is left
out, never guessed.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    NormalizedName,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

from storectl_daemon.errors import DaemonError
from storectl_daemon.network.address import Address
from storectl_store.digest import STRONG_ALGORITHMS, Digest, parse_strong_digest

ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01"  # PEP 691
_JSON = "application/vnd.pypi.simple.v1+json"
_HTML = frozenset({"application/vnd.pypi.simple.v1+html", "text/html"})

_HASH_FRAGMENT = re.compile(rf"(?:^|&)({'|'.join(STRONG_ALGORITHMS)})=([0-9a-fA-F]+)(?:&|$)")
_PLAIN_ADDRESS = re.compile(r"https?://[\w.:-]+/[\w.~/+%-]*", re.ASCII)
"""Matches absolute addresses that need no resolving and no cleaning: nearly every address on a large index's page.

Such pages have thousands of addresses.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexFile:
    """A file that an index offers. ``url`` is absolute and without a login; ``size`` in bytes.

    ``digest`` is the sha256 if the index gives it, else another strong digest, else None; ``others`` are the rest of
    the strong ones. ``index`` is the redacted address of the index.
    """

    filename: str
    url: str
    digest: Digest | None
    size: int | None = None
    requires_python: str | None = None
    index: str | None = None
    others: frozenset[Digest] = frozenset()

    @property
    def is_wheel(self) -> bool:
        """Whether the name is that of a wheel."""
        return self.filename.endswith(".whl")


def read_project_page(content: bytes, content_type: str, base: Address, *, index: str) -> tuple[IndexFile, ...]:
    """The files on a page; ``base`` is its address. Raises ValueError if it is neither JSON nor HTML of an index."""
    kind, _, parameters = content_type.partition(";")
    if kind.strip().lower() == _JSON:
        return tuple(_json_files(content, base, index))
    if kind.strip().lower() in _HTML:
        return tuple(_html_files(content, _charset(parameters), base, index))
    raise ValueError(f"content type {content_type[:80]!r} is not that of an index page")


def is_of_version(file: IndexFile, name: NormalizedName, version: str) -> bool:
    """Whether the file name is that of a wheel or sdist of this version (with or without a local version)."""
    try:
        found = parse_wheel_filename(file.filename)[:2] if file.is_wheel else parse_sdist_filename(file.filename)
        return found[0] == name and _same_version(found[1], Version(version))
    except (InvalidWheelFilename, InvalidSdistFilename, InvalidVersion):
        return False


def allows_python(file: IndexFile, version: str) -> bool:
    """Whether the file's ``requires-python`` allows this version. If it cannot be read it allows all, as with pip."""
    if not file.requires_python:
        return True
    try:
        # A pre-release of Python counts as the release that follows it, as with pip. An unreleased build ends with "+".
        release = Version(version.removesuffix("+")).base_version
        return SpecifierSet(file.requires_python).contains(release, prereleases=True)
    except (InvalidSpecifier, InvalidVersion):
        return True


def _same_version(found: Version, wanted: Version) -> bool:
    return found == wanted or (wanted.local is None and Version(found.public) == wanted)


def _json_files(content: bytes, base: Address, index: str) -> Iterator[IndexFile]:
    page = _object_of(content)
    for entry in _dicts(page.get("files")):
        filename, url = entry.get("filename"), entry.get("url")
        digest, *others = _digests(entry.get("hashes"))
        size, requires_python = entry.get("size"), entry.get("requires-python")
        address = _address(base, url)
        if not isinstance(filename, str) or address is None:
            continue
        yield IndexFile(
            filename=filename,
            url=address,
            digest=digest,
            others=frozenset(filter(None, others)),
            size=size if isinstance(size, int) and not isinstance(size, bool) and size >= 0 else None,
            requires_python=requires_python if isinstance(requires_python, str) else None,
            index=index,
        )


def _html_files(content: bytes, encoding: str, base: Address, index: str) -> Iterator[IndexFile]:
    try:
        text = content.decode(encoding, "replace")
    except LookupError:
        text = content.decode("utf-8", "replace")
    from unearth.collector import IndexHTMLParser  # noqa: PLC0415 - takes long to load, and most pages are JSON

    # unearth's parser is used, but not its Link objects: those take seconds for the pages of large projects.
    parser = IndexHTMLParser()
    parser.feed(text)
    stated_base = _address(base, parser.base_url)
    start = Address(stated_base) if stated_base else base
    for anchor in parser.anchors:
        url, _, fragment = (anchor.get("href") or "").strip().partition("#")
        address = _address(start, url) if url else None
        if address is None:
            continue
        stated = _HASH_FRAGMENT.search(fragment)
        yield IndexFile(
            filename=unquote(address.partition("?")[0].rpartition("/")[2]),
            url=address,
            digest=_digest(stated[1], stated[2]) if stated else None,
            requires_python=anchor.get("data-requires-python"),
            index=index,
        )


def _address(base: Address, url: object) -> str | None:
    """The absolute address; None if it may not be followed from this page: only a local page may name local files."""
    if not isinstance(url, str):
        return None
    if _PLAIN_ADDRESS.fullmatch(url):
        return url
    try:
        address = base.joined(url)
        allowed = address.is_web or (base.is_file and address.is_file)
    except (ValueError, DaemonError):
        return None
    return address.with_login() if allowed else None


def _digests(hashes: object) -> list[Digest | None]:
    """The strong digests of a file, the preferred first; a single None if there are none."""
    if not isinstance(hashes, dict):
        return [None]
    given = (_digest(algorithm, hashes[algorithm]) for algorithm in STRONG_ALGORITHMS if algorithm in hashes)
    return [digest for digest in given if digest is not None] or [None]


def _digest(algorithm: str, hexdigest: object) -> Digest | None:
    try:
        return parse_strong_digest(f"{algorithm}:{hexdigest}") if isinstance(hexdigest, str) else None
    except ValueError:
        return None


def _object_of(content: bytes) -> dict[str, Any]:
    try:
        page = json.loads(content)
    except RecursionError as error:
        raise ValueError("the JSON is nested too deeply") from error
    if not isinstance(page, dict):
        raise ValueError("the JSON is not an object")  # noqa: TRY004  # the bytes are wrong, not the caller
    return page


def _dicts(value: object) -> Iterable[dict[str, Any]]:
    return (entry for entry in value if isinstance(entry, dict)) if isinstance(value, list) else ()


def _charset(parameters: str) -> str:
    for parameter in parameters.split(";"):
        key, _, value = parameter.partition("=")
        if key.strip().lower() == "charset":
            return value.strip().strip('"') or "utf-8"
    return "utf-8"
