"""The catalogue is compared with the manifests: what it says, what others keep in it, and the file itself."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from storectl_store.entries.disk_use import OF_WHEEL
from storectl_store.environments.outlines.catalogue_check import catalogue_problems
from storectl_store.environments.outlines.kept import Outlines
from support.stores import WrittenStore, digest, written_store
from support.wheels import make_wheel

ONE = make_wheel("one", "1.25")


@pytest.fixture
def catalogued(tmp_path: Path) -> Iterator[WrittenStore]:
    """A store with one entry and its outline, all of it in the one file."""
    with written_store(tmp_path / "store") as written:
        written.commit(ONE)
        Outlines(written.store, written.store.catalogue).get([digest(ONE)], (".so",))
        written.store.close()
        yield written


def change(written: WrittenStore, old: bytes, new: bytes) -> None:
    path = written.store.layout.index
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))


def test_a_sound_catalogue_has_no_problem(catalogued: WrittenStore) -> None:
    assert catalogue_problems(catalogued.store) == []


def test_a_row_that_says_something_else_than_the_manifest_is_found(catalogued: WrittenStore) -> None:
    change(catalogued, b"1.25one-1.25", b"1.75one-1.25")
    assert catalogue_problems(catalogued.store) == [f"what it says of {digest(ONE)} is not what the manifest says"]


def test_a_count_that_is_not_that_of_the_manifest_is_found(catalogued: WrittenStore) -> None:
    catalogue = catalogued.store.catalogue
    catalogue.put_uses({digest(ONE): [replace(catalogue.uses()[digest(ONE)][OF_WHEEL], files=77)]})
    assert catalogue_problems(catalogued.store) == [f"what it says of {digest(ONE)} is not what the manifest says"]


def test_a_damaged_outline_is_found(catalogued: WrittenStore) -> None:
    change(catalogued, b"METADATA", b"METADATE")
    assert catalogue_problems(catalogued.store) == [f"the outline of {digest(ONE)} is damaged"]


def test_an_entry_that_it_does_not_know_is_found(catalogued: WrittenStore) -> None:
    catalogued.store.catalogue.remove([digest(ONE)])
    assert len(catalogue_problems(catalogued.store)) == 1


@pytest.mark.parametrize("content", [b"nonsense" * 100, b"nonsense" * 1000])
def test_a_file_that_is_no_database_is_found(catalogued: WrittenStore, content: bytes) -> None:
    catalogued.store.layout.index.write_bytes(content)
    assert catalogue_problems(catalogued.store)
    catalogued.store.catalogue.rebuild()
    assert catalogue_problems(catalogued.store) == []


def test_a_catalogue_that_is_gone_is_found(catalogued: WrittenStore) -> None:
    catalogued.store.layout.index.unlink()
    assert catalogue_problems(catalogued.store) == ["it is gone"]
