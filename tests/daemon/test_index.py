"""Looking up which file a digest is: in JSON and HTML, over several indexes, in folders, and from the book."""

import asyncio
import json
import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from storectl_daemon.errors import FetchError, IndexLookupError, OfflineError
from storectl_daemon.indexes.config_layer import Source
from storectl_daemon.indexes.configuration import IndexSettings
from storectl_daemon.indexes.file import IndexFile, allows_python, is_of_version, read_project_page
from storectl_daemon.indexes.page_store import PageStore
from storectl_daemon.indexes.pages import IndexPages
from storectl_daemon.indexes.shared import SharedIndexes
from storectl_daemon.indexes.url_book import UrlBook
from storectl_daemon.network.address import Address
from storectl_daemon.network.exchange import FetchLimits
from storectl_daemon.network.fetch import Fetcher
from storectl_store.digest import parse_digest
from storectl_store.errors import FormatRefusedError, NoWheelError
from storectl_store.selection.pin import IndexPin, Pin, SourceArchive, SourcePin
from storectl_store.selection.target import Interpreter
from support.index import JSON_TYPE, serve_index
from support.private_index import answer
from support.wheels import WheelBytes, make_wheel

ANY = make_wheel("Sam.ple", "1.0")
NATIVE = make_wheel("Sam.ple", "1.0", tag="cp312-cp312-manylinux_2_17_x86_64")
WINDOWS = make_wheel("Sam.ple", "1.0", tag="cp312-cp312-win_amd64")
NEWER = make_wheel("Sam.ple", "1.1")
LIMITS = FetchLimits(pause=0.001, retry_after_cap=0.01, tries=2)


def python(version: str = "3.12.4") -> Interpreter:
    return Interpreter(
        executable="/usr/bin/python3",
        identity="0",
        version=version,
        implementation="cpython",
        cache_tag="cpython-312",
        base_prefix="/usr",
        platlibdir="lib",
        abiflags="",
        tags=("cp312-cp312-manylinux_2_17_x86_64", "py3-none-any"),
    )


def pin(*wheels: WheelBytes, version: str = "1.0", extra: Sequence[str] = ()) -> IndexPin:
    digests = {parse_digest(wheel.digest) for wheel in wheels} | {parse_digest(digest) for digest in extra}
    return IndexPin(name=canonicalize_name(wheels[0].name), version=version, digests=frozenset(digests))


def shared(folder: Path, present: frozenset[str] = frozenset()) -> SharedIndexes:
    """What a process knows of indexes that keeps it below this folder."""
    return SharedIndexes(UrlBook(folder / "urls"), PageStore(folder / "pages"), present=present.__contains__)


class Lookup:
    """An index client with its settings and its book; each call is a process of its own."""

    def __init__(self, folder: Path, *indexes: str, find_links: tuple[str, ...] = ()) -> None:
        self.settings = IndexSettings(indexes=tuple(map(Address, indexes)), find_links=tuple(map(Address, find_links)))
        self.folder = folder
        self.present: frozenset[str] = frozenset()

    def any(self, wanted: IndexPin, *, offline: bool = False) -> Pin | SourcePin:
        async def main() -> Pin | SourcePin:
            async with Fetcher(limits=LIMITS) as fetcher:
                client = shared(self.folder).client(fetcher, self.settings)
                return await client.resolve(wanted, python(), offline=offline)

        return asyncio.run(main())

    def __call__(self, *pins: IndexPin, interpreter: Interpreter | None = None, refresh: bool = False) -> list[Pin]:
        async def main() -> list[Pin]:
            async with Fetcher(limits=LIMITS) as fetcher:
                client = shared(self.folder, self.present).client(fetcher, self.settings)
                work = (client.resolve(p, interpreter or python(), refresh=refresh) for p in pins)
                return [found for found in await asyncio.gather(*work) if isinstance(found, Pin)]

        return asyncio.run(main())

    def one(self, wanted: IndexPin, *, interpreter: Interpreter | None = None, refresh: bool = False) -> Pin:
        return self(wanted, interpreter=interpreter, refresh=refresh)[0]


