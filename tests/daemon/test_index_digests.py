"""Which digests an index gives, and which are locked: what fits is found, what contradicts is not."""

import asyncio
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from storectl_daemon.errors import IndexLookupError
from storectl_daemon.indexes.configuration import IndexSettings
from storectl_daemon.indexes.page_store import PageStore
from storectl_daemon.indexes.shared import SharedIndexes
from storectl_daemon.indexes.url_book import UrlBook
from storectl_daemon.network.address import Address
from storectl_daemon.network.exchange import FetchLimits
from storectl_daemon.network.fetch import Fetcher
from storectl_store.digest import Digest, parse_strong_digest
from storectl_store.selection.pin import IndexPin, Pin, WheelFile
from support.index import LoopbackIndex, serve_index
from support.targets import make_target
from support.wheels import WheelBytes, make_wheel

ALPHA = make_wheel("alpha")
OTHER = make_wheel("alpha", tag="cp39-cp39-win_amd64")
LIMITS = FetchLimits(pause=0.001, retry_after_cap=0.01, tries=2)


def digest_by(algorithm: str, wheel: WheelBytes = ALPHA) -> Digest:
    return parse_strong_digest(f"{algorithm}:{hashlib.new(algorithm, wheel.data).hexdigest()}")


def locked(*digests: Digest, filenames: Sequence[str] = ()) -> IndexPin:
    return IndexPin(
        name=canonicalize_name("alpha"), version="1.0", digests=frozenset(digests), filenames=frozenset(filenames)
    )


def found(folder: Path, wanted: IndexPin, *, index: str = "", find_links: str = "") -> WheelFile:
    settings = IndexSettings(
        indexes=(Address(index),) if index else (), find_links=(Address(find_links),) if find_links else ()
    )

    async def main() -> WheelFile:
        async with Fetcher(limits=LIMITS) as fetcher:
            shared = SharedIndexes(UrlBook(folder / "urls"), PageStore(folder / "pages"), present=lambda _: False)
            client = shared.client(fetcher, settings)
            pin = await client.resolve(wanted, make_target().interpreter)
            assert isinstance(pin, Pin)
            return pin.wheel

    return asyncio.run(main())


@pytest.fixture
def index() -> Iterator[LoopbackIndex]:
    with serve_index(ALPHA, OTHER) as served:
        yield served


@pytest.mark.parametrize("as_json", [True, False], ids=["JSON", "HTML"])
@pytest.mark.parametrize("algorithm", ["sha384", "sha512", "blake2b"])
def test_a_file_is_found_by_any_strong_digest(
    tmp_path: Path, index: LoopbackIndex, algorithm: str, *, as_json: bool
) -> None:
    index.json, index.hashes = as_json, (algorithm,)
    wheel = found(tmp_path, locked(digest_by(algorithm), digest_by(algorithm, OTHER)), index=index.url)
    assert (wheel.filename, wheel.digest, wheel.one_of) == (ALPHA.filename, digest_by(algorithm), frozenset())
    requests = index.requests.total()
    assert found(tmp_path, locked(digest_by(algorithm), digest_by(algorithm, OTHER)), index=index.url) == wheel
    assert index.requests.total() == requests


def test_what_an_index_says_beside_the_locked_digest_is_not_taken_on_trust(
    tmp_path: Path, index: LoopbackIndex
) -> None:
    index.hashes = ("sha256", "sha512")
    assert found(tmp_path, locked(digest_by("sha512")), index=index.url).digest == digest_by("sha512")


@pytest.mark.parametrize("hashes", [(), ("md5",), ("sha384",)])
def test_a_file_of_which_no_locked_digest_is_stated_may_have_each(
    tmp_path: Path, index: LoopbackIndex, hashes: tuple[str, ...]
) -> None:
    index.hashes = hashes
    digests = digest_by("sha256"), digest_by("sha512", OTHER)
    wheel = found(tmp_path, locked(*digests), index=index.url)
    assert (wheel.filename, wheel.one_of) == (ALPHA.filename, frozenset(digests))


def test_a_locked_file_name_counts_for_a_file_without_a_digest(tmp_path: Path, index: LoopbackIndex) -> None:
    index.hashes = ()
    with pytest.raises(IndexLookupError, match="offered by no index with a locked digest"):
        found(tmp_path, locked(digest_by("sha256"), filenames=["alpha-1.0.tar.gz"]), index=index.url)


def test_a_file_with_another_digest_by_a_locked_algorithm_is_no_candidate(tmp_path: Path, index: LoopbackIndex) -> None:
    index.hashes = ("sha256", "sha512")
    with pytest.raises(IndexLookupError, match="have other digests"):
        found(tmp_path, locked(digest_by("sha512", make_wheel("beta"))), index=index.url)


def test_a_folder_of_wheels_serves_what_is_locked_by_another_digest(tmp_path: Path) -> None:
    folder = tmp_path / "wheels"
    folder.mkdir()
    (folder / ALPHA.filename).write_bytes(ALPHA.data)
    wheel = found(tmp_path, locked(digest_by("sha512")), find_links=str(folder))
    assert (wheel.filename, wheel.one_of) == (ALPHA.filename, frozenset({digest_by("sha512")}))
