"""Downloads: one wheel into one file, over as many connections as it takes.

If a transfer breaks, the next try continues it, provided that the server gives the same strong ETag again (RFC 9110,
13.1.5 and 14). Otherwise the next try starts from the beginning. In either case the digest over all bytes decides.
"""

import asyncio
import re
from collections.abc import Callable, Mapping

import httpx2

from storectl_daemon.errors import FetchError
from storectl_daemon.network.credentials import Credentials
from storectl_daemon.network.limits import FetchLimits
from storectl_daemon.network.origins import redacted
from storectl_daemon.network.pace import Pace
from storectl_daemon.network.partial_file import PartialFile
from storectl_daemon.network.redirects import answer
from storectl_daemon.network.retries import TransientError, refusal
from storectl_store.digest import algorithm_of
from storectl_store.errors import WheelError
from storectl_store.selection.pin import WheelFile

Progress = Callable[[int], None]

_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(?:\d+|\*)")
_LOCK_HINT = "the file is not the one that was locked: lock again if that is expected, else distrust the index"


class Download:
    """The state of one download between its tries: the file so far, and the ETag that its bytes belong to."""

    def __init__(
        self,
        wheel: WheelFile,
        file: PartialFile,
        *,
        client: httpx2.AsyncClient,
        credentials: Credentials,
        limits: FetchLimits,
        progress: Progress,
    ) -> None:
        self._wheel = wheel
        self._file = file
        self._client = client
        self._credentials = credentials
        self._limits = limits
        self._progress = progress
        self._etag: str | None = None
        self._resumed = False

    async def attempt(self) -> None:
        """One try. Raises TransientError if another try may succeed.

        Raises WheelError E_HASH if the bytes are not the locked ones.
        """
        headers = await self._range_headers()
        exchange = answer(
            self._client, self._wheel.url, headers=headers, credentials=self._credentials, limits=self._limits
        )
        async with exchange as response:
            await self._begin(response)
            await self._receive(response)
            length = content_length(response.headers)
        await self._finish(complete=length is not None)

    async def _range_headers(self) -> Mapping[str, str]:
        if self._file.received and self._etag is not None:
            return {"Range": f"bytes={self._file.received}-", "If-Range": self._etag}
        await self._file.restart()
        return {}

    async def _begin(self, response: httpx2.Response) -> None:
        """Read the head of an answer: go on or start anew, and refuse a body that is too large."""
        if response.status_code == 206:
            self._continue(response)
        elif response.status_code == 200:
            await self._file.restart()
            self._resumed = False
            self._etag = strong_etag(response.headers)
        else:
            raise self._refusal(response)
        refuse_encoding(response, self._wheel.url)
        announced = self._file.received + (content_length(response.headers) or 0)
        if announced > size_limit(self._wheel, self._limits):
            raise too_large(self._wheel, self._limits)

    def _continue(self, response: httpx2.Response) -> None:
        match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        same = self._etag is not None and strong_etag(response.headers) == self._etag
        if not (same and match and int(match[1]) == self._file.received):
            self._etag = None
            raise TransientError(self._problem("answered with another part of the file than it was asked for"))
        self._resumed = True

    def _refusal(self, response: httpx2.Response) -> Exception:
        if response.status_code == 416 and self._etag is not None:
            self._etag = None
            return TransientError(self._problem("no longer has the part of the file that is missing"))
        return refusal(response.status_code, response.headers, self._wheel.url)

    async def _receive(self, response: httpx2.Response) -> None:
        limit = size_limit(self._wheel, self._limits)
        pace = Pace(self._limits, asyncio.get_running_loop().time)
        async for chunk in response.aiter_raw():
            if self._file.received + len(chunk) > limit:
                raise too_large(self._wheel, self._limits)
            await self._file.append(chunk)
            self._progress(self._file.received)
            if pace.is_too_slow(len(chunk)):
                raise TransientError(self._problem(f"sends less than {self._limits.floor:g} bytes a second"))

    async def _finish(self, *, complete: bool) -> None:
        """Compare the file with the lock file. ``complete`` is true if the server stated the length of the body."""
        size = self._wheel.size
        if size is not None and self._file.received < size and not complete:
            raise TransientError(self._problem(f"ended after {self._file.received} of {size} bytes"))
        try:
            await check_received(self._wheel, self._file)
        except WheelError as error:
            if not self._resumed:
                raise
            # The two halves may be of different files. So the file is fetched once more from its beginning.
            self._etag = None
            raise TransientError(self._problem("changed during the download")) from error

    def _problem(self, what: str) -> FetchError:
        shown = redacted(self._wheel.url)
        return FetchError(f"{shown} {what}", hint="try again; if it stays, check the proxy and the index", url=shown)