@pytest.mark.parametrize("as_json", [True, False])
def test_the_best_locked_wheel_is_found(tmp_path: Path, *, as_json: bool) -> None:
    with serve_index(ANY, NATIVE, WINDOWS, NEWER) as index:
        index.json = as_json
        found = Lookup(tmp_path, index.url).one(pin(ANY, NATIVE, WINDOWS))
        assert found.wheel.url == index.file_url(NATIVE)
    assert found.name == "sam-ple"
    assert found.version == "1.0"
    assert found.wheel.filename == NATIVE.filename
    assert found.wheel.digest == NATIVE.digest
    assert found.wheel.size == (len(NATIVE.data) if as_json else None)
    assert found.index == index.url


def named(wheel: WheelBytes, *, indexes: tuple[str, ...] = (), find_links: tuple[str, ...] = ()) -> IndexPin:
    """What is locked by the name of its file alone."""
    names = frozenset({wheel.filename})
    return replace(
        pin(wheel), digests=frozenset(), filenames=names, exclusive=True, indexes=indexes, find_links=find_links
    )


def test_a_file_locked_by_name_alone_says_its_digest_itself(tmp_path: Path) -> None:
    folder = tmp_path / "flat"
    folder.mkdir()
    for wheel in (ANY, NATIVE, NEWER):
        (folder / wheel.filename).write_bytes(wheel.data)
    lookup = Lookup(tmp_path)
    wanted = named(ANY, find_links=(folder.as_uri(),))
    for offline in (False, True):
        found = lookup.any(wanted, offline=offline)
        assert isinstance(found, Pin)
        assert (found.wheel.filename, found.wheel.digest) == (ANY.filename, ANY.digest)
    other = make_wheel("Sam.ple", "1.0", files={"sam_ple.py": "X = 2\n"})
    (folder / ANY.filename).write_bytes(other.data)
    replaced = lookup.any(wanted)
    assert isinstance(replaced, Pin)
    assert replaced.wheel.digest == other.digest


def test_an_index_says_the_digest_of_a_file_locked_by_name_alone_once(tmp_path: Path) -> None:
    with serve_index(ANY, NATIVE) as index:
        lookup = Lookup(tmp_path)
        wanted = named(ANY, indexes=(index.url,))
        assert lookup.one(wanted).wheel.digest == ANY.digest
        requests = sum(index.requests.values())
        assert lookup.any(wanted, offline=True) == lookup.one(wanted)
        assert sum(index.requests.values()) == requests


def test_a_file_locked_by_name_alone_that_nobody_gives_a_digest_for_is_an_error(tmp_path: Path) -> None:
    with (
        serve_index(ANY) as index,
        pytest.raises(IndexLookupError, match=r"with a strong digest for .*cp312-win_amd64") as caught,
    ):
        Lookup(tmp_path).one(named(WINDOWS, indexes=(index.url,)))
    assert "find-links" in str(caught.value.hint)


def test_only_locked_digests_are_candidates(tmp_path: Path) -> None:
    with serve_index(ANY, NATIVE) as index:
        assert Lookup(tmp_path, index.url).one(pin(ANY)).wheel.filename == ANY.filename


def test_the_second_time_needs_no_network(tmp_path: Path) -> None:
    with serve_index(ANY, NATIVE) as index:
        lookup = Lookup(tmp_path, index.url)
        first = lookup.one(pin(ANY, NATIVE))
        requests = sum(index.requests.values())
        assert lookup.one(pin(ANY, NATIVE)) == first
        assert sum(index.requests.values()) == requests
    assert lookup.one(pin(ANY, NATIVE)) == first


