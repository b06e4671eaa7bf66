"""Fetching from an index that behaves, and from one that does not."""

import asyncio
import gzip
import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from storectl_daemon.errors import FetchError, OfflineError
from storectl_daemon.network.address import Address
from storectl_daemon.network.credentials import Credentials
from storectl_daemon.network.exchange import FetchLimits
from storectl_daemon.network.fetch import Fetched, Fetcher
from storectl_daemon.network.proxies import proxies_of
from storectl_store.digest import parse_digest
from storectl_store.errors import ProblemError, StoreError, WheelError
from storectl_store.selection.pin import WheelFile
from support.index import LoopbackIndex, serve_index
from support.wheels import WheelBytes, make_wheel

IMPATIENT = FetchLimits(pause=0.001, retry_after_cap=0.01, deadline=20, page_deadline=20)
WHEEL = make_wheel("sample", files={"sample.py": os.urandom(150_000)})


def locked(wheel: WheelBytes, url: str, *, size: int | None = -1) -> WheelFile:
    known = len(wheel.data) if size == -1 else size
    return WheelFile(filename=wheel.filename, digest=parse_digest(wheel.digest), url=url, size=known)


def fetch(
    wheel: WheelFile,
    destination: Path,
    *,
    limits: FetchLimits = IMPATIENT,
    credentials: Credentials | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Fetched:
    async def main() -> Fetched:
        async with Fetcher(limits=limits, credentials=credentials) as fetcher:
            return await fetcher.fetch(wheel, destination, progress=progress)

    return asyncio.run(main())


def send(handler: BaseHTTPRequestHandler, status: int, body: bytes, *, length: int | None = -1, **headers: str) -> None:
    """An answer; ``length`` None leaves Content-Length out, and the connection is closed after a body that lies."""
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    announced = len(body) if length == -1 else length
    if announced is not None:
        handler.send_header("Content-Length", str(announced))
    if announced != len(body):
        handler.send_header("Connection", "close")
        handler.close_connection = True
    handler.end_headers()
    handler.wfile.write(body)


Script = list[Callable[[BaseHTTPRequestHandler], None]]


def play(index: LoopbackIndex, script: Script) -> list[dict[str, str]]:
    """Answer the first requests by the script, the rest as usual; returns the headers of each request."""
    seen: list[dict[str, str]] = []

    def respond(handler: BaseHTTPRequestHandler) -> bool:
        seen.append(dict(handler.headers))
        if len(seen) > len(script):
            return False
        script[len(seen) - 1](handler)
        return True

    index.respond = respond
    return seen


def broken_off(data: bytes, **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    """Half of the bytes, then silence."""
    return lambda handler: send(handler, 200, data[: len(data) // 2], length=len(data), **headers)


def rest_of(data: bytes, etag: str) -> Callable[[BaseHTTPRequestHandler], None]:
    """The part that was asked for."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        start = int(handler.headers["Range"].removeprefix("bytes=").removesuffix("-"))
        content_range = f"bytes {start}-{len(data) - 1}/{len(data)}"
        send(handler, 206, data[start:], ETag=etag, Content_Range=content_range)

    return answer


def test_a_wheel_arrives_whole_with_its_progress(tmp_path: Path) -> None:
    received: list[int] = []
    with serve_index(WHEEL) as index:
        fetched = fetch(locked(WHEEL, index.file_url(WHEEL)), tmp_path / "w", progress=received.append)
    assert (tmp_path / "w").read_bytes() == WHEEL.data
    assert fetched == Fetched(path=tmp_path / "w", digest=parse_digest(WHEEL.digest), size=len(WHEEL.data))
    assert received == sorted(received)
    assert received[-1] == len(WHEEL.data)


def test_a_wheel_larger_than_one_piece_arrives_whole(tmp_path: Path) -> None:
    large = make_wheel("large", files={"large.bin": os.urandom(3_500_000)})
    with serve_index(large) as index:
        fetch(locked(large, index.file_url(large), size=None), tmp_path / "w")
    assert (tmp_path / "w").read_bytes() == large.data


def test_bytes_other_than_the_locked_ones_are_refused_and_removed(tmp_path: Path) -> None:
    other = bytes(len(WHEEL.data))
    with serve_index(WHEEL) as index:
        index.bodies[WHEEL.filename] = other
        with pytest.raises(WheelError) as caught:
            fetch(locked(WHEEL, index.file_url(WHEEL)), tmp_path / "w")
    assert caught.value.code == "E_HASH"
    assert WHEEL.filename in caught.value.message
    assert caught.value.facts["expected"] == WHEEL.digest
    assert caught.value.facts["got"] in caught.value.message
    assert caught.value.hint
    assert list(tmp_path.iterdir()) == []
    assert index.file_requests == 1


@pytest.mark.parametrize("change", [-1, 1])
def test_a_body_of_another_size_than_locked_is_refused(tmp_path: Path, change: int) -> None:
    with serve_index(WHEEL) as index, pytest.raises(WheelError) as caught:
        fetch(locked(WHEEL, index.file_url(WHEEL), size=len(WHEEL.data) + change), tmp_path / "w")
    assert caught.value.code == "E_HASH"
    assert list(tmp_path.iterdir()) == []


def test_a_body_without_end_is_read_no_further_than_the_locked_size(tmp_path: Path) -> None:
    sent: list[int] = []
    done = threading.Event()

    def pour(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.close_connection = True
        try:
            for _ in range(4000):
                handler.wfile.write(bytes(65536))
                sent.append(65536)
        except OSError:
            pass
        done.set()

    received: list[int] = []
    with serve_index(WHEEL) as index:
        play(index, [pour])
        try:
            with pytest.raises(WheelError) as caught:
                fetch(locked(WHEEL, index.file_url(WHEEL)), tmp_path / "w", progress=received.append)
        finally:
            assert done.wait(20)
    assert caught.value.code == "E_HASH"
    assert max(received, default=0) <= len(WHEEL.data)
    assert sum(sent) < 4000 * 65536
    assert list(tmp_path.iterdir()) == []


def test_a_wheel_of_unknown_size_is_bounded_too(tmp_path: Path) -> None:
    with serve_index(WHEEL) as index:
        small = FetchLimits(largest_wheel=1000)
        with pytest.raises(WheelError) as caught:
            fetch(locked(WHEEL, index.file_url(WHEEL), size=None), tmp_path / "w", limits=small)
    assert caught.value.code == "E_HASH"
    assert "1000" in caught.value.message


def test_a_broken_transfer_goes_on_where_it_stopped(tmp_path: Path) -> None:
    with serve_index(WHEEL) as index:
        seen = play(index, [broken_off(WHEEL.data, ETag='"one"'), rest_of(WHEEL.data, '"one"')])
        fetch(locked(WHEEL, index.file_url(WHEEL)), tmp_path / "w")
    assert (tmp_path / "w").read_bytes() == WHEEL.data
    assert "Range" not in seen[0]
    assert seen[1]["If-Range"] == '"one"'
    assert seen[1]["Range"] == f"bytes={len(WHEEL.data) // 2}-"
    assert len(seen) == 2


@pytest.mark.parametrize("headers", [{}, {"ETag": 'W/"weak"'}])
def test_without_a_strong_etag_a_broken_transfer_starts_from_nothing(tmp_path: Path, headers: dict[str, str]) -> None:
    with serve_index(WHEEL) as index:
        seen = play(index, [broken_off(WHEEL.data, **headers)])
        fetch(locked(WHEEL, index.file_url(WHEEL)), tmp_path / "w")
    assert (tmp_path / "w").read_bytes() == WHEEL.data
    assert "Range" not in seen[1]


def test_another_etag_on_resume_starts_from_nothing(tmp_path: Path) -> None:
    with serve_index(WHEEL) as index:
        seen = play(index, [broken_off(WHEEL.data, ETag='"one"'), rest_of(WHEEL.data, '"two"')])
        fetch(locked(WHEEL, index.file_url(WHEEL)), tmp_path / "w")
    assert (tmp_path / "w").read_bytes() == WHEEL.data
    assert ["Range" in headers for headers in seen] == [False, True, False]


def test_another_part_than_was_asked_for_starts_from_nothing(tmp_path: Path) -> None:
    whole = f"bytes 0-{len(WHEEL.data) - 1}/{len(WHEEL.data)}"
    with serve_index(WHEEL) as index:
        wrong = lambda handler: send(handler, 206, WHEEL.data, ETag='"one"', Content_Range=whole)  # noqa: E731  # reads as the script does
        seen = play(index, [broken_off(WHEEL.data, ETag='"one"'), wrong])
        fetch(locked(WHEEL, index.file_url(WHEEL)), tmp_path / "w")
    assert (tmp_path / "w").read_bytes() == WHEEL.data
    assert ["Range" in headers for headers in seen] == [False, True, False]


def test_a_server_that_ignores_the_range_is_read_from_the_beginning(tmp_path: Path) -> None:
    with serve_index(WHEEL) as index:
        seen = play(index, [broken_off(WHEEL.data, ETag='"one"')])
        fetch(locked(WHEEL, index.file_url(WHEEL)), tmp_path / "w")
    assert (tmp_path / "w").read_bytes() == WHEEL.data
    assert "Range" in seen[1]


def test_halves_that_do_not_fit_are_fetched_again_as_a_whole(tmp_path: Path) -> None:
    changed = bytes(len(WHEEL.data))
    with serve_index(WHEEL) as index:
        seen = play(index, [broken_off(changed, ETag='"one"'), rest_of(WHEEL.data, '"one"')])
        fetch(locked(WHEEL, index.file_url(WHEEL)), tmp_path / "w")
    assert (tmp_path / "w").read_bytes() == WHEEL.data
    assert ["Range" in headers for headers in seen] == [False, True, False]


def test_a_range_that_cannot_be_given_any_more_starts_from_nothing(tmp_path: Path) -> None:
    with serve_index(WHEEL) as index:
        play(index, [broken_off(WHEEL.data, ETag='"one"'), lambda handler: send(handler, 416, b"")])
        fetch(locked(WHEEL, index.file_url(WHEEL)), tmp_path / "w")
    assert (tmp_path / "w").read_bytes() == WHEEL.data


def test_a_body_that_ends_early_without_a_length_is_tried_again(tmp_path: Path) -> None:
    half = WHEEL.data[: len(WHEEL.data) // 2]
    with serve_index(WHEEL) as index:
        seen = play(index, [lambda handler: send(handler, 200, half, length=None)])
        fetch(locked(WHEEL, index.file_url(WHEEL)), tmp_path / "w")
    assert len(seen) == 2


def test_a_transfer_that_always_breaks_is_given_up_after_three_tries(tmp_path: Path) -> None:
    with serve_index(WHEEL) as index:
        seen = play(index, [broken_off(WHEEL.data)] * 9)
        with pytest.raises(FetchError) as caught:
            fetch(locked(WHEEL, index.file_url(WHEEL)), tmp_path / "w")
    assert len(seen) == 3
    assert caught.value.code == "E_FETCH"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_failure_that_passes_is_waited_for_no_longer_than_the_cap(tmp_path: Path, status: int) -> None:
    with serve_index(WHEEL) as index:
        seen = play(index, [lambda handler: send(handler, status, b"busy", Retry_After="3600")] * 2)
        fetch(locked(WHEEL, index.file_url(WHEEL)), tmp_path / "w")
    assert len(seen) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_a_refusal_is_final_and_says_what_to_do(tmp_path: Path, status: int) -> None:
    with serve_index(WHEEL) as index:
        seen = play(index, [lambda handler: send(handler, status, b"no")] * 3)
        with pytest.raises(FetchError) as caught:
            fetch(locked(WHEEL, index.file_url(WHEEL)), tmp_path / "w")
    assert len(seen) == 1
    assert caught.value.facts["status"] == status
    assert caught.value.hint


def test_a_compressed_body_is_refused_and_none_is_asked_for(tmp_path: Path) -> None:
    bomb = gzip.compress(bytes(1_000_000))
    with serve_index(WHEEL) as index:
        seen = play(index, [lambda handler: send(handler, 200, bomb, Content_Encoding="gzip")])
        with pytest.raises(FetchError, match="gzip"):
            fetch(locked(WHEEL, index.file_url(WHEEL)), tmp_path / "w")
    assert seen[0]["Accept-Encoding"] == "identity"
    assert list(tmp_path.iterdir()) == []


def test_a_body_that_drips_is_given_up(tmp_path: Path) -> None:
    stop = threading.Event()

    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(WHEEL.data)))
        handler.end_headers()
        handler.close_connection = True
        try:
            for position in range(1000):
                handler.wfile.write(WHEEL.data[position : position + 1])
                if stop.wait(0.01):
                    return
        except OSError:
            return

    limits = FetchLimits(tries=1, floor=100_000, floor_window=0.1)
    with serve_index(WHEEL) as index:
        play(index, [drip])
        try:
            with pytest.raises(FetchError, match="bytes a second"):
                fetch(locked(WHEEL, index.file_url(WHEEL)), tmp_path / "w", limits=limits)
        finally:
            stop.set()
    assert list(tmp_path.iterdir()) == []


def _until(event: threading.Event) -> None:
    event.wait(20)


def test_a_silent_server_is_given_up_at_the_deadline(tmp_path: Path) -> None:
    stop = threading.Event()
    limits = FetchLimits(deadline=0.1)
    with serve_index(WHEEL) as index:
        play(index, [lambda _handler: _until(stop)])
        try:
            with pytest.raises(FetchError, match="did not arrive within"):
                fetch(locked(WHEEL, index.file_url(WHEEL)), tmp_path / "w", limits=limits)
        finally:
            stop.set()
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_stops_sending_is_given_up(tmp_path: Path) -> None:
    stop = threading.Event()

    def stall(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(WHEEL.data)))
        handler.end_headers()
        handler.wfile.write(WHEEL.data[:100])
        handler.close_connection = True
        stop.wait(20)

    limits = FetchLimits(tries=1, read_timeout=0.1)
    with serve_index(WHEEL) as index:
        play(index, [stall])
        try:
            with pytest.raises(FetchError, match="broke off"):
                fetch(locked(WHEEL, index.file_url(WHEEL)), tmp_path / "w", limits=limits)
        finally:
            stop.set()


def test_no_connection_at_all_is_an_error_of_its_own(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, never listening: connections are refused
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/files/{WHEEL.filename}"
        with pytest.raises(OfflineError) as caught:
            fetch(locked(WHEEL, url), tmp_path / "w")
    assert caught.value.code == "E_OFFLINE"


def test_a_login_goes_to_its_own_origin_only_even_over_redirects(tmp_path: Path) -> None:
    with serve_index(WHEEL) as index, serve_index(WHEEL) as elsewhere:
        target = elsewhere.file_url(WHEEL)
        seen = play(
            index,
            [
                lambda handler: send(handler, 302, b"", Location="/files/again"),
                lambda handler: send(
                    handler, 307, b"", Location=target.replace("//", "//tom:other@"), Set_Cookie="c=1"
                ),
            ],
        )
        seen_elsewhere = play(elsewhere, [])
        url = index.file_url(WHEEL).replace("//", "//ann:s3cret@")
        fetch(locked(WHEEL, url), tmp_path / "w")
    assert (tmp_path / "w").read_bytes() == WHEEL.data
    assert [headers.get("Authorization") for headers in seen] == ["Basic YW5uOnMzY3JldA=="] * 2
    assert [headers.get("Authorization") for headers in seen_elsewhere] == [None]
    assert "Cookie" not in seen_elsewhere[0]


def test_a_redirect_to_another_origin_gets_the_login_of_that_one(tmp_path: Path) -> None:
    credentials = Credentials()
    with serve_index(WHEEL) as index, serve_index(WHEEL) as elsewhere:
        credentials.learn(Address(index.url.replace("//", "//ann:s3cret@")))
        credentials.learn(Address(elsewhere.url.replace("//", "//tom:other@")))
        seen = play(index, [lambda handler: send(handler, 302, b"", Location=elsewhere.file_url(WHEEL))])
        seen_elsewhere = play(elsewhere, [])
        fetch(locked(WHEEL, index.file_url(WHEEL)), tmp_path / "w", credentials=credentials)
    assert [headers.get("Authorization") for headers in seen] == ["Basic YW5uOnMzY3JldA=="]
    assert [headers.get("Authorization") for headers in seen_elsewhere] == ["Basic dG9tOm90aGVy"]


def test_cookies_are_not_kept(tmp_path: Path) -> None:
    with serve_index(WHEEL) as index:
        seen = play(index, [lambda handler: send(handler, 503, b"", Set_Cookie="session=1; Path=/")])
        fetch(locked(WHEEL, index.file_url(WHEEL)), tmp_path / "w")
    assert len(seen) == 2
    assert "Cookie" not in seen[1]


def test_the_login_of_an_index_holds_for_its_files(tmp_path: Path) -> None:
    credentials = Credentials()
    with serve_index(WHEEL) as index:
        credentials.learn(Address(index.url.replace("//", "//ann:s3cret@")))
        seen = play(index, [])
        fetch(locked(WHEEL, index.file_url(WHEEL)), tmp_path / "w", credentials=credentials)
    assert seen[0]["Authorization"] == "Basic YW5uOnMzY3JldA=="


def test_five_redirects_are_followed_and_a_sixth_is_not(tmp_path: Path) -> None:
    with serve_index(WHEEL) as index:
        step: Script = [lambda handler: send(handler, 302, b"", Location=handler.path)]
        play(index, step * 5)
        fetch(locked(WHEEL, index.file_url(WHEEL)), tmp_path / "w")
        seen = play(index, step * 6)
        with pytest.raises(FetchError, match="more than 5 times"):
            fetch(locked(WHEEL, index.file_url(WHEEL)), tmp_path / "again")
    assert len(seen) == 6


def test_a_redirect_to_a_local_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "local").write_bytes(WHEEL.data)
    local = (tmp_path / "local").as_uri()
    with serve_index(WHEEL) as index:
        play(index, [lambda handler: send(handler, 302, b"", Location=local)])
        with pytest.raises(FetchError, match="neither https nor http"):
            fetch(locked(WHEEL, index.file_url(WHEEL)), tmp_path / "w")


@pytest.mark.parametrize("status", [200, 302, 404, 503])
def test_no_credential_is_ever_shown(tmp_path: Path, caplog: pytest.LogCaptureFixture, status: int) -> None:
    caplog.set_level(logging.DEBUG)
    with serve_index(WHEEL) as index:
        answer = "http://u:s3cret@127.0.0.1:1/x?token=t0ken" if status == 302 else ""
        play(index, [lambda handler: send(handler, status, b"other", Location=answer)] * 3)
        url = index.file_url(WHEEL).replace("//", "//ann:s3cret@") + "?signature=t0ken"
        with pytest.raises(ProblemError) as caught:
            fetch(locked(WHEEL, url), tmp_path / "w")
    shown = f"{caught.value} {caught.value.facts} {caught.value.__cause__} {caplog.text}"
    assert "s3cret" not in shown
    assert "t0ken" not in shown


def test_a_local_file_is_copied_and_checked(tmp_path: Path) -> None:
    source = tmp_path / "with space" / WHEEL.filename
    source.parent.mkdir()
    source.write_bytes(WHEEL.data)
    received: list[int] = []
    fetched = fetch(locked(WHEEL, source.as_uri()), tmp_path / "w", progress=received.append)
    assert fetched.path.read_bytes() == WHEEL.data
    assert received == [len(WHEEL.data)]
    source.write_bytes(bytes(len(WHEEL.data)))
    with pytest.raises(WheelError) as caught:
        fetch(locked(WHEEL, source.as_uri()), tmp_path / "again")
    assert caught.value.code == "E_HASH"
    assert not (tmp_path / "again").exists()


def test_a_local_file_larger_than_locked_is_refused(tmp_path: Path) -> None:
    source = tmp_path / WHEEL.filename
    source.write_bytes(WHEEL.data + b"more")
    with pytest.raises(WheelError) as caught:
        fetch(locked(WHEEL, source.as_uri()), tmp_path / "w")
    assert caught.value.code == "E_HASH"


def test_what_is_no_regular_file_is_refused_without_blocking(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder", "missing"):
        with pytest.raises(FetchError, match="cannot be read"):
            fetch(locked(WHEEL, (tmp_path / name).as_uri()), tmp_path / "w")
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.invalid/w.whl",
        "git+https://example.invalid/w",
        "/some/path.whl",
        "http:///w.whl",
        "file://host/w.whl",
    ],
)
def test_other_schemes_are_refused_with_what_to_do(tmp_path: Path, url: str) -> None:
    with pytest.raises(FetchError) as caught:
        fetch(locked(WHEEL, url), tmp_path / "w")
    assert caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_already_there_is_neither_written_nor_removed(tmp_path: Path) -> None:
    (tmp_path / "w").write_bytes(b"mine")
    with serve_index(WHEEL) as index, pytest.raises(StoreError, match="EEXIST"):
        fetch(locked(WHEEL, index.file_url(WHEEL)), tmp_path / "w")
    assert (tmp_path / "w").read_bytes() == b"mine"


def test_a_cancelled_fetch_leaves_nothing(tmp_path: Path) -> None:
    stop = threading.Event()

    def stall(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(WHEEL.data)))
        handler.end_headers()
        handler.wfile.write(WHEEL.data[:5000])
        handler.close_connection = True
        stop.wait(20)

    async def main(url: str) -> None:
        arrived = asyncio.Event()
        async with Fetcher(limits=IMPATIENT) as fetcher:
            work = fetcher.fetch(locked(WHEEL, url), tmp_path / "w", progress=lambda _: arrived.set())
            task = asyncio.create_task(work)
            await arrived.wait()
            assert (tmp_path / "w").exists()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    with serve_index(WHEEL) as index:
        play(index, [stall])
        try:
            asyncio.run(main(index.file_url(WHEEL)))
        finally:
            stop.set()
    assert list(tmp_path.iterdir()) == []


def test_no_more_downloads_run_at_once_than_allowed(tmp_path: Path) -> None:
    lock = threading.Lock()
    active: list[int] = [0, 0]

    def respond(_handler: BaseHTTPRequestHandler) -> bool:
        with lock:
            active[0] += 1
            active[1] = max(active)
        time.sleep(0.02)
        with lock:
            active[0] -= 1
        return False

    async def main(url: str) -> None:
        async with Fetcher(limits=FetchLimits(concurrency=2)) as fetcher:
            await asyncio.gather(*(fetcher.fetch(locked(WHEEL, url), tmp_path / str(n)) for n in range(8)))

    with serve_index(WHEEL) as index:
        index.respond = respond
        asyncio.run(main(index.file_url(WHEEL)))
    assert active[1] == 2


@pytest.mark.parametrize(
    "variables",
    [
        {"HTTP_PROXY": "{proxy}"},
        {"ALL_PROXY": "{proxy}"},
        {"http_proxy": "{proxy}", "HTTP_PROXY": "http://wrong.invalid"},
        {"http_proxy": "{proxy}", "NO_PROXY": "other.invalid, 10.0.0.0/8, ::1, not a host, .files.invalid"},
    ],
)
def test_the_proxy_of_the_variables_is_used(
    tmp_path: Path, variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setenv("HTTP_PROXY", "http://daemon.invalid")  # its own variables count for nothing
    monkeypatch.setenv("NO_PROXY", "*")

    def respond(handler: BaseHTTPRequestHandler) -> bool:
        asked.append(handler.path)
        send(handler, 200, WHEEL.data)
        return True

    async def main(url: str) -> None:
        environ = {name: value.format(proxy=proxy.root) for name, value in variables.items()}
        async with Fetcher(limits=IMPATIENT, proxies=proxies_of(environ)) as fetcher:
            await fetcher.fetch(locked(WHEEL, url), tmp_path / "w")

    with serve_index() as proxy:
        proxy.respond = respond
        asyncio.run(main("http://files.invalid/sample.whl"))
    assert asked == ["http://files.invalid/sample.whl"]


@pytest.mark.parametrize("excepted", ["127.0.0.1", "localhost,127.0.0.0/8", "*"])
def test_a_host_that_no_proxy_names_is_asked_directly(tmp_path: Path, excepted: str) -> None:
    async def main(url: str) -> None:
        proxies = proxies_of({"ALL_PROXY": "http://127.0.0.1:9", "no_proxy": excepted})
        async with Fetcher(limits=IMPATIENT, proxies=proxies) as fetcher:
            await fetcher.fetch(locked(WHEEL, url), tmp_path / "w")

    with serve_index(WHEEL) as index:
        asyncio.run(main(index.file_url(WHEEL)))
    assert (tmp_path / "w").read_bytes() == WHEEL.data


@pytest.mark.parametrize("proxy", ["ftp://ann:s3cret@p.example", "http://ann:s3cret@p.example:port"])
def test_a_proxy_that_cannot_be_used_is_said_without_its_password(proxy: str) -> None:
    with pytest.raises(FetchError, match="proxy") as caught:
        Fetcher(proxies=proxies_of({"HTTPS_PROXY": proxy}))
    assert "s3cret" not in f"{caught.value}{caught.value.hint}{proxies_of({'HTTPS_PROXY': proxy})!r}"


def test_a_page_is_bounded() -> None:
    async def main(url: str) -> None:
        async with Fetcher(limits=FetchLimits(largest_page=1000)) as fetcher:
            await fetcher.read(Address(url), {})

    for length in (-1, None):
        with serve_index() as index:
            play(index, [lambda handler, length=length: send(handler, 200, bytes(5000), length=length)])  # type: ignore[misc]
            with pytest.raises(FetchError, match="larger than 1000 bytes"):
                asyncio.run(main(index.url))
