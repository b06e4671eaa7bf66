"""Retries: which failures may pass by themselves, and how long to wait before the next try."""

import asyncio
import email.utils
import random
import ssl
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import httpx2

from storectl_daemon.errors import FetchError, OfflineError
from storectl_daemon.network.limits import FetchLimits
from storectl_daemon.network.origins import redacted
from storectl_store.system_errors import OF_PROCESSES, refusal_of

T = TypeVar("T")

_PASSING_STATUS = frozenset({408, 425, 429})
_STATUS_HINTS = {
    401: "put a login into the index address of your pip or uv configuration, a netrc file, "
    "or the keyring (docs/indexes.md)",
    403: "the login in use may not read this file; check it with the owner of the index",
    404: "the file has left the index; lock again, or add the index that still has it",
    410: "the file has left the index; lock again, or add the index that still has it",
}


class TransientError(Exception):
    """A failure that may pass. ``problem`` is what the user is told if it does not.

    ``retry_after`` is the wait in seconds that the server asked for; None if it asked for none.
    """

    def __init__(self, problem: FetchError, *, retry_after: float | None = None) -> None:
        super().__init__(problem.message)
        self.problem = problem
        self.retry_after = retry_after


async def with_retries(attempt: Callable[[], Awaitable[T]], limits: FetchLimits, *, deadline: float, subject: str) -> T:
    """The value of the first attempt that succeeds, out of ``limits.tries``, all within ``deadline`` seconds.

    ``subject`` names the thing in the error for a missed deadline. Only a TransientError leads to another try; any
    other error is raised at once.
    """
    try:
        async with asyncio.timeout(deadline) as scope:
            return await _tried(attempt, limits)
    except TimeoutError as error:
        if not scope.expired():
            raise
        raise FetchError(
            f"{subject} did not arrive within {deadline:g} s", hint="try again on a better connection", subject=subject
        ) from error


async def _tried(attempt: Callable[[], Awaitable[T]], limits: FetchLimits) -> T:
    for number in range(1, limits.tries):
        try:
            return await attempt()
        except TransientError as error:
            await asyncio.sleep(pause_after(number, error.retry_after, limits))
    try:
        return await attempt()
    except TransientError as error:
        raise error.problem from error


def pause_after(number: int, retry_after: float | None, limits: FetchLimits) -> float:
    """Seconds to wait after failed try ``number`` (from 1).

    That is what the server asked for, capped; otherwise it doubles with each try, with jitter.
    """
    if retry_after is not None:
        return min(max(retry_after, 0.0), limits.retry_after_cap)
    doubled: float = limits.pause * 2 ** (number - 1)
    return doubled * random.uniform(0.5, 1.5)  # noqa: S311  # jitter is no secret


def refusal(status: int, headers: httpx2.Headers, url: str) -> Exception:
    """The error to raise for an answer whose status the caller cannot use."""
    shown = redacted(url)
    hint = _STATUS_HINTS.get(status, "try again later, or ask the owner of the index")
    problem = FetchError(f"{shown} answered with status {status}", hint=hint, url=shown, status=status)
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


def transport_failure(error: httpx2.HTTPError | ssl.SSLError, url: str) -> Exception:
    """The error to raise if the exchange itself failed: a TransientError, unless another try cannot help."""
    shown = redacted(url)
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return FetchError(
            f"the certificate of {shown} is not trusted",
            hint="name your certificate authority in SSL_CERT_FILE or pip's `cert`",
            url=shown,
        )
    if "CERTIFICATE_REQUIRED" in str(error):
        return FetchError(
            f"{shown} wants a client certificate",
            hint="name one in pip's `client-cert` or SSL_CLIENT_CERT",
            url=shown,
        )
    refusal = refusal_of(error, f"fetch {shown}")
    if refusal is not None and refusal.facts["errno"] in OF_PROCESSES:
        return refusal
    if isinstance(error, (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError)):
        hint = "check the network connection and the proxy settings"
        return TransientError(OfflineError(f"no connection to {shown}: {_reason(error)}", hint=hint, url=shown))
    hint = "try again; if it stays, check the proxy and the index"
    problem = FetchError(f"the transfer of {shown} broke off: {_reason(error)}", hint=hint, url=shown)
    if isinstance(error, (httpx2.UnsupportedProtocol, httpx2.LocalProtocolError)):
        return problem
    return TransientError(problem)


def _reason(error: httpx2.HTTPError | ssl.SSLError) -> str:
    # The texts of the transport name the failure, never an address or header. Some are empty.
    return str(error) or type(error).__name__