def test_a_refresh_asks_again_and_corrects_the_book(tmp_path: Path) -> None:
    with serve_index(ANY) as old, serve_index(ANY) as new:
        lookup = Lookup(tmp_path, old.url)
        assert lookup.one(pin(ANY)).wheel.url == old.file_url(ANY)
        lookup.settings = IndexSettings(indexes=(Address(new.url),))
        assert lookup.one(pin(ANY)).wheel.url == new.file_url(ANY)
        assert old.requests == {"/simple/sam-ple/": 1}


def test_what_is_in_the_store_is_not_looked_up_again_though_the_index_is_another(tmp_path: Path) -> None:
    with serve_index(ANY) as old:
        lookup = Lookup(tmp_path, old.url)
        first = lookup.one(pin(ANY))
        lookup.settings = IndexSettings(indexes=(Address("http://127.0.0.1:9/simple"),))
        assert lookup.any(pin(ANY), offline=True) == first
        lookup.present = frozenset({first.wheel.digest})
        assert lookup.one(pin(ANY)) == first
        lookup.present = frozenset()
        with pytest.raises(OfflineError):
            lookup.one(pin(ANY))


def test_a_file_that_has_moved_is_found_where_its_index_has_it_now(tmp_path: Path) -> None:
    moved = f"/elsewhere/{ANY.filename}"

    def respond(handler: BaseHTTPRequestHandler) -> bool:
        if handler.path.startswith("/simple/"):
            page = index.project_json("sam-ple")
            page["files"][0]["url"] = f"{index.root}{moved}"
            _send_json(handler, page)
        elif handler.path == moved:
            answer(handler, 200, ANY.data)
        else:
            answer(handler, 410)
        return True

    async def main() -> tuple[str, str]:
        async with Fetcher(limits=LIMITS) as fetcher:
            client = shared(tmp_path).client(fetcher, IndexSettings(indexes=(Address(index.url),)))
            found = await client.resolve(pin(ANY), python())
            assert isinstance(found, Pin)
            with pytest.raises(FetchError) as caught:
                await fetcher.fetch(found.wheel, tmp_path / "wheel")
            again = await client.moved(found.wheel, caught.value)
            with pytest.raises(FetchError, match="410"):
                await client.moved(again, caught.value)  # once: it is there, whatever failed
            return found.wheel.url, again.url

    with serve_index(ANY) as index:
        Lookup(tmp_path, index.url).one(pin(ANY))
        index.respond = respond
        assert asyncio.run(main()) == (index.file_url(ANY), f"{index.root}{moved}")


def test_an_incomplete_book_does_not_choose(tmp_path: Path) -> None:
    with serve_index(ANY, NATIVE) as index:
        lookup = Lookup(tmp_path, index.url)
        assert lookup.one(pin(ANY)).wheel.filename == ANY.filename
        assert lookup.one(pin(ANY, NATIVE)).wheel.filename == NATIVE.filename


def test_a_page_that_many_ask_for_at_once_is_read_once(tmp_path: Path) -> None:
    async def main(source: Source) -> None:
        async with Fetcher(limits=LIMITS) as fetcher:
            pages = IndexPages(PageStore(tmp_path))
            asks = (
                pages.ask(fetcher, source, canonicalize_name("sam-ple"), version) for version in ("1.0", "1.1") * 10
            )
            answers = await asyncio.gather(*asks)
            assert [len(answer.files) for answer in answers] == [2, 1] * 10

    with serve_index(ANY, NATIVE, NEWER) as index:
        asyncio.run(main(Source(address=Address(index.url))))
        assert index.requests == {"/simple/sam-ple/": 1}


