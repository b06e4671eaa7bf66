"""Index pages kept on disk: the next daemon asks only whether they have changed, or not even that."""

import asyncio
import os
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from storectl_daemon.indexes.config_layer import Source
from storectl_daemon.indexes.configuration import IndexSettings
from storectl_daemon.indexes.page_store import LONGEST_AGE, KeptPage, PageStore, kept_page, max_age_of
from storectl_daemon.indexes.pages import IndexPages, SourceAnswer
from storectl_daemon.indexes.shared import SharedIndexes
from storectl_daemon.indexes.url_book import UrlBook
from storectl_daemon.network.address import Address
from storectl_daemon.network.exchange import FetchLimits
from storectl_daemon.network.fetch import Fetcher, Page
from storectl_store.digest import parse_digest
from storectl_store.selection.pin import IndexPin, Pin
from storectl_store.selection.target import Interpreter
from support.index import serve_index
from support.private_index import validate_pages
from support.wheels import WheelBytes, make_wheel

OLD = make_wheel("sample", "1.0")
NEW = make_wheel("sample", "1.1")
NAME = canonicalize_name("sample")
LIMITS = FetchLimits(pause=0.001, tries=2)
URL = "https://h.example/simple/sample/"


class Clock:
    """A time that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def look(
    folder: Path, place: str, *versions: str, clock: Clock | None = None, anew: bool = False
) -> list[SourceAnswer]:
    """What the pages say of these versions, each asked by a process of its own."""

    async def one(version: str) -> SourceAnswer:
        async with Fetcher(limits=LIMITS) as fetcher:
            pages = IndexPages(PageStore(folder), clock=clock or Clock())
            return await pages.ask(fetcher, Source(address=Address(place)), NAME, version, anew=anew)

    return [asyncio.run(one(version)) for version in versions]


def names(answers: list[SourceAnswer]) -> list[list[str]]:
    return [[file.filename for file in answer.files] for answer in answers]


@pytest.mark.parametrize(
    ("headers", "condition"),
    [
        ({"ETag": '"one"'}, {"If-None-Match": '"one"'}),
        (
            {"Last_Modified": "Mon, 01 Jan 2024 00:00:00 GMT"},
            {"If-Modified-Since": "Mon, 01 Jan 2024 00:00:00 GMT"},
        ),
    ],
)
def test_a_page_is_only_confirmed_the_second_time(
    tmp_path: Path, headers: dict[str, str], condition: dict[str, str]
) -> None:
    with serve_index(OLD, NEW) as index:
        asked = validate_pages(index, **headers)
        answers = look(tmp_path, index.url, "1.0", "1.1")
    assert names(answers) == [[OLD.filename], [NEW.filename]]
    assert asked == [{}, condition]
    assert [answer.kept for answer in answers] == [False, False]


def test_a_page_is_not_asked_for_while_its_server_says_that_it_is_fresh(tmp_path: Path) -> None:
    clock = Clock()
    with serve_index(OLD, NEW) as index:
        asked = validate_pages(index, ETag='"one"', Cache_Control="public, max-age=600")
        look(tmp_path, index.url, "1.0", clock=clock)
        clock.now += 599
        assert look(tmp_path, index.url, "1.1", clock=clock)[0].kept
        assert len(asked) == 1
        clock.now += 1
        assert not look(tmp_path, index.url, "1.1", clock=clock)[0].kept
        assert asked[1:] == [{"If-None-Match": '"one"'}]
        clock.now += 599
        assert look(tmp_path, index.url, "1.0", clock=clock)[0].kept
        look(tmp_path, index.url, "1.0", clock=clock, anew=True)
        assert len(asked) == 3
        clock.now -= 10_000  # a clock that was set back proves nothing
        assert not look(tmp_path, index.url, "1.0", clock=clock)[0].kept


def test_what_a_fresh_page_does_not_have_is_asked_for(tmp_path: Path) -> None:
    def pin(wheel: WheelBytes) -> IndexPin:
        return IndexPin(name=NAME, version=wheel.version, digests=frozenset({parse_digest(wheel.digest)}))

    async def main() -> list[str]:
        settings = IndexSettings(indexes=(Address(index.url),))
        async with Fetcher(limits=LIMITS) as fetcher:
            shared = SharedIndexes(UrlBook(tmp_path / "urls"), PageStore(tmp_path / "pages"), present=lambda _: False)
            client = shared.client(fetcher, settings)
            first = await client.resolve(pin(OLD), python)
            index.add(NEW)
            asked = validate_pages(index, ETag='"two"', Cache_Control="max-age=600")
            second = await client.resolve(pin(NEW), python)
            assert len(asked) == 1
            return [found.wheel.filename for found in (first, second) if isinstance(found, Pin)]

    python = Interpreter(
        executable="/usr/bin/python3",
        identity="0",
        version="3.12.4",
        implementation="cpython",
        cache_tag="cpython-312",
        base_prefix="/usr",
        platlibdir="lib",
        abiflags="",
        tags=("py3-none-any",),
    )
    with serve_index(OLD) as index:
        validate_pages(index, ETag='"one"', Cache_Control="max-age=600")
        assert asyncio.run(main()) == [OLD.filename, NEW.filename]


def test_a_changed_page_replaces_the_kept_one_and_a_missing_one_removes_it(tmp_path: Path) -> None:
    with serve_index(OLD) as index:
        validate_pages(index, ETag='"one"')
        look(tmp_path, index.url, "1.0")
        index.add(NEW)
        asked = validate_pages(index, ETag='"two"')
        assert names(look(tmp_path, index.url, "1.1", "1.0")) == [[NEW.filename], [OLD.filename]]
        assert asked == [{"If-None-Match": '"one"'}, {"If-None-Match": '"two"'}]
        index.respond = None
        index.wheels.clear()
        look(tmp_path, index.url, "1.0")  # the index has an empty page without validators now
    assert not list(tmp_path.iterdir())


def page(**fields: object) -> Page:
    values: dict[str, object] = {
        "url": Address(URL),
        "status": 200,
        "content": b"",
        "content_type": "text/html",
        "etag": None,
    }
    return Page(**(values | fields))  # type: ignore[arg-type]


def test_what_cannot_be_used_again_is_not_kept() -> None:
    assert kept_page(page(), 0) is None
    assert kept_page(page(etag='"1"', cache_control="private, no-store"), 0) is None
    assert kept_page(page(cache_control="max-age=5"), 0) is not None
    with_login = kept_page(page(url=Address(URL.replace("//", "//ann:s3cret@")), etag='"1"'), 0)
    assert with_login is not None
    assert with_login.url == URL


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("max-age=600, public", 600),
        ("public,MAX-AGE=1", 1),
        ("s-maxage=600", 0),
        ("no-cache, max-age=600", 0),
        ("max-age=999999999", LONGEST_AGE),
        ("max-age=-1", 0),
        ("", 0),
    ],
)
def test_the_age_is_what_the_server_says_up_to_a_day(text: str, seconds: int) -> None:
    assert max_age_of(text) == seconds


KEPT = KeptPage(url=URL, content_type="text/html", etag='"1"', last_modified=None, asked_at=1.0, max_age=0)


def test_pages_of_other_users_are_others(tmp_path: Path) -> None:
    store = PageStore(tmp_path)
    store.write(Address(URL.replace("//", "//ann:s3cret@")), KEPT, b"ann's\n\nbody")
    assert store.read(Address(URL)) is None
    assert store.read(Address(URL.replace("//", "//ann:later@"))) == (KEPT, b"ann's\n\nbody")
    assert not any(b"s3cret" in path.read_bytes() for path in tmp_path.iterdir())
    assert all(path.stat().st_mode & 0o077 == 0 for path in tmp_path.iterdir())


@pytest.mark.parametrize("change", [b"", b"{}\n", b"[]\nbody", b'{"format": 1}\nx', b"\xff\n"])
def test_a_damaged_page_is_none(tmp_path: Path, change: bytes) -> None:
    store = PageStore(tmp_path)
    store.write(Address(URL), KEPT, b"body")
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    path.write_bytes(change)
    assert store.read(Address(URL)) is None
    path.write_bytes(whole + b"x")
    assert store.read(Address(URL)) is None
    store.write(Address(URL), KEPT, b"body")
    assert store.read(Address(URL)) == (KEPT, b"body")


def test_the_pages_that_were_written_longest_ago_make_room(tmp_path: Path) -> None:
    store = PageStore(tmp_path, largest=3000)
    for number in range(4):
        store.write(Address(f"{URL}{number}"), KEPT, b"x" * 900)
        for path in tmp_path.iterdir():
            os.utime(path, (path.stat().st_mtime - 10,) * 2)
    assert [store.read(Address(f"{URL}{number}")) is not None for number in range(4)] == [False, False, True, True]


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = PageStore(tmp_path / "file")
    store.write(Address(URL), KEPT, b"body")
    store.remove(Address(URL))
    assert store.read(Address(URL)) is None
