"""The book of addresses: complete answers only, nothing secret, and no harm from a broken file."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from storectl_daemon.indexes.file import IndexFile
from storectl_daemon.indexes.url_book import UrlBook
from storectl_daemon.network.address import Address
from storectl_store.digest import Digest
from storectl_store.entries.sealed import opened
from storectl_store.selection.pin import IndexPin

NAME = canonicalize_name("sample")
SOURCES = (Address("https://a.example/simple"),)


def digest(number: int) -> Digest:
    return Digest(f"sha256:{number:064x}")


def offered(number: int) -> IndexFile:
    return IndexFile(
        filename=f"sample-1.0-{number}-py3-none-any.whl",
        url=f"https://files.example/{number}/sample-1.0-{number}-py3-none-any.whl",
        digest=digest(number),
        size=number,
        requires_python=">=3.9",
        index="https://a.example/simple",
    )


def pin(*numbers: int, version: str = "1.0") -> IndexPin:
    return IndexPin(name=NAME, version=version, digests=frozenset(map(digest, numbers)))


def test_an_answer_is_remembered_for_the_next_process(tmp_path: Path) -> None:
    assert UrlBook(tmp_path / "urls").recall(pin(1, 2), SOURCES) is None
    UrlBook(tmp_path / "urls").record(pin(1, 2), SOURCES, [offered(2), offered(1)])
    assert UrlBook(tmp_path / "urls").recall(pin(1, 2), SOURCES) == (offered(1), offered(2))


def test_an_address_counts_only_while_its_index_is_asked(tmp_path: Path) -> None:
    book, mirror = UrlBook(tmp_path), Address("https://mirror.example/simple")
    book.record(pin(1, 2), SOURCES, [offered(1), offered(2)])
    assert book.recall(pin(1), ()) is None
    assert book.recall(pin(1), (mirror,)) is None
    assert book.recall(pin(1), (mirror, *SOURCES)) == (offered(1),)


def test_each_index_has_an_address_of_its_own_for_a_file(tmp_path: Path) -> None:
    book, mirror = UrlBook(tmp_path), Address("https://ann:s3cret@mirror.example/simple")
    mirrored = replace(offered(1), url="https://mirror.example/files/1.whl", index="https://***@mirror.example/simple")
    book.record(pin(1), SOURCES, [offered(1)])
    book.record(pin(1), (mirror,), [mirrored])
    assert book.recall(pin(1), SOURCES) == (offered(1),)
    assert book.recall(pin(1), (mirror,)) == (mirrored,)
    assert book.recall(pin(1), (mirror, *SOURCES)) == (mirrored,)
    assert book.recall(pin(1), (*SOURCES, mirror)) == (offered(1),)
    moved = replace(mirrored, url="https://mirror.example/elsewhere/1.whl")
    book.record(pin(1), (mirror,), [moved])
    assert book.recall(pin(1), (mirror,)) == (moved,)
    assert "s3cret" not in (tmp_path / "sample.json").read_text()


def test_the_addresses_of_one_file_are_bounded(tmp_path: Path) -> None:
    book = UrlBook(tmp_path)
    for number in range(20):
        index = f"https://{number}.example/simple"
        book.record(pin(1), (Address(index),), [replace(offered(1), index=index)])
    content, _ = opened((tmp_path / "sample.json").read_bytes())
    assert len(json.loads(content)["files"][digest(1)]) == 8
    assert book.recall(pin(1), (Address("https://19.example/simple"),)) is not None


def test_an_answer_with_missing_digests_counts_for_the_same_question_only(tmp_path: Path) -> None:
    book = UrlBook(tmp_path)
    book.record(pin(1, 2), SOURCES, [offered(1)])
    assert book.recall(pin(1, 2), SOURCES) == (offered(1),)
    assert book.recall(pin(1, 2), (Address("https://ann:s3cret@a.example/simple"),)) is None
    assert book.recall(pin(1, 2), (*SOURCES, Address("https://b.example/simple"))) is None
    assert book.recall(pin(1, 3), SOURCES) is None
    assert book.recall(pin(1, 2, version="1.0.1"), SOURCES) is None


def test_files_that_were_not_asked_for_are_not_remembered(tmp_path: Path) -> None:
    book = UrlBook(tmp_path)
    book.record(pin(1), SOURCES, [offered(1), offered(2)])
    assert book.recall(pin(2), SOURCES) is None


def test_an_address_with_a_query_is_never_written(tmp_path: Path) -> None:
    book = UrlBook(tmp_path)
    signed = replace(offered(2), url=f"{offered(2).url}?signature=t0ken")
    book.record(pin(1, 2), SOURCES, [offered(1), signed])
    assert book.recall(pin(1, 2), SOURCES) is None
    assert book.recall(pin(1), SOURCES) == (offered(1),)
    assert "t0ken" not in (tmp_path / "sample.json").read_text()


def test_a_local_file_that_is_gone_has_to_be_looked_up_again(tmp_path: Path) -> None:
    book = UrlBook(tmp_path / "urls")
    wheel = tmp_path / "sample-1.0-py3-none-any.whl"
    wheel.write_bytes(b"")
    local = replace(offered(1), url=wheel.as_uri())
    book.record(pin(1), SOURCES, [local])
    assert book.recall(pin(1), SOURCES) == (local,)
    wheel.unlink()
    assert book.recall(pin(1), SOURCES) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"format": 1, "files": {}, "lookups": []}',
        '{"format": 2, "files": [], "lookups": []}',
        '{"format": 2, "files": {"sha256:1": []}, "lookups": []}',
        f'{{"format": 2, "files": {{"sha256:{1:064}": {{}}}}, "lookups": []}}',
        '{"format": 2, "files": {}, "lookups": [1]}',
        "[" * 100_000,
    ],
)
def test_a_broken_book_is_an_empty_one_and_is_replaced(tmp_path: Path, text: str) -> None:
    (tmp_path / "sample.json").write_text(text)
    book = UrlBook(tmp_path)
    assert book.recall(pin(1), SOURCES) is None
    book.record(pin(1), SOURCES, [offered(1)])
    assert book.recall(pin(1), SOURCES) == (offered(1),)


def test_a_malformed_entry_spoils_the_book_not_the_caller(tmp_path: Path) -> None:
    book = UrlBook(tmp_path)
    book.record(pin(1), SOURCES, [offered(1)])
    for key, value in (("url", 7), ("size", "7"), ("surprise", 1)):
        content = json.loads(opened((tmp_path / "sample.json").read_bytes())[0])
        content["files"][digest(1)][0][key] = value
        (tmp_path / "sample.json").write_text(json.dumps(content))
        assert book.recall(pin(1), SOURCES) is None
        book.record(pin(1), SOURCES, [offered(1)])


def test_a_book_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    book = UrlBook(tmp_path / "file" / "urls")
    book.record(pin(1), SOURCES, [offered(1)])
    assert book.recall(pin(1), SOURCES) is None


def test_writing_leaves_one_file_per_project(tmp_path: Path) -> None:
    book = UrlBook(tmp_path)
    for number in range(1, 4):
        book.record(pin(number), SOURCES, [offered(number)])
    assert [path.name for path in tmp_path.iterdir()] == ["sample.json"]
    assert book.recall(pin(1, 2, 3), SOURCES) == (offered(1), offered(2), offered(3))


def test_a_name_that_is_not_normalised_never_becomes_a_path(tmp_path: Path) -> None:
    evil = IndexPin(name="../evil", version="1", digests=frozenset())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="normalised"):
        UrlBook(tmp_path).recall(evil, ())