def test_a_page_is_asked_for_with_its_etag(tmp_path: Path) -> None:
    seen: list[str | None] = []

    def respond(handler: BaseHTTPRequestHandler) -> bool:
        seen.append(handler.headers.get("If-None-Match"))
        body = json.dumps(index.project_json("sam-ple")).encode()
        unchanged = seen[-1] == '"page"'
        handler.send_response(304 if unchanged else 200)
        handler.send_header("ETag", '"page"')
        handler.send_header("Content-Type", JSON_TYPE)
        if not unchanged:
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(b"" if unchanged else body)
        return True

    async def main() -> list[Pin]:
        async with Fetcher(limits=LIMITS) as fetcher:
            settings = IndexSettings(indexes=(Address(index.url),))
            client = shared(tmp_path).client(fetcher, settings)
            found = [await client.resolve(pin(wheel), python()) for wheel in (ANY, NATIVE)]
            return [item for item in found if isinstance(item, Pin)]

    with serve_index(ANY, NATIVE) as index:
        index.respond = respond
        found = asyncio.run(main())
    assert [p.wheel.filename for p in found] == [ANY.filename, NATIVE.filename]
    assert seen == [None, '"page"']


def test_every_index_is_asked_and_the_best_wheel_of_all_taken(tmp_path: Path) -> None:
    with serve_index(ANY) as first, serve_index(NATIVE) as second:
        found = Lookup(tmp_path, first.url, second.url).one(pin(ANY, NATIVE))
        assert found.wheel.url == second.file_url(NATIVE)
        assert found.index == second.url


def test_of_two_indexes_with_one_file_the_first_is_taken(tmp_path: Path) -> None:
    with serve_index(ANY) as first, serve_index(ANY) as second:
        assert Lookup(tmp_path, first.url, second.url).one(pin(ANY)).wheel.url == first.file_url(ANY)


def test_the_indexes_of_the_lock_file_come_first_or_alone(tmp_path: Path) -> None:
    with serve_index(ANY) as locked, serve_index(ANY, NATIVE) as configured:
        wanted = pin(ANY, NATIVE)
        both = IndexPin(name=wanted.name, version="1.0", digests=wanted.digests, indexes=(locked.url,))
        lookup = Lookup(tmp_path / "1", configured.url)
        assert lookup.one(both).wheel.filename == NATIVE.filename
        alone = IndexPin(name=wanted.name, version="1.0", digests=wanted.digests, indexes=(locked.url,), exclusive=True)
        lookup = Lookup(tmp_path / "2", configured.url)
        before = sum(configured.requests.values())
        assert lookup.one(alone).wheel.url == locked.file_url(ANY)
        assert sum(configured.requests.values()) == before


def test_a_project_with_an_index_of_its_own_is_looked_for_there_alone(tmp_path: Path) -> None:
    with serve_index(ANY) as own, serve_index(ANY, NATIVE, make_wheel("other")) as general:
        lookup = Lookup(tmp_path, general.url)
        name = canonicalize_name("sam-ple")
        lookup.settings = IndexSettings(
            indexes=(Address(general.url),),
            explicit=(Address(own.url),),
            assigned={name: (Source(address=Address(own.url)),)},
        )
        assert lookup.one(pin(ANY, NATIVE)).wheel.url == own.file_url(ANY)
        assert not general.requests
        assert lookup.one(pin(make_wheel("other"))).wheel.filename.startswith("other-")
        assert own.requests == {"/simple/sam-ple/": 1}


def test_a_flat_index_of_a_project_is_read_as_a_page_of_links(tmp_path: Path) -> None:
    def respond(handler: BaseHTTPRequestHandler) -> bool:
        if handler.path != "/flat/":
            return False
        page = f'<base href="../files/"><a href="{ANY.filename}#sha256={ANY.hexdigest}">a</a>'.encode()
        handler.send_response(200)
        handler.send_header("Content-Type", "text/html")
        handler.send_header("Content-Length", str(len(page)))
        handler.end_headers()
        handler.wfile.write(page)
        return True

    with serve_index(ANY) as index:
        index.respond = respond
        lookup = Lookup(tmp_path)
        flat = Source(address=Address(f"{index.root}/flat/"), find_links=True)
        lookup.settings = IndexSettings(indexes=(), assigned={canonicalize_name("sam-ple"): (flat,)})
        assert lookup.one(pin(ANY)).wheel.url == index.file_url(ANY)


