"""Project pages: what one source says of one project, asked once at a time and kept for this process with its ETag."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import NormalizedName

from storectl_daemon.errors import FetchError
from storectl_daemon.fetch import Fetcher
from storectl_daemon.index_file import ACCEPT, IndexFile, is_of_version, read_project_page
from storectl_daemon.local_folder import LocalFolders
from storectl_daemon.origins import path_of_file_url, redacted, scheme_of
from storectl_daemon.single_flight import SingleFlight

_MOST_PAGES = 32  # one of a large project is a few megabytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One place to ask. ``place`` is an address, which may hold a login, or for find-links an absolute path."""

    place: str
    find_links: bool = False

    @property
    def shown(self) -> str:
        """The place as people and files may see it."""
        return redacted(self.place)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceAnswer:
    """What a source said. ``note`` is why it said nothing, where that is worth telling."""

    source: Source
    files: tuple[IndexFile, ...] = ()
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _KnownPage:
    etag: str | None
    files: tuple[IndexFile, ...]


class ProjectPages:
    """Asks sources for the files of one version of a project."""

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher
        self._flight: SingleFlight[str, SourceAnswer] = SingleFlight()
        self._pages: OrderedDict[str, _KnownPage] = OrderedDict()
        self._folders = LocalFolders()

    async def ask(self, source: Source, name: NormalizedName, version: str) -> SourceAnswer:
        """The files of this version; FetchError where the source could not answer.

        A source that does not know the project, and a folder that is missing, have no files.
        """
        if source.find_links and not _is_remote(source.place):
            place = _local_path(source.place)
            files = await asyncio.to_thread(self._folders.links, place, name, version, source.shown)
            return SourceAnswer(source=source, files=files)
        if not _is_remote(source.place):
            place = _local_path(source.place)
            files = await asyncio.to_thread(self._folders.project, place, name, version, source.shown)
            return SourceAnswer(source=source, files=files)
        url = source.place if source.find_links else f"{source.place.rstrip('/')}/{name}/"
        answer = await self._flight.do(url, lambda: self._remote(source, url))
        wanted = tuple(file for file in answer.files if is_of_version(file, name, version))
        return SourceAnswer(source=source, files=wanted, note=answer.note)

    async def _remote(self, source: Source, url: str) -> SourceAnswer:
        known = self._pages.get(url)
        headers = {"Accept": ACCEPT} | ({"If-None-Match": known.etag} if known and known.etag else {})
        page = await self._fetcher.read(url, headers)
        if page.status == 304 and known is not None:
            return SourceAnswer(source=source, files=known.files)
        if page.status != 200:
            self._pages.pop(url, None)
            return SourceAnswer(source=source, note=f"status {page.status}" if page.status == 403 else None)
        try:
            files = await asyncio.to_thread(
                read_project_page, page.content, page.content_type, page.url, index=source.shown
            )
        except ValueError as error:
            hint = "check that the address is that of an index"
            raise FetchError(f"{redacted(url)} is not an index page: {error}", hint=hint, url=redacted(url)) from error
        self._remember(url, _KnownPage(etag=page.etag, files=files))
        return SourceAnswer(source=source, files=files)

    def _remember(self, url: str, page: _KnownPage) -> None:
        if page.etag is None:
            self._pages.pop(url, None)
            return
        self._pages[url] = page
        self._pages.move_to_end(url)
        while len(self._pages) > _MOST_PAGES:
            self._pages.popitem(last=False)


def _is_remote(place: str) -> bool:
    return "://" in place and scheme_of(place) != "file"


def _local_path(place: str) -> Path:
    return path_of_file_url(place) if place.startswith("file:") else Path(place)
