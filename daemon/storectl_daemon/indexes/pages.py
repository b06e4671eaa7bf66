"""Project pages: what one source says of one project, asked once at a time, and kept while the server allows."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from packaging.utils import NormalizedName

from storectl_daemon.errors import FetchError
from storectl_daemon.indexes.config_layer import Source
from storectl_daemon.indexes.file import ACCEPT, IndexFile, is_of_version, read_project_page
from storectl_daemon.indexes.local_folder import LocalFolders
from storectl_daemon.indexes.page_store import KeptPage, PageStore, kept_page
from storectl_daemon.network.address import Address
from storectl_daemon.network.fetch import Fetcher, Page
from storectl_daemon.process.single_flight import SingleFlight

_MOST_PAGES = 32  # one of a large project is a few megabytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceAnswer:
    """The answer of a source. ``note`` says why it has no files, if that is worth telling.

    ``kept`` is true if the answer is an earlier one, and the source was not asked now.
    """

    source: Source
    files: tuple[IndexFile, ...] = ()
    note: str | None = None
    kept: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _KnownPage:
    page: KeptPage
    files: tuple[IndexFile, ...]


class IndexPages:
    """Asks sources for the files of one version of a project.

    ``store`` keeps pages for the next process; ``clock`` is the time that the age of a page is counted by.
    """

    def __init__(self, store: PageStore, *, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        self._flight: SingleFlight[tuple[Fetcher, Address, bool], SourceAnswer] = SingleFlight()
        self._pages: OrderedDict[Address, _KnownPage] = OrderedDict()
        self._folders = LocalFolders()

    async def ask(
        self, fetcher: Fetcher, source: Source, name: NormalizedName, version: str, *, anew: bool = False
    ) -> SourceAnswer:
        """The files of this version. Raises FetchError if the source could not answer ``fetcher``.

        A page that is still fresh is used without a request, unless ``anew``. The result is empty if the source does
        not know the project, or if its folder does not exist.
        """
        if source.is_local:
            files = await asyncio.to_thread(self._folders.files, source, name, version)
            return SourceAnswer(source=source, files=files)
        url = source.page_of(name)
        answer = await self._flight.do((fetcher, url, anew), lambda: self._remote(fetcher, source, url, anew=anew))
        wanted = tuple(file for file in answer.files if is_of_version(file, name, version))
        return SourceAnswer(source=source, files=wanted, note=answer.note, kept=answer.kept)

    async def _remote(self, fetcher: Fetcher, source: Source, url: Address, *, anew: bool) -> SourceAnswer:
        known = self._pages.get(url) or await asyncio.to_thread(self._read_kept, source, url)
        if known is not None:
            self._remember(url, known)
            if not anew and known.page.is_fresh(self._clock()):
                return SourceAnswer(source=source, files=known.files, kept=True)
        page = await fetcher.read(url, {"Accept": ACCEPT} | (known.page.conditions if known else {}))
        if page.status == 304 and known is not None:
            return await self._confirm(source, url, known, page)
        if page.status != 200:
            await self._forget(url)
            return SourceAnswer(source=source, note=f"status {page.status}" if page.status == 403 else None)
        files = await asyncio.to_thread(_files_of, page, source, url)
        await self._keep(url, page, files)
        return SourceAnswer(source=source, files=files)

    def _read_kept(self, source: Source, url: Address) -> _KnownPage | None:
        found = self._store.read(url)
        if found is None:
            return None
        page, body = found
        try:
            return _KnownPage(
                page=page,
                files=read_project_page(body, page.content_type, Address(page.url), index=str(source.address)),
            )
        except ValueError:
            return None

    async def _confirm(self, source: Source, url: Address, known: _KnownPage, answer: Page) -> SourceAnswer:
        page = known.page.confirmed(answer, self._clock())
        self._remember(url, _KnownPage(page=page, files=known.files))
        if page.max_age:  # otherwise there is nothing new to write down
            await asyncio.to_thread(self._rewrite, url, page)
        return SourceAnswer(source=source, files=known.files)

    def _rewrite(self, url: Address, page: KeptPage) -> None:
        found = self._store.read(url)
        if found is not None:
            self._store.write(url, page, found[1])

    async def _keep(self, url: Address, answer: Page, files: tuple[IndexFile, ...]) -> None:
        page = kept_page(answer, self._clock())
        if page is None:
            await self._forget(url)
            return
        self._remember(url, _KnownPage(page=page, files=files))
        await asyncio.to_thread(self._store.write, url, page, answer.content)

    async def _forget(self, url: Address) -> None:
        self._pages.pop(url, None)
        await asyncio.to_thread(self._store.remove, url)

    def _remember(self, url: Address, page: _KnownPage) -> None:
        self._pages[url] = page
        self._pages.move_to_end(url)
        while len(self._pages) > _MOST_PAGES:
            self._pages.popitem(last=False)


def _files_of(page: Page, source: Source, url: Address) -> tuple[IndexFile, ...]:
    try:
        return read_project_page(page.content, page.content_type, page.url, index=str(source.address))
    except ValueError as error:
        hint = "check that the address is that of an index"
        raise FetchError(f"{url} is not an index page: {error}", hint=hint, url=str(url)) from error