def test_find_links_of_the_user_count_beside_the_indexes_of_the_lock_file(tmp_path: Path) -> None:
    (tmp_path / NATIVE.filename).write_bytes(NATIVE.data)
    with serve_index(ANY) as locked:
        wanted = IndexPin(
            name=canonicalize_name("sam-ple"),
            version="1.0",
            digests=pin(ANY, NATIVE).digests,
            indexes=(locked.url,),
            exclusive=True,
        )
        found = Lookup(tmp_path, "https://never.invalid/simple", find_links=(str(tmp_path),)).one(wanted)
    assert found.wheel.filename == NATIVE.filename


def test_the_logins_of_a_project_are_known_without_a_lookup(tmp_path: Path) -> None:
    settings = IndexSettings(indexes=(Address("https://ann:s3cret@h.example/simple"),))
    credentials = shared(tmp_path).credentials(settings, {}, tmp_path)
    assert credentials.authorization(Address("https://h.example/files/a.whl")) == "Basic YW5uOnMzY3JldA=="


def test_requires_python_of_a_file_is_respected(tmp_path: Path) -> None:
    with serve_index(ANY, NATIVE) as index:
        page = index.project_json("sam-ple")
        page["files"][1]["requires-python"] = ">=3.13"
        page["files"][0]["yanked"] = "use another"
        index.respond = lambda handler: _send_json(handler, page)
        assert Lookup(tmp_path, index.url).one(pin(ANY, NATIVE)).wheel.filename == ANY.filename
        # The book knows it, too.
        assert Lookup(tmp_path, index.url).one(pin(ANY, NATIVE)).wheel.filename == ANY.filename


def _send_json(handler: BaseHTTPRequestHandler, page: object, content_type: str = JSON_TYPE) -> bool:
    body = json.dumps(page).encode()
    handler.send_response(200)
    handler.send_header("Content-Type", content_type)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)
    return True


def _send_error(handler: BaseHTTPRequestHandler, status: int) -> bool:
    handler.send_error(status)
    return True


def test_other_digests_are_named_and_which_indexes_were_asked(tmp_path: Path) -> None:
    with serve_index(ANY) as index, serve_index() as empty:
        secret = index.url.replace("//", "//ann:s3cret@")
        with pytest.raises(IndexLookupError) as caught:
            Lookup(tmp_path, secret, empty.url).one(pin(NATIVE))
    assert ANY.filename in caught.value.message
    assert index.url.removeprefix("http://") in caught.value.message
    assert empty.url in caught.value.message
    assert "s3cret" not in f"{caught.value} {caught.value.facts}"
    assert caught.value.facts["other_files"] == [ANY.filename]
    assert caught.value.hint


def test_without_any_index_the_error_says_so(tmp_path: Path) -> None:
    with pytest.raises(IndexLookupError, match="no index is configured"):
        Lookup(tmp_path).one(pin(ANY))


def test_locked_files_that_do_not_fit_are_an_error_of_their_own(tmp_path: Path) -> None:
    with serve_index(WINDOWS) as index, pytest.raises(NoWheelError) as caught:
        Lookup(tmp_path, index.url).one(pin(WINDOWS))
    assert WINDOWS.filename in caught.value.message


def test_a_python_that_every_locked_wheel_excludes_is_said(tmp_path: Path) -> None:
    with serve_index(ANY) as index:
        page = index.project_json("sam-ple")
        page["files"][0]["requires-python"] = ">=3.13"
        index.respond = lambda handler: _send_json(handler, page)
        with pytest.raises(NoWheelError, match=r">=3\.13"):
            Lookup(tmp_path, index.url).one(pin(ANY))


