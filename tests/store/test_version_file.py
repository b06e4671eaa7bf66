"""What makes a folder a store: a damaged VERSION is mended, another version is refused."""

from pathlib import Path

import pytest

from storectl_store.entries.store import Store
from storectl_store.entries.version_file import VERSION_TEXT, version_problems
from storectl_store.errors import StoreFormatError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    Store.open(tmp_path / "store").close()
    return tmp_path / "store"


def assert_mended(root: Path) -> None:
    store = Store.open(root)
    assert version_problems(store.layout) == []
    assert (root / "VERSION").read_text() == (root / "VERSION.copy").read_text() == VERSION_TEXT


@pytest.mark.parametrize("name", ["VERSION", "VERSION.copy"])
def test_any_flipped_bit_is_mended(root: Path, name: str) -> None:
    for bit in range(len(VERSION_TEXT) * 8):
        damaged = bytearray(VERSION_TEXT.encode())
        damaged[bit // 8] ^= 1 << bit % 8
        (root / name).write_bytes(damaged)
        assert_mended(root)


@pytest.mark.parametrize("name", ["VERSION", "VERSION.copy"])
def test_one_that_is_gone_is_written_again(root: Path, name: str) -> None:
    (root / name).unlink()
    assert_mended(root)


def test_without_both_the_folders_of_a_store_say_what_it_is(root: Path) -> None:
    (root / "VERSION").unlink()
    (root / "VERSION.copy").unlink()
    assert_mended(root)


def test_a_store_from_before_there_was_a_copy_gets_one(root: Path) -> None:
    (root / "VERSION.copy").unlink()
    assert_mended(root)


@pytest.mark.parametrize("text", ["storectl store 2\n", "storectl store 10\n"])
def test_a_store_of_another_version_is_refused_and_left_alone(root: Path, text: str) -> None:
    (root / "VERSION").write_text(text)
    (root / "VERSION.copy").unlink()
    with pytest.raises(StoreFormatError, match="reads 'storectl store 1'"):
        Store.open(root)
    assert (root / "VERSION").read_text() == text
    assert not (root / "VERSION.copy").exists()


def test_a_folder_with_other_things_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    with pytest.raises(StoreFormatError, match="letters"):
        Store.open(tmp_path)
