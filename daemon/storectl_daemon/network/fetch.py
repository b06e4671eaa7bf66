"""Fetch: wheels into files, pages into memory, over one pool of connections."""

import asyncio
import copy
import ssl
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import httpx2

from storectl_daemon.errors import FetchError
from storectl_daemon.network.address import Address
from storectl_daemon.network.credentials import Credentials
from storectl_daemon.network.download import Download, PartialFile, Progress, copy_local, locked_algorithms
from storectl_daemon.network.exchange import (
    Admit,
    FetchLimits,
    admit_all,
    answer,
    body_of,
    http_client,
    refusal,
    with_retries,
)
from storectl_daemon.network.lanes import Lanes
from storectl_daemon.network.proxies import Proxies
from storectl_store.digest import Digest
from storectl_store.selection.pin import WheelFile

_PAGE_STATUS = frozenset({200, 304, 403, 404, 410})


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A complete file that has a locked digest. ``digest`` is the sha256 counted over its bytes; ``size`` in bytes."""

    path: Path
    digest: Digest
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """An answer held in memory. ``status`` is 200, 304, 403, 404 or 410; ``url`` is where redirects ended.

    ``content`` is empty unless ``status`` is 200.
    """

    url: Address
    status: int
    content: bytes
    content_type: str
    etag: str | None
    last_modified: str | None = None
    cache_control: str = ""


class Fetcher:
    """The one owner of connections; an async context manager for one event loop.

    ``tls`` says which servers are trusted (None: those that the system trusts), ``contexts`` the same for single hosts
    (or host and port). ``proxies`` are those of the command that fetches; ``direct`` makes connections without one.
    """

    def __init__(
        self,
        *,
        credentials: Credentials | None = None,
        limits: FetchLimits | None = None,
        tls: ssl.SSLContext | None = None,
        contexts: Mapping[str, ssl.SSLContext] | None = None,
        proxies: Proxies | None = None,
        direct: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self.credentials = credentials or Credentials()
        self.limits = limits or FetchLimits()
        tls = tls or httpx2.create_ssl_context(trust_env=False)
        self.admit: Admit = admit_all
        self._client = http_client(self.limits, tls, contexts or {}, proxies or Proxies(), direct)
        self._downloads = asyncio.Semaphore(self.limits.concurrency)
        self.lanes = Lanes(self.limits.concurrency)
        self._pages = asyncio.Semaphore(self.limits.page_concurrency)

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    def with_logins(self, credentials: Credentials) -> Self:
        """A fetcher with these connections and limits, and the logins of another command."""
        other = copy.copy(self)
        other.credentials = credentials
        return other

    def restricted(self, admit: Admit) -> Self:
        """A fetcher with these connections, logins and limits that asks no address that ``admit`` refuses.

        Nobody waits for what it fetches, so it has lanes of its own: commands do not queue behind it.
        """
        other = copy.copy(self)
        other.admit = admit
        other.lanes = Lanes(self.limits.concurrency)
        return other

    async def fetch(self, wheel: WheelFile, destination: Path, *, progress: Progress = lambda _: None) -> Fetched:
        """The wheel as a new file at ``destination``, which must not exist and is removed again on any failure.

        ``progress`` gets the number of bytes received so far; a restart makes it smaller. Raises FetchError if the file
        cannot be had, WheelError E_HASH if it is not the locked one, StoreFullError if it cannot be written.
        """
        is_local = Address(wheel.url).is_file
        async with self.lanes.lane(None if is_local else wheel.size) as arrived, self._downloads:
            with PartialFile(destination, locked_algorithms(wheel)) as file:
                if is_local:
                    await copy_local(wheel, file, self.limits, progress)
                else:
                    await self._download(wheel, file, _both(progress, arrived))
                fetched = Fetched(path=destination, digest=await file.digest(), size=file.received)
                file.keep()
                return fetched

    async def read(self, url: Address, headers: Mapping[str, str]) -> Page:
        """The page at this address, at most ``limits.largest_page`` bytes. Raises FetchError if it cannot be had."""
        async with self._pages:
            return await with_retries(
                lambda: self._read_once(url, headers),
                self.limits,
                deadline=self.limits.page_deadline,
                subject=str(url),
            )

    async def _download(self, wheel: WheelFile, file: PartialFile, progress: Progress) -> None:
        url = Address(wheel.url)
        download = Download(wheel=wheel, url=url, file=file, answer=self._answer, limits=self.limits, progress=progress)
        await with_retries(
            download.attempt, self.limits, deadline=self.limits.deadline, subject=f"{wheel.filename} (a download)"
        )

    def _answer(self, url: Address, headers: Mapping[str, str]) -> AbstractAsyncContextManager[httpx2.Response]:
        return answer(
            self._client,
            url,
            headers=headers,
            credentials=self.credentials,
            limits=self.limits,
            admit=self.admit,
        )

    async def _read_once(self, url: Address, headers: Mapping[str, str]) -> Page:
        async with self._answer(url, headers) as response:
            if response.status_code not in _PAGE_STATUS:
                raise refusal(response.status_code, response.headers, url)
            content = await self._body(response, url) if response.status_code == 200 else b""
            return Page(
                url=Address(str(response.url)),
                status=response.status_code,
                content=content,
                content_type=response.headers.get("Content-Type", ""),
                etag=response.headers.get("ETag"),
                last_modified=response.headers.get("Last-Modified"),
                cache_control=response.headers.get("Cache-Control", ""),
            )

    async def _body(self, response: httpx2.Response, url: Address) -> bytes:
        def too_large() -> FetchError:
            hint = "check that the address is that of an index"
            return FetchError(f"{url} is larger than {room} bytes", hint=hint, url=str(url))

        room = self.limits.largest_page
        return b"".join([chunk async for chunk in body_of(response, url, self.limits, room=room, too_large=too_large)])


def _both(progress: Progress, arrived: Callable[[int], None]) -> Progress:
    """Tell ``progress`` how many bytes there are, and ``arrived`` how many more these are than the last time."""
    last = 0

    def tell(received: int) -> None:
        nonlocal last
        arrived(max(0, received - last))
        last = received
        progress(received)

    return tell