def test_an_sdist_alone_is_a_source_unless_only_wheels_may_be_used(tmp_path: Path) -> None:
    page = {"files": [{"filename": "sam_ple-1.0.tar.gz", "url": "/s.tar.gz", "hashes": {"sha256": ANY.hexdigest}}]}
    with serve_index() as index:
        index.respond = lambda handler: _send_json(handler, page)
        found = Lookup(tmp_path, index.url).any(pin(ANY))
        assert isinstance(found, SourcePin)
        assert isinstance(found.source, SourceArchive)
        assert (found.name, found.source.filename, found.source.digest) == ("sam-ple", "sam_ple-1.0.tar.gz", ANY.digest)
        with pytest.raises(FormatRefusedError, match="would have to be built; `no-build` refuses that"):
            Lookup(tmp_path, index.url).one(replace(pin(ANY), formats=frozenset({"wheel"}), settings="`no-build`"))
        with serve_index(ANY) as other, pytest.raises(FormatRefusedError, match="no source distribution to be built"):
            Lookup(tmp_path / "other", other.url).one(
                replace(pin(ANY), formats=frozenset({"sdist"}), settings="`no-binary`")
            )


def test_without_the_network_only_the_book_answers(tmp_path: Path) -> None:
    with serve_index(ANY) as index:
        lookup = Lookup(tmp_path, index.url)
        with pytest.raises(OfflineError, match="never looked up"):
            lookup.any(pin(ANY), offline=True)
        assert index.requests.total() == 0
        known = lookup.one(pin(ANY))
    assert lookup.any(pin(ANY), offline=True) == known


def test_an_index_that_fails_is_no_matter_if_the_others_have_everything(tmp_path: Path) -> None:
    with serve_index(ANY) as good, serve_index() as bad:
        bad.respond = lambda handler: _send_error(handler, 500)
        assert Lookup(tmp_path, bad.url, good.url).one(pin(ANY)).wheel.url == good.file_url(ANY)
        with pytest.raises(IndexLookupError, match="status 500"):
            Lookup(tmp_path / "2", bad.url, good.url).one(pin(ANY, NATIVE))


def test_an_index_that_forbids_unknown_projects_has_none(tmp_path: Path) -> None:
    with serve_index(ANY) as good, serve_index() as strict:
        strict.respond = lambda handler: _send_error(handler, 403)
        lookup = Lookup(tmp_path, strict.url, good.url)
        assert lookup.one(pin(ANY, NATIVE)).wheel.filename == ANY.filename
        with pytest.raises(IndexLookupError, match="status 403"):
            lookup.one(pin(NATIVE))


def test_no_network_is_said_to_be_that(tmp_path: Path) -> None:
    with serve_index() as index:
        gone = index.url
    with pytest.raises(OfflineError):
        Lookup(tmp_path, gone).one(pin(ANY))


