"""Redirects: one GET followed to its answer, by rules stricter than a general HTTP client's.

At most ``limits.redirects`` steps, never from https to http or to another scheme. Each origin on the way gets its own
login, if there is one, and never that of another. If an origin refuses the login (401) and another login can be found,
it is asked once more.
"""

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urljoin

import httpx2

from storectl_daemon.errors import FetchError
from storectl_daemon.network.credentials import Credentials
from storectl_daemon.network.limits import FetchLimits
from storectl_daemon.network.origins import Origin, is_web, login_of, origin_of, redacted, scheme_of, without_login
from storectl_daemon.network.retries import transport_failure

_UNAUTHORIZED = 401
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@asynccontextmanager
async def answer(
    client: httpx2.AsyncClient,
    url: str,
    *,
    headers: Mapping[str, str],
    credentials: Credentials,
    limits: FetchLimits,
) -> AsyncIterator[httpx2.Response]:
    """The answer at the end of the redirects, its body not yet read.

    Raises TransientError or FetchError if the exchange fails, also while the block reads the body.
    """
    current, steps = url, 0
    refused: set[Origin] = set()
    try:
        while steps <= limits.redirects:
            # A login written into the address is used for its whole origin, also for the next address there.
            subject = url if origin_of(current) == origin_of(url) and login_of(url) else current
            authorization = credentials.authorization(subject)
            allowed = {**headers, **({"Authorization": authorization} if authorization else {})}
            request = client.build_request("GET", without_login(current), headers=allowed)
            response = await client.send(request, stream=True)
            try:
                if response.status_code == _UNAUTHORIZED and origin_of(current) not in refused:
                    refused.add(origin_of(current))
                    if await credentials.challenged(subject):
                        continue
                if response.status_code not in _REDIRECTS:
                    yield response
                    return
                current = redirect_target(current, response.headers.get("Location"))
                steps += 1
            finally:
                await response.aclose()
    except (
        httpx2.HTTPError,
        ssl.SSLError,
    ) as error:  # TLS 1.3 may refuse a certificate while the answer is awaited; httpx2 does not catch that
        raise transport_failure(error, current) from error
    except httpx2.InvalidURL as error:
        raise _refused(url, f"leads to an address that cannot be read: {redacted(current)}") from error
    raise _refused(url, f"redirects more than {limits.redirects} times")


def redirect_target(current: str, location: str | None) -> str:
    """The address that a redirect from ``current`` leads to, absolute and without login.

    Raises FetchError if the redirect must not be followed.
    """
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
