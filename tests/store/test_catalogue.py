"""What the catalogue knows, and that losing it loses nothing."""

import sqlite3
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from storectl_store.digest import Digest, digest_of_hex
from storectl_store.disk.disk_size import BLOCK, in_blocks
from storectl_store.entries.catalogue import Catalogue
from storectl_store.entries.disk_use import OF_WHEEL
from storectl_store.entries.store import Store
from storectl_store.environments.outlines.catalogue_check import catalogue_problems
from support.stores import WrittenStore, digest, written_store
from support.wheels import make_wheel

SAMPLE = make_wheel("sample")
OTHER = make_wheel("Other.Thing", "2.0")


@pytest.fixture
def written(tmp_path: Path) -> Iterator[WrittenStore]:
    with written_store(tmp_path / "store") as written:
        written.commit(SAMPLE, OTHER)
        yield written


def test_a_listing_has_name_version_file_and_sizes(written: WrittenStore) -> None:
    other, sample = written.store.summaries()
    assert (other.name, other.version, other.filename) == ("other-thing", "2.0", OTHER.filename)
    assert (sample.digest, sample.wheel_size) == (digest(SAMPLE), len(SAMPLE.data))
    entry = written.entry(SAMPLE)
    assert sample.unpacked_size == sum(path.stat().st_size for path in entry.rglob("*") if path.is_file())


def test_what_an_entry_takes_up_is_known_once_it_is_committed(written: WrittenStore) -> None:
    use = written.store.catalogue.uses()[digest(SAMPLE)][OF_WHEEL]
    found = [path.lstat() for path in (written.entry(SAMPLE), *written.entry(SAMPLE).rglob("*"))]
    assert (use.files, use.folders) == (
        sum(stat.S_ISREG(status.st_mode) for status in found),
        sum(stat.S_ISDIR(status.st_mode) for status in found),
    )
    assert use.disk_bytes == sum(BLOCK if stat.S_ISDIR(s.st_mode) else in_blocks(s.st_size) for s in found)


def test_what_an_entry_takes_up_goes_with_the_entry_and_does_not_come_back(written: WrittenStore) -> None:
    catalogue = written.store.catalogue
    uses = {each: list(some.values()) for each, some in catalogue.uses().items()}
    catalogue.remove([digest(SAMPLE)])
    catalogue.put_uses(uses)
    assert catalogue.uses().keys() == {digest(OTHER)}


def test_a_catalogue_from_before_there_was_counting_keeps_what_it_has(written: WrittenStore) -> None:
    written.store.catalogue.put("shim 1", {digest(SAMPLE): b"one"})
    before = written.store.catalogue.summaries()
    written.store.close()
    with sqlite3.connect(written.store.layout.index) as database:
        database.execute("DROP TABLE uses")
        database.execute("PRAGMA user_version = 1")
    database.close()
    assert written.store.catalogue.summaries() == before
    assert written.store.catalogue.get_many("shim 1", [digest(SAMPLE)]) == {digest(SAMPLE): b"one"}
    assert written.store.catalogue.uses() == {}
    assert catalogue_problems(written.store) == []


def test_derived_data_comes_back_for_those_that_have_some(written: WrittenStore) -> None:
    catalogue = written.store.catalogue
    catalogue.put("map", {digest(SAMPLE): b"\x00one"})
    assert catalogue.get_many("map", [digest(OTHER), digest(SAMPLE)]) == {digest(SAMPLE): b"\x00one"}
    assert catalogue.get_many("another kind", [digest(SAMPLE)]) == {}


def test_a_catalogue_that_has_dropped_its_pages_answers_as_before(written: WrittenStore) -> None:
    catalogue = written.store.catalogue
    before = catalogue.summaries()
    catalogue.shrink()
    assert catalogue.summaries() == before
    catalogue.close()
    catalogue.shrink()
    written.store.layout.index.write_bytes(b"broken")
    catalogue.shrink()
    assert catalogue.summaries() == before


def test_derived_data_is_replaced(written: WrittenStore) -> None:
    catalogue = written.store.catalogue
    catalogue.put("map", {digest(SAMPLE): b"one"})
    catalogue.put("map", {digest(SAMPLE): b"two"})
    assert catalogue.get_many("map", [digest(SAMPLE)]) == {digest(SAMPLE): b"two"}


