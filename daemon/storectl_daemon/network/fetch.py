"""Fetch: wheels into files, pages into memory, over one pool of connections.

The bytes of a wheel are hashed while they arrive. They are compared with the lock file before anything can read the
file.
"""

import asyncio
import copy
import errno
import logging
import os
import ssl
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Self

import httpcore2
import httpx2

from storectl_daemon.errors import FetchError
from storectl_daemon.network.credentials import Credentials
from storectl_daemon.network.download import (
    Download,
    Progress,
    check_received,
    content_length,
    locked_algorithms,
    refuse_encoding,
    size_limit,
    too_large,
)
from storectl_daemon.network.limits import FetchLimits
from storectl_daemon.network.origins import is_web, path_of_file_url, redacted, scheme_of
from storectl_daemon.network.pace import Pace
from storectl_daemon.network.partial_file import PartialFile, finished_in_thread
from storectl_daemon.network.proxies import Proxies
from storectl_daemon.network.redirects import answer
from storectl_daemon.network.retries import TransientError, refusal, with_retries
from storectl_daemon.network.tls import show_certificate, unchecked_context
from storectl_store.digest import Digest
from storectl_store.selection.pin import WheelFile

_PIECE = 1 << 20
_HEADERS = {"User-Agent": "storectl", "Accept-Encoding": "identity"}
_PAGE_STATUS = frozenset({200, 304, 403, 404, 410})

# The event loop receives this many bytes at a time. Reading a body in quarters of it costs a third more processor time.
httpcore2.AsyncHTTP11Connection.READ_NUM_BYTES = 1 << 18

# They log whole addresses and headers, which may hold signatures and logins.
for _name in ("httpx2", "httpcore2"):
    logging.getLogger(_name).setLevel(logging.WARNING)


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

    url: str
    status: int
    content: bytes
    content_type: str
    etag: str | None
    last_modified: str | None = None
    cache_control: str = ""


def _no_progress(_received: int) -> None:
    """Report nothing: the caller did not ask for progress."""


class Fetcher:
    """The one owner of connections; an async context manager for one event loop.

    ``tls`` is what ``storectl_daemon.network.tls.tls_context`` returns (None: the system's). ``trusted_hosts`` are
    pip's, each a host, or host and port: their certificates are not checked. ``proxies`` are those of the command that
    fetches. ``client_cert`` is shown to trusted hosts, too; ``tls`` has it already. ``contexts`` are those of single
    hosts.
    """

    def __init__(
        self,
        *,
        credentials: Credentials | None = None,
        limits: FetchLimits | None = None,
        tls: ssl.SSLContext | None = None,
        trusted_hosts: frozenset[str] = frozenset(),
        client_cert: str | None = None,
        contexts: Mapping[str, ssl.SSLContext] | None = None,
        proxies: Proxies | None = None,
    ) -> None:
        self.credentials = credentials or Credentials()
        self.limits = limits or FetchLimits()
        tls, proxies = tls or httpx2.create_ssl_context(trust_env=False), proxies or Proxies()
        own = _unchecked(trusted_hosts, client_cert) | dict(contexts or {})
        self._client = _client(
            self.limits, tls, _proxied(proxies, tls, self.limits) | _single(own, proxies, self.limits)
        )
        self._downloads = asyncio.Semaphore(self.limits.concurrency)
        self._pages = asyncio.Semaphore(self.limits.page_concurrency)

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    @property
    def closed(self) -> bool:
        """Whether the connections are closed for good."""
        return self._client.is_closed

    def with_logins(self, credentials: Credentials) -> Self:
        """A fetcher with these connections and limits, and the logins of another command."""
        other = copy.copy(self)
        other.credentials = credentials
        return other

    async def fetch(self, wheel: WheelFile, destination: Path, *, progress: Progress = _no_progress) -> Fetched:
        """The wheel as a new file at ``destination``, which must not exist and is removed again on any failure.

        ``progress`` gets the number of bytes received so far; a restart makes it smaller. Raises FetchError if the file
        cannot be had, WheelError E_HASH if it is not the locked one, StoreFullError if it cannot be written.
        """
        async with self._downloads:
            with PartialFile(destination, locked_algorithms(wheel)) as file:
                if scheme_of(wheel.url) == "file":
                    await self._copy(wheel, file, progress)
                else:
                    await self._download(wheel, file, progress)
                fetched = Fetched(path=destination, digest=await file.digest(), size=file.received)
                file.keep()
                return fetched

    async def read(self, url: str, headers: Mapping[str, str]) -> Page:
        """The page at this address, at most ``limits.largest_page`` bytes. Raises FetchError if it cannot be had."""
        _refuse_scheme(url)
        async with self._pages:
            return await with_retries(
                lambda: self._read_once(url, headers),
                self.limits,
                deadline=self.limits.page_deadline,
                subject=redacted(url),
            )

    async def _download(self, wheel: WheelFile, file: PartialFile, progress: Progress) -> None:
        _refuse_scheme(wheel.url)
        download = Download(
            wheel,
            file,
            client=self._client,
            credentials=self.credentials,
            limits=self.limits,
            progress=progress,
        )
        await with_retries(
            download.attempt, self.limits, deadline=self.limits.deadline, subject=f"{wheel.filename} (a download)"
        )

    async def _copy(self, wheel: WheelFile, file: PartialFile, progress: Progress) -> None:
        source = path_of_file_url(wheel.url)
        descriptor = await finished_in_thread(lambda: _open_regular(source, wheel.url))
        try:
            while piece := await finished_in_thread(lambda: os.read(descriptor, _PIECE)):
                if file.received + len(piece) > size_limit(wheel, self.limits):
                    raise too_large(wheel, self.limits)
                await file.append(piece)
                progress(file.received)
        except OSError as error:
            raise _unreadable(wheel.url, error) from error
        finally:
            os.close(descriptor)
        await check_received(wheel, file)

    async def _read_once(self, url: str, headers: Mapping[str, str]) -> Page:
        exchange = answer(self._client, url, headers=headers, credentials=self.credentials, limits=self.limits)
        async with exchange as response:
            if response.status_code not in _PAGE_STATUS:
                raise refusal(response.status_code, response.headers, url)
            content = await self._body(response, url) if response.status_code == 200 else b""
            return Page(
                url=str(response.url),
                status=response.status_code,
                content=content,
                content_type=response.headers.get("Content-Type", ""),
                etag=response.headers.get("ETag"),
                last_modified=response.headers.get("Last-Modified"),
                cache_control=response.headers.get("Cache-Control", ""),
            )

    async def _body(self, response: httpx2.Response, url: str) -> bytes:
        refuse_encoding(response, url)
        if (content_length(response.headers) or 0) > self.limits.largest_page:
            raise _page_too_large(url, self.limits)
        content = bytearray()
        pace = Pace(self.limits, asyncio.get_running_loop().time)
        async for chunk in response.aiter_raw():
            content += chunk
            if len(content) > self.limits.largest_page:
                raise _page_too_large(url, self.limits)
            if pace.is_too_slow(len(chunk)):
                shown = redacted(url)
                hint = "try again on a better connection"
                raise TransientError(FetchError(f"{shown} is sent too slowly", hint=hint, url=shown))
        return bytes(content)


