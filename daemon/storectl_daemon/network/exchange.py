"""One exchange: a GET over the pool of connections, followed to its answer, and tried again if the failure may pass.

A redirect is followed by rules stricter than a general HTTP client's: at most ``limits.redirects`` of them, never from
https to http or to another scheme. Each origin on the way gets its own login, if there is one, and never that of
another. If an origin refuses the login (401) and another login can be found, it is asked once more.
"""

import asyncio
import email.utils
import logging
import os
import random
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TypeVar

import httpcore2
import httpx2

from storectl_daemon.errors import FetchError, OfflineError
from storectl_daemon.network.address import Address, Origin
from storectl_daemon.network.credentials import Credentials
from storectl_daemon.network.proxies import Proxies
from storectl_store.system_errors import OF_PROCESSES, refusal_of

T = TypeVar("T")

Admit = Callable[[Address], None]
"""Called with an address before it is asked; raises FetchError if it must not be."""

_GIB = 1 << 30
_MIB = 1 << 20
_HEADERS = {"User-Agent": "storectl", "Accept-Encoding": "identity"}
_UNAUTHORIZED = 401
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PASSING_STATUS = frozenset({408, 425, 429})
_STATUS_HINTS = {
    401: "put a login into the index address of your pip or uv configuration, a netrc file, "
    "or the keyring (docs/indexes.md)",
    403: "the login in use may not read this file; check it with the owner of the index",
    404: "the file has left the index; lock again, or add the index that still has it",
    410: "the file has left the index; lock again, or add the index that still has it",
}

# The event loop receives this many bytes at a time. Reading a body in quarters of it costs a third more processor time.
httpcore2.AsyncHTTP11Connection.READ_NUM_BYTES = 1 << 18

# They log whole addresses and headers, which may hold signatures and logins.
for _name in ("httpx2", "httpcore2"):
    logging.getLogger(_name).setLevel(logging.WARNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchLimits:
    """How long the network waits, and how much it accepts. Times are in seconds, sizes in bytes.

    ``deadline`` bounds one wheel with all its tries, ``page_deadline`` one page. A body that brings less than ``floor``
    bytes a second over ``floor_window``, or nothing for ``read_timeout``, counts as a broken connection. ``pause`` is
    the first wait between tries; it doubles, with jitter. ``concurrency`` bounds downloads, ``page_concurrency`` pages;
    they share ``connections``.
    """

    concurrency: int = 6
    page_concurrency: int = 6
    connections: int = 8
    redirects: int = 5
    tries: int = 3
    pause: float = 0.5
    retry_after_cap: float = 30.0
    connect_timeout: float = 10.0
    read_timeout: float = 30.0
    deadline: float = 3600.0
    page_deadline: float = 120.0
    floor: float = 1024.0
    floor_window: float = 30.0
    largest_wheel: int = 16 * _GIB
    largest_page: int = 64 * _MIB


class TransientError(Exception):
    """A failure that may pass. ``problem`` is what the user is told if it does not.

    ``retry_after`` is the wait in seconds that the server asked for; None if it asked for none.
    """

    def __init__(self, problem: FetchError, *, retry_after: float | None = None) -> None:
        super().__init__(problem.message)
        self.problem = problem
        self.retry_after = retry_after


def admit_all(_address: Address) -> None:
    """Let a request go to any address."""


def http_client(
    limits: FetchLimits,
    tls: ssl.SSLContext,
    contexts: Mapping[str, ssl.SSLContext],
    proxies: Proxies,
    direct: httpx2.AsyncBaseTransport | None = None,
) -> httpx2.AsyncClient:
    """The pool of connections. ``tls`` holds for every host but those that have one of the ``contexts``.

    ``direct`` makes the connections that go through no proxy; None for the usual ones.

    Raises FetchError if the address of a proxy cannot be used.
    """
    pool = httpx2.Limits(max_connections=limits.connections, max_keepalive_connections=limits.connections)

    def transport(verify: ssl.SSLContext, proxy: Address | None) -> httpx2.AsyncHTTPTransport:
        return httpx2.AsyncHTTPTransport(verify=verify, limits=pool, proxy=proxy.with_login() if proxy else None)

    try:
        routes = {pattern: transport(tls, proxy) if proxy else None for pattern, proxy in proxies.routes().items()}
        routes |= {f"https://{host}": transport(own, proxies.to(host)) for host, own in contexts.items()}
    except (httpx2.InvalidURL, ValueError, ImportError) as error:  # ImportError: socks needs a package of its own
        raise FetchError(
            f"the proxy that is configured cannot be used: {type(error).__name__}",
            hint="correct HTTPS_PROXY, HTTP_PROXY or ALL_PROXY, or pip's `proxy`: http://host:port",
        ) from error
    return httpx2.AsyncClient(
        verify=tls,
        mounts=routes,
        transport=direct,
        headers=_HEADERS,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),  # no cookie is kept, so none is sent
        limits=pool,
        # The semaphores bound the requests. So a request that waits for a connection of the pool has not failed.
        timeout=httpx2.Timeout(limits.read_timeout, connect=limits.connect_timeout, pool=None),
        trust_env=False,
        follow_redirects=False,
    )