def test_derived_data_of_thousands_of_entries_comes_in_one_call(written: WrittenStore) -> None:
    blobs = {digest_of_hex(f"{number:064x}"): b"%d" % number for number in range(1201)}
    written.store.catalogue.put("map", blobs)
    assert written.store.catalogue.get_many("map", blobs) == blobs


def test_a_removed_entry_takes_its_derived_data_along(written: WrittenStore) -> None:
    catalogue = written.store.catalogue
    catalogue.put("map", {digest(SAMPLE): b"one", digest(OTHER): b"two"})
    catalogue.remove([digest(SAMPLE)])
    assert catalogue.digests() == {digest(OTHER)}
    assert catalogue.get_many("map", [digest(SAMPLE), digest(OTHER)]) == {digest(OTHER): b"two"}


def test_what_one_process_wrote_another_reads(written: WrittenStore) -> None:
    written.store.catalogue.put("map", {digest(SAMPLE): b"one"})
    again = Store.open(written.store.layout.root)
    assert set(again.catalogue.summaries()) == set(written.store.catalogue.summaries())
    assert again.catalogue.get_many("map", [digest(SAMPLE)]) == {digest(SAMPLE): b"one"}
    again.close()


@pytest.mark.parametrize("garbage", [b"", b"no database at all\n" * 500, b"SQLite format 3\x00" + b"\xff" * 5000])
def test_a_database_that_is_broken_is_built_again(written: WrittenStore, garbage: bytes) -> None:
    before = set(written.store.catalogue.summaries())
    written.store.close()
    written.store.layout.index.write_bytes(garbage)
    assert set(written.store.catalogue.summaries()) == before


def test_a_database_with_damaged_pages_is_built_again(written: WrittenStore) -> None:
    before = set(written.store.catalogue.summaries())
    written.store.catalogue.put("map", {digest_of_hex(f"{n:064x}"): bytes(5000) for n in range(50)})
    written.store.close()
    database = written.store.layout.index
    content = database.read_bytes()
    database.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    assert set(written.store.catalogue.summaries()) == before
    assert written.store.catalogue.digests() == set(written.store.digests())


def test_a_database_of_another_version_is_built_again(written: WrittenStore) -> None:
    before = set(written.store.catalogue.summaries())
    written.store.close()
    written.store.layout.index.unlink()
    with sqlite3.connect(written.store.layout.index) as database:
        database.execute("CREATE TABLE entries (something TEXT)")
        database.execute("PRAGMA user_version = 99")
    database.close()
    assert set(written.store.catalogue.summaries()) == before


def test_a_database_that_is_gone_is_built_again(written: WrittenStore) -> None:
    before = set(written.store.catalogue.summaries())
    written.store.close()
    written.store.layout.index.unlink()
    assert set(written.store.catalogue.summaries()) == before


def test_a_busy_database_is_an_error_and_not_deleted(written: WrittenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storectl_store.entries.catalogue._BUSY_TIMEOUT", 0.01)
    written.store.close()
    other = sqlite3.connect(written.store.layout.index, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        written.store.catalogue.remove([digest(OTHER)])
    written.store.catalogue.put("map", {digest(SAMPLE): b"lost"})
    assert written.store.catalogue.get_many("map", [digest(SAMPLE)]) == {}
    other.execute("COMMIT")
    other.close()
    written.store.catalogue.put("map", {digest(SAMPLE): b"one"})
    assert written.store.catalogue.get_many("map", [digest(SAMPLE)]) == {digest(SAMPLE): b"one"}


def test_threads_may_share_a_catalogue(tmp_path: Path) -> None:
    catalogue = Catalogue(tmp_path / "index.db", lambda: ())
    failures: list[Exception] = []

    def work(number: int) -> None:
        own: Digest = digest_of_hex(f"{number:064x}")
        try:
            for turn in range(20):
                catalogue.put("map", {own: b"%d" % turn})
                assert catalogue.get_many("map", [own]) == {own: b"%d" % turn}
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    catalogue.close()
    assert failures == []
