"""Files that are known by another digest than sha256: fetched once, checked, and known by their sha256 from then on."""

import asyncio
import hashlib
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TypeVar

import pytest
from packaging.utils import canonicalize_name

from storectl_daemon.entries.identification import Identification
from storectl_daemon.entries.pipeline import ByteProgress, FetchedFile
from storectl_daemon.errors import FetchError, OfflineError
from storectl_daemon.network.exchange import FetchLimits
from storectl_daemon.network.fetch import Fetcher
from storectl_store.digest import Digest, parse_strong_digest
from storectl_store.entries.catalogue import Catalogue
from storectl_store.errors import WheelError
from storectl_store.selection.pin import GitCommit, Pin, SourceArchive, SourcePin, WheelFile
from support.index import LoopbackIndex, serve_index
from support.wheels import WheelBytes, make_wheel

T = TypeVar("T")

ALPHA, BETA = make_wheel("alpha"), make_wheel("beta")
LIMITS = FetchLimits(pause=0.001, retry_after_cap=0.01, tries=2)


def digest_by(algorithm: str, wheel: WheelBytes) -> Digest:
    return parse_strong_digest(f"{algorithm}:{hashlib.new(algorithm, wheel.data).hexdigest()}")


def pin(index: LoopbackIndex, wheel: WheelBytes, *digests: Digest) -> Pin:
    one_of = frozenset(digests) if len(digests) > 1 else frozenset()
    file = WheelFile(filename=wheel.filename, digest=digests[0], url=index.file_url(wheel), one_of=one_of)
    return Pin(name=canonicalize_name(wheel.name), version=wheel.version, wheel=file)


def identify(folder: Path, work: Callable[[Identification, Fetcher], Coroutine[None, None, T]]) -> T:
    """The result of the work in a process of its own, whose catalogue is that of the process before."""
    catalogue = Catalogue(folder / "index.db", list)

    async def main() -> T:
        async with Fetcher(limits=LIMITS) as fetcher:
            return await work(Identification(catalogue, session=Path(tempfile.mkdtemp(dir=folder))), fetcher)

    try:
        return asyncio.run(main())
    finally:
        catalogue.close()


def pins_of(folder: Path, *pins: Pin, offline: bool = False) -> list[Pin]:
    return list(identify(folder, lambda files, fetcher: files.pins(pins, fetcher.fetch, offline=offline)))


@pytest.mark.parametrize("algorithm", ["sha384", "sha512", "sha3_256", "blake2b"])
def test_a_file_is_fetched_once_to_count_its_sha256(tmp_path: Path, algorithm: str) -> None:
    with serve_index(ALPHA) as index:
        (found,) = pins_of(tmp_path, pin(index, ALPHA, digest_by(algorithm, ALPHA)))
        assert found.wheel.digest == ALPHA.digest
        assert pins_of(tmp_path, pin(index, ALPHA, digest_by(algorithm, ALPHA))) == [found]
        assert index.file_requests == 1
    assert pins_of(tmp_path, pin(index, ALPHA, digest_by(algorithm, ALPHA)), offline=True) == [found]


def test_a_file_of_another_digest_is_refused_and_not_remembered(tmp_path: Path) -> None:
    with serve_index(ALPHA) as index:
        wanted = pin(index, ALPHA, digest_by("sha512", BETA))
        for _ in range(2):
            with pytest.raises(WheelError, match="sha512") as caught:
                pins_of(tmp_path, wanted)
            assert caught.value.code == "E_HASH"
        assert index.file_requests == 2
    assert not list(tmp_path.rglob("identified*"))


def test_a_file_that_has_one_of_several_digests_is_taken(tmp_path: Path) -> None:
    locked = digest_by("sha256", BETA), digest_by("sha512", ALPHA), digest_by("sha384", BETA)
    with serve_index(ALPHA) as index:
        (found,) = pins_of(tmp_path, pin(index, ALPHA, *locked))
        assert (found.wheel.digest, found.wheel.one_of) == (ALPHA.digest, frozenset())
        with pytest.raises(WheelError, match="one of 2 others"):
            pins_of(tmp_path, pin(index, ALPHA, digest_by("sha256", BETA), digest_by("sha384", BETA)))