async def with_retries(attempt: Callable[[], Awaitable[T]], limits: FetchLimits, *, deadline: float, subject: str) -> T:
    """The value of the first attempt that succeeds, out of ``limits.tries``, all within ``deadline`` seconds.

    ``subject`` names the thing in the error for a missed deadline. Only a TransientError leads to another try; any
    other error is raised at once.
    """
    failed = 0
    try:
        async with asyncio.timeout(deadline) as scope:
            while True:
                try:
                    return await attempt()
                except TransientError as error:
                    failed += 1
                    if failed >= limits.tries:
                        raise error.problem from error
                    await asyncio.sleep(pause_after(failed, error.retry_after, limits))
    except TimeoutError as error:
        if not scope.expired():
            raise
        raise FetchError(
            f"{subject} did not arrive within {deadline:g} s", hint="try again on a better connection", subject=subject
        ) from error


def pause_after(number: int, retry_after: float | None, limits: FetchLimits) -> float:
    """Seconds to wait after failed try ``number`` (from 1).

    That is what the server asked for, capped; otherwise it doubles with each try, with jitter.
    """
    if retry_after is not None:
        return min(max(retry_after, 0.0), limits.retry_after_cap)
    doubled: float = limits.pause * 2 ** (number - 1)
    return doubled * random.uniform(0.5, 1.5)  # noqa: S311  # jitter is no secret


@asynccontextmanager
async def answer(
    client: httpx2.AsyncClient,
    url: Address,
    *,
    headers: Mapping[str, str],
    credentials: Credentials,
    limits: FetchLimits,
    admit: Admit = admit_all,
) -> AsyncIterator[httpx2.Response]:
    """The answer at the end of the redirects, its body not yet read. ``admit`` gets every address on the way.

    Raises TransientError or FetchError if the exchange fails, also while the block reads the body.
    """
    if not url.is_web:
        raise FetchError(
            f"{url} cannot be fetched: only https, http and file addresses can",
            hint="lock the file from an index or an https address",
            url=str(url),
        )
    current, steps = url, 0
    refused: set[Origin] = set()
    try:
        while steps <= limits.redirects:
            admit(current)
            # A login written into the address is used for its whole origin, also for the next address there.
            subject = url if current.origin == url.origin and url.login else current
            authorization = credentials.authorization(subject)
            allowed = {**headers, **({"Authorization": authorization} if authorization else {})}
            request = client.build_request("GET", current.without_login(), headers=allowed)
            response = await client.send(request, stream=True)
            try:
                if response.status_code == _UNAUTHORIZED and current.origin not in refused:
                    refused.add(current.origin)
                    if await credentials.challenged(subject):
                        continue
                if response.status_code not in _REDIRECTS:
                    yield response
                    return
                current = redirect_target(current, response.headers.get("Location"))
                steps += 1
            finally:
                await response.aclose()
    except (httpx2.HTTPError, ssl.SSLError) as error:
        # TLS 1.3 may refuse a certificate while the answer is awaited; httpx2 lets that SSLError through.
        raise transport_failure(error, current) from error
    except httpx2.InvalidURL as error:
        raise _refused(url, f"leads to an address that cannot be read: {current}") from error
    raise _refused(url, f"redirects more than {limits.redirects} times")


def redirect_target(current: Address, location: str | None) -> Address:
    """The address that a redirect from ``current`` leads to, absolute and without login.

    Raises FetchError if the redirect must not be followed.
    """
    if not location:
        raise _refused(current, "redirects to nowhere")
    try:
        target = current.joined(location)
    except ValueError as error:
        raise _refused(current, "redirects to an address that cannot be read") from error
    if not target.is_web:
        raise _refused(current, f"redirects to {target}, which is neither https nor http")
    if (current.scheme, target.scheme) == ("https", "http"):
        raise _refused(current, f"redirects from https to http: {target}")
    return target