def test_the_login_of_an_index_is_used_and_shown_nowhere(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    seen: list[str | None] = []
    with serve_index(ANY) as index:

        def respond(handler: BaseHTTPRequestHandler) -> bool:
            seen.append(handler.headers.get("Authorization"))
            return False

        index.respond = respond
        found = Lookup(tmp_path, index.url.replace("//", "//ann:s3cret@")).one(pin(ANY))
    assert seen == ["Basic YW5uOnMzY3JldA=="]
    book = (tmp_path / "urls/sam-ple.json").read_text()
    assert "s3cret" not in f"{found} {book} {caplog.text}"
    assert found.wheel.url == index.file_url(ANY)


@pytest.mark.parametrize("content_type", ["application/octet-stream", "text/plain", ""])
def test_a_page_that_is_no_index_page_is_said_to_be_none(tmp_path: Path, content_type: str) -> None:
    with serve_index() as index:
        index.respond = lambda handler: _send_json(handler, {}, content_type)
        with pytest.raises(IndexLookupError, match="not an index page"):
            Lookup(tmp_path, index.url).one(pin(ANY))


def local_index(folder: Path, *wheels: WheelBytes, hashed: bool) -> str:
    """A folder that is an index, as static generators write it."""
    project = folder / "simple" / "sam-ple"
    project.mkdir(parents=True)
    links = []
    for wheel in wheels:
        (folder / wheel.filename).write_bytes(wheel.data)
        fragment = f"#sha256={wheel.hexdigest}" if hashed else ""
        links.append(f'<a href="../../{wheel.filename}{fragment}">{wheel.filename}</a>')
    (project / "index.html").write_text("".join(links))
    return (folder / "simple").as_uri()


@pytest.mark.parametrize("hashed", [True, False])
def test_an_index_may_be_a_folder(tmp_path: Path, *, hashed: bool) -> None:
    url = local_index(tmp_path / "index", ANY, NATIVE, hashed=hashed)
    found = Lookup(tmp_path, (tmp_path / "missing").as_uri(), url).one(pin(ANY, NATIVE))
    assert found.wheel.url == (tmp_path / "index" / NATIVE.filename).as_uri()
    assert found.wheel.digest == NATIVE.digest


@pytest.mark.parametrize("as_url", [True, False])
def test_find_links_may_be_a_folder_of_wheels(tmp_path: Path, *, as_url: bool) -> None:
    folder = tmp_path / "wheels"
    folder.mkdir()
    for wheel in (ANY, NATIVE, NEWER):
        (folder / wheel.filename).write_bytes(wheel.data)
    (folder / "notes.txt").write_text("not a wheel")
    places = (folder.as_uri() if as_url else str(folder), str(tmp_path / "missing"))
    found = Lookup(tmp_path, find_links=places).one(pin(NATIVE, ANY))
    assert found.wheel.url == (folder / NATIVE.filename).as_uri()
    assert found.wheel.size == len(NATIVE.data)


def test_a_wheel_that_is_replaced_in_its_folder_is_not_the_old_one(tmp_path: Path) -> None:
    async def main() -> None:
        async with Fetcher(limits=LIMITS) as fetcher:
            settings = IndexSettings(indexes=(), find_links=(Address(str(tmp_path)),))
            client = shared(tmp_path).client(fetcher, settings)
            place = tmp_path / ANY.filename
            place.write_bytes(ANY.data)
            await client.resolve(pin(ANY), python())
            place.write_bytes(bytes(len(ANY.data)))
            os.utime(place, ns=(1, 1))
            with pytest.raises(IndexLookupError, match="other digests"):
                await client.resolve(pin(ANY), python(), refresh=True)

    asyncio.run(main())


def test_find_links_may_be_a_page(tmp_path: Path) -> None:
    with serve_index(ANY) as index:
        page = f"{index.url}sam-ple/"
        assert Lookup(tmp_path, find_links=(page,)).one(pin(ANY)).wheel.url == index.file_url(ANY)


def names(files: Sequence[IndexFile]) -> list[str]:
    return [file.filename for file in files]


def read(content: bytes, content_type: str, base: str = "https://h.example/simple/x/") -> tuple[IndexFile, ...]:
    return read_project_page(content, content_type, Address(base), index="https://h.example/simple/")


def test_html_is_read_with_its_escapes_base_and_requirement() -> None:
    text = (
        '<base href="https://files.example/"><a>no address</a>'
        f'<a href="a%2Bb/x-1.0%2Bcpu-py3-none-any.whl#sha256={"A" * 64}" data-requires-python="&gt;=3.9">x</a>'
        '<a href="x-1.0-py3-none-any.whl#md5=0">x</a>'
    )
    first, second = read(text.encode(), "text/html; charset=utf-8")
    assert first.filename == "x-1.0+cpu-py3-none-any.whl"
    assert first.url == "https://files.example/a%2Bb/x-1.0%2Bcpu-py3-none-any.whl"
    assert first.digest == f"sha256:{'a' * 64}"
    assert first.requires_python == ">=3.9"
    assert second.digest is None


@pytest.mark.parametrize(
    ("href", "expected"),
    [
        ("files/", "https://h.example/simple/x/files/"),
        ("/files/", "https://h.example/files/"),
        ("../", "https://h.example/simple/"),
        ("file:///etc/", "https://h.example/simple/x/"),
    ],
)
def test_the_base_of_a_page_may_be_relative_to_it_but_not_lead_to_local_files(href: str, expected: str) -> None:
    text = f'<base href="{href}"><a href="x-1.0-py3-none-any.whl">x</a>'
    (file,) = read_project_page(text.encode(), "text/html", Address("https://h.example/simple/x/"), index="i")
    assert file.url == f"{expected}x-1.0-py3-none-any.whl"


@pytest.mark.parametrize("charset", ["latin-1", "no-such-charset", '"utf-8"'])
def test_html_in_any_charset_is_read(charset: str) -> None:
    text = '<p>\xe9</p><a href="x-1.0-py3-none-any.whl">x</a>'
    assert names(read(text.encode("latin-1"), f"text/html; charset={charset}")) == ["x-1.0-py3-none-any.whl"]


def test_json_that_lies_about_its_shape_is_left_out() -> None:
    good = {"filename": "x-1.0-py3-none-any.whl", "url": "x-1.0-py3-none-any.whl", "hashes": {"sha256": "0" * 64}}
    bad: list[object] = [
        1,
        {},
        {"filename": 1, "url": "x"},
        {"filename": "x", "url": None},
        {"filename": "x", "url": "file:///etc/passwd"},
        {"filename": "x", "url": "ftp://h.example/x"},
        {"filename": "x", "url": "https://[broken"},
        good | {"size": -1},
        good | {"size": "7", "hashes": [], "requires-python": 3},
        good | {"hashes": {"sha256": "zz"}},
    ]
    files = read(json.dumps({"files": [*bad, good]}).encode(), JSON_TYPE)
    assert [(f.filename, f.size, f.digest is None) for f in files] == [
        ("x-1.0-py3-none-any.whl", None, False),
        ("x-1.0-py3-none-any.whl", None, True),
        ("x-1.0-py3-none-any.whl", None, True),
        ("x-1.0-py3-none-any.whl", None, False),
    ]
    assert files[-1].url == "https://h.example/simple/x/x-1.0-py3-none-any.whl"


@pytest.mark.parametrize("content", [b"[]", b"{", b"\xff", b"[" * 200_000, b'{"files": 1'])
def test_json_that_is_no_page_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError):
        read(content, JSON_TYPE)