def _client(
    limits: FetchLimits, tls: ssl.SSLContext, mounts: Mapping[str, httpx2.AsyncHTTPTransport | None]
) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(
        verify=tls,
        mounts=mounts,
        headers=_HEADERS,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),  # no cookie is kept, so none is sent
        limits=_pool(limits),
        # The semaphores bound the requests. So a request that waits for a connection of the pool has not failed.
        timeout=httpx2.Timeout(limits.read_timeout, connect=limits.connect_timeout, pool=None),
        trust_env=False,
        follow_redirects=False,
    )


def _proxied(proxies: Proxies, tls: ssl.SSLContext, limits: FetchLimits) -> dict[str, httpx2.AsyncHTTPTransport | None]:
    """The transport for each pattern of addresses; None for a pattern without a proxy.

    Raises FetchError if the address of a proxy cannot be used.
    """
    try:
        return {
            pattern: httpx2.AsyncHTTPTransport(verify=tls, limits=_pool(limits), proxy=proxy) if proxy else None
            for pattern, proxy in proxies.routes().items()
        }
    except (httpx2.InvalidURL, ValueError, ImportError) as error:  # ImportError: socks needs a package of its own
        raise FetchError(
            f"the proxy that is configured cannot be used: {type(error).__name__}",
            hint="correct HTTPS_PROXY, HTTP_PROXY or ALL_PROXY, or pip's `proxy`: http://host:port",
        ) from error


def _unchecked(trusted_hosts: frozenset[str], client_cert: str | None) -> dict[str, ssl.SSLContext]:
    if not trusted_hosts:
        return {}
    context = unchecked_context()
    if client_cert:
        show_certificate(context, client_cert)
    return dict.fromkeys(trusted_hosts, context)


def _single(
    contexts: Mapping[str, ssl.SSLContext], proxies: Proxies, limits: FetchLimits
) -> dict[str, httpx2.AsyncHTTPTransport | None]:
    """The transport for each host that has a context of its own, by the proxy that also serves all other hosts."""
    return {
        f"https://{host}": httpx2.AsyncHTTPTransport(verify=context, limits=_pool(limits), proxy=proxies.to(host))
        for host, context in contexts.items()
    }


def _pool(limits: FetchLimits) -> httpx2.Limits:
    return httpx2.Limits(max_connections=limits.connections, max_keepalive_connections=limits.connections)


def _refuse_scheme(url: str) -> None:
    if not is_web(url):
        shown = redacted(url)
        raise FetchError(
            f"{shown} cannot be fetched: only https, http and file addresses can",
            hint="lock the file from an index or an https address",
            url=shown,
        )


def _open_regular(path: Path, url: str) -> int:
    """A descriptor to read the file with. O_NONBLOCK keeps a FIFO from blocking here; for a file it has no effect."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _unreadable(url, error) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _unreadable(url, OSError(errno.EINVAL, "not a regular file"))
    return descriptor


def _unreadable(url: str, error: OSError) -> FetchError:
    shown = redacted(url)
    return FetchError(f"{shown} cannot be read: {error.strerror}", hint="put the file back, or lock again", url=shown)


def _page_too_large(url: str, limits: FetchLimits) -> FetchError:
    shown = redacted(url)
    hint = "check that the address is that of an index"
    return FetchError(f"{shown} is larger than {limits.largest_page} bytes", hint=hint, url=shown)
