"""Redirects: one GET followed to its answer, by rules stricter than a general HTTP client's.

At most ``limits.redirects`` steps, never from https to http or to another scheme, and the headers that were meant for
the first origin (``Authorization`` and whatever the caller adds as its own) are sent to that origin only.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urljoin

import httpx2

from storectl_daemon.errors import FetchError
from storectl_daemon.limits import FetchLimits
from storectl_daemon.origins import is_web, origin_of, redacted, scheme_of, without_login
from storectl_daemon.retries import transport_failure

_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@asynccontextmanager
async def answer(
    client: httpx2.AsyncClient,
    url: str,
    *,
    headers: Mapping[str, str],
    private_headers: Mapping[str, str],
    limits: FetchLimits,
) -> AsyncIterator[httpx2.Response]:
    """The answer at the end of the redirects, its body not yet read.

    ``headers`` go to every origin on the way, ``private_headers`` to the first only. TransientError or FetchError where
    the exchange fails, also while the body is read inside the block.
    """
    current = without_login(url)
    try:
        for _ in range(limits.redirects + 1):
            allowed = {**headers, **private_headers} if origin_of(current) == origin_of(url) else dict(headers)
            response = await client.send(client.build_request("GET", current, headers=allowed), stream=True)
            try:
                if response.status_code not in _REDIRECTS:
                    yield response
                    return
                current = redirect_target(current, response.headers.get("Location"))
            finally:
                await response.aclose()
    except httpx2.HTTPError as error:
        raise transport_failure(error, current) from error
    except httpx2.InvalidURL as error:
        raise _refused(url, f"leads to an address that cannot be read: {redacted(current)}") from error
    raise _refused(url, f"redirects more than {limits.redirects} times")


def redirect_target(current: str, location: str | None) -> str:
    """Where a redirect from ``current`` may lead: an absolute address without login; FetchError where it may not."""
    if not location:
        raise _refused(current, "redirects to nowhere")
    try:
        target = without_login(urljoin(current, location))
    except ValueError as error:
        raise _refused(current, "redirects to an address that cannot be read") from error
    if not is_web(target):
        raise _refused(current, f"redirects to {redacted(target)}, which is neither https nor http")
    if scheme_of(current) == "https" and scheme_of(target) == "http":
        raise _refused(current, f"redirects from https to http: {redacted(target)}")
    return target


def _refused(url: str, what: str) -> FetchError:
    shown = redacted(url)
    return FetchError(f"{shown} {what}", hint="correct the index address, or ask the owner of the index", url=shown)