@pytest.mark.parametrize(
    ("filename", "version", "matches"),
    [
        ("Sam_Ple-1.0-py3-none-any.whl", "1.0", True),
        ("sam_ple-1.0.0-py3-none-any.whl", "1.0", True),
        ("sam_ple-1.0+cpu-py3-none-any.whl", "1.0", True),
        ("sam_ple-1.0-py3-none-any.whl", "1.0+cpu", False),
        ("sam_ple-1.0.post1-py3-none-any.whl", "1.0", False),
        ("sam_ple-1.0.tar.gz", "1.0", True),
        ("sam_ple_more-1.0-py3-none-any.whl", "1.0", False),
        ("../sam_ple-1.0.exe", "1.0", False),
        ("sam_ple-1.0-py3-none-any.whl", "not a version", False),
    ],
)
def test_a_file_is_matched_by_project_and_version(filename: str, version: str, *, matches: bool) -> None:
    file = IndexFile(filename=filename, url="https://h.example/x", digest=None)
    assert is_of_version(file, canonicalize_name("sam-ple"), version) is matches


@pytest.mark.parametrize(
    ("requirement", "version", "allowed"),
    [
        (None, "3.12.4", True),
        (">=3.9", "3.12.4", True),
        (">=3.13", "3.12.4", False),
        (">=3.14", "3.14.0rc1", True),
        (">=3.13", "3.13.0+", True),
        (">=3.14", "3.13.0+", False),
        ("nonsense", "3.12.4", True),
    ],
)
def test_requires_python_is_read_as_pip_reads_it(requirement: str | None, version: str, *, allowed: bool) -> None:
    file = IndexFile(filename="x", url="https://h.example/x", digest=None, requires_python=requirement)
    assert allows_python(file, version) is allowed