async def check_received(wheel: WheelFile, file: PartialFile) -> None:
    """Raise WheelError E_HASH unless the file has the locked size and one of the locked digests."""
    got = {algorithm: await file.digest(algorithm) for algorithm in locked_algorithms(wheel)}
    if wheel.size is not None and file.received != wheel.size:
        raise WheelError(
            f"{wheel.filename} has {file.received} bytes, {wheel.size} are locked",
            code="E_HASH",
            hint=_LOCK_HINT,
            filename=wheel.filename,
            expected_size=wheel.size,
            got_size=file.received,
            url=redacted(wheel.url),
        )
    allowed = wheel.one_of or {wheel.digest}
    if allowed.isdisjoint(got.values()):
        expected = wheel.digest if len(allowed) == 1 else f"one of {len(allowed)} others"
        raise WheelError(
            f"{wheel.filename} has digest {' and '.join(got.values())}, {expected} is locked",
            code="E_HASH",
            hint=_LOCK_HINT,
            filename=wheel.filename,
            expected=wheel.digest,
            got=" ".join(got.values()),
            url=redacted(wheel.url),
        )


def locked_algorithms(wheel: WheelFile) -> list[str]:
    """The algorithms of the digests that the lock file has for this wheel."""
    return sorted({algorithm_of(digest) for digest in wheel.one_of or {wheel.digest}})


def size_limit(wheel: WheelFile, limits: FetchLimits) -> int:
    """The largest number of bytes that a body of this wheel may have."""
    return limits.largest_wheel if wheel.size is None else min(wheel.size, limits.largest_wheel)


def too_large(wheel: WheelFile, limits: FetchLimits) -> WheelError:
    """The error for a body with at least one byte more than allowed."""
    limit = size_limit(wheel, limits)
    what = "are locked" if wheel.size == limit else "are the most a wheel may have"
    return WheelError(
        f"{wheel.filename} has more than {limit} bytes, which {what}",
        code="E_HASH",
        hint=_LOCK_HINT,
        filename=wheel.filename,
        expected_size=limit,
        url=redacted(wheel.url),
    )


def content_length(headers: httpx2.Headers) -> int | None:
    """The number of bytes that the server announced for the body; None if it announced none."""
    text = headers.get("Content-Length", "")
    return int(text) if text.isascii() and text.isdigit() else None


def strong_etag(headers: httpx2.Headers) -> str | None:
    """The ETag; None if there is none, or if it is a weak one (RFC 9110, 8.8.3)."""
    etag = headers.get("ETag", "")
    return etag if etag.startswith('"') and etag.endswith('"') and len(etag) > 2 else None


def refuse_encoding(response: httpx2.Response, url: str) -> None:
    """Raise FetchError for a compressed body: none was asked for, and its uncompressed size is unknown."""
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in {"", "identity"}:
        shown = redacted(url)
        raise FetchError(
            f"{shown} is sent with content encoding {encoding!r}, although none was asked for",
            hint="ask the owner of the index or proxy to send files as they are",
            url=shown,
        )