def _refused(url: Address, what: str) -> FetchError:
    return FetchError(f"{url} {what}", hint="correct the index address, or ask the owner of the index", url=str(url))


async def body_of(
    response: httpx2.Response, url: Address, limits: FetchLimits, *, room: int, too_large: Callable[[], Exception]
) -> AsyncIterator[bytes]:
    """The body of an answer in chunks, at most ``room`` bytes; ``too_large`` makes the error for one byte more.

    Raises TransientError for a body that arrives too slowly, and FetchError for a compressed one: none was asked for,
    and its uncompressed size is unknown.
    """
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in {"", "identity"}:
        raise FetchError(
            f"{url} is sent with content encoding {encoding!r}, although none was asked for",
            hint="ask the owner of the index or proxy to send files as they are",
            url=str(url),
        )
    if (content_length(response.headers) or 0) > room:
        raise too_large()
    clock = asyncio.get_running_loop().time
    start, received = clock(), 0
    async for chunk in response.aiter_raw():
        room -= len(chunk)
        if room < 0:
            raise too_large()
        yield chunk
        received += len(chunk)
        elapsed = clock() - start
        if elapsed < limits.floor_window:
            continue
        if received < limits.floor * elapsed:
            raise broken(url, f"sends less than {limits.floor:g} bytes a second")
        start, received = start + elapsed, 0


def content_length(headers: httpx2.Headers) -> int | None:
    """The number of bytes that the server announced for the body; None if it announced none."""
    text = headers.get("Content-Length", "")
    return int(text) if text.isascii() and text.isdigit() else None


def broken(url: Address, what: str) -> TransientError:
    """The error for a transfer that broke off or went wrong, so that another try may succeed."""
    return TransientError(
        FetchError(f"{url} {what}", hint="try again; if it stays, check the proxy and the index", url=str(url))
    )


def refusal(status: int, headers: httpx2.Headers, url: Address) -> Exception:
    """The error to raise for an answer whose status the caller cannot use."""
    hint = _STATUS_HINTS.get(status, "try again later, or ask the owner of the index")
    problem = FetchError(f"{url} answered with status {status}", hint=hint, url=str(url), status=status)
    if status in _PASSING_STATUS or status >= 500:
        return TransientError(problem, retry_after=retry_after_of(headers.get("Retry-After")))
    return problem


def retry_after_of(value: str | None) -> float | None:
    """Seconds of a ``Retry-After`` header (RFC 9110, 10.2.3): a number or a date; None if it is neither."""
    if value is None:
        return None
    if value.strip().isascii() and value.strip().isdigit():
        return float(value)
    try:
        return email.utils.parsedate_to_datetime(value).timestamp() - time.time()
    except (ValueError, OverflowError):
        return None


def transport_failure(error: httpx2.HTTPError | ssl.SSLError, url: Address) -> Exception:
    """The error to raise if the exchange itself failed: a TransientError, unless another try cannot help."""
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return FetchError(
            f"the certificate of {url} is not trusted",
            hint="name your certificate authority in SSL_CERT_FILE or pip's `cert`",
            url=str(url),
        )
    if "CERTIFICATE_REQUIRED" in str(error):
        return FetchError(
            f"{url} wants a client certificate",
            hint="name one in pip's `client-cert` or SSL_CLIENT_CERT",
            url=str(url),
        )
    refusal = refusal_of(error, f"fetch {url}")
    if refusal is not None and refusal.facts["errno"] in OF_PROCESSES:
        return refusal
    if isinstance(error, (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError)):
        hint = "check the network connection and the proxy settings"
        return TransientError(OfflineError(f"no connection to {url}: {_reason(error)}", hint=hint, url=str(url)))
    hint = "try again; if it stays, check the proxy and the index"
    problem = FetchError(f"the transfer of {url} broke off: {_reason(error)}", hint=hint, url=str(url))
    if isinstance(error, (httpx2.UnsupportedProtocol, httpx2.LocalProtocolError)):
        return problem
    return TransientError(problem)


def _reason(error: httpx2.HTTPError | ssl.SSLError) -> str:
    # The texts of the transport name the failure, never an address or header. Some are empty. Of attempts to connect
    # the system's own words say more.
    refused = next((each for each in _causes(error) if isinstance(each, ConnectionError) and each.errno), None)
    return (os.strerror(refused.errno) if refused and refused.errno else str(error)) or type(error).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, what it was raised from, and the errors of groups."""
    yield error
    for cause in (error.__cause__ or error.__context__, *getattr(error, "exceptions", ())):
        if cause is not None:
            yield from _causes(cause)