def test_offline_a_file_that_was_never_fetched_is_named(tmp_path: Path) -> None:
    with serve_index(ALPHA) as index:
        wanted = pin(index, ALPHA, digest_by("sha512", ALPHA))
        with pytest.raises(OfflineError, match=r"alpha-1\.0-py3-none-any\.whl was never fetched, and only sha512"):
            pins_of(tmp_path, wanted, offline=True)
        assert index.file_requests == 0


def test_what_is_known_by_its_sha256_is_left_as_it_is(tmp_path: Path) -> None:
    with serve_index(ALPHA) as index:
        wanted = pin(index, ALPHA, digest_by("sha256", ALPHA))
        assert pins_of(tmp_path, wanted)[0] is wanted
        assert index.file_requests == 0


def test_the_file_that_was_fetched_is_handed_over_and_not_fetched_again(tmp_path: Path) -> None:
    async def main(files: Identification, fetcher: Fetcher) -> Digest | None:
        (found,) = await files.pins([wanted], fetcher.fetch, offline=False)
        taken = await files.hand_over(found.wheel, tmp_path / "taken")
        assert await files.hand_over(found.wheel, tmp_path / "again") is None
        return None if taken is None else taken.digest

    with serve_index(ALPHA) as index:
        wanted = pin(index, ALPHA, digest_by("sha512", ALPHA))
        assert identify(tmp_path, main) == ALPHA.digest
        assert index.file_requests == 1
    assert (tmp_path / "taken").read_bytes() == ALPHA.data
    assert not list(tmp_path.rglob("identified*"))


def test_one_fetch_serves_all_that_ask_at_once_and_by_two_digests_one_file_is_kept(tmp_path: Path) -> None:
    with serve_index(ALPHA) as index:
        sha512, sha384 = (pin(index, ALPHA, digest_by(name, ALPHA)) for name in ("sha512", "sha384"))
        found = pins_of(tmp_path, sha512, sha512, sha384)
        assert {pin.wheel.digest for pin in found} == {ALPHA.digest}
        assert index.file_requests == 2
    assert len(list(tmp_path.rglob("identified*"))) == 1


def test_who_cannot_fetch_a_file_keeps_nobody_else_from_it(tmp_path: Path) -> None:
    async def main(files: Identification, fetcher: Fetcher) -> list[object]:
        begun = asyncio.Event()

        async def without_login(wheel: WheelFile, destination: Path, *, progress: ByteProgress) -> FetchedFile:
            begun.set()
            await asyncio.sleep(0)
            raise FetchError("no login", hint="give one")

        first = asyncio.create_task(files.pins([wanted], without_login, offline=False))
        await begun.wait()
        second = asyncio.create_task(files.pins([wanted], fetcher.fetch, offline=False))
        return list(await asyncio.gather(first, second, return_exceptions=True))

    with serve_index(ALPHA) as index:
        wanted = pin(index, ALPHA, digest_by("sha512", ALPHA))
        failed, found = identify(tmp_path, main)
    assert isinstance(failed, FetchError)
    assert isinstance(found, tuple)
    assert [pin.wheel.digest for pin in found] == [ALPHA.digest]


def test_source_archives_are_identified_and_commits_need_not_be(tmp_path: Path) -> None:
    name = canonicalize_name("alpha")
    commit = SourcePin(name=name, version=None, source=GitCommit(url="https://example.invalid", commit="0" * 40))
    with serve_index(ALPHA) as index:
        archive = SourceArchive(
            filename="alpha-1.0.tar.gz", digest=digest_by("sha512", ALPHA), url=index.file_url(ALPHA)
        )
        pins = (commit, SourcePin(name=name, version="1.0", source=archive))
        first, second = identify(tmp_path, lambda files, fetcher: files.source_pins(pins, fetcher.fetch, offline=False))
    assert first is commit
    assert isinstance(second.source, SourceArchive)
    assert second.source.digest == ALPHA.digest
