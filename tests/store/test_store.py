"""Opening a store, and reading what is committed."""

import os
import sqlite3
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from storectl_store.digest import digest_of_hex
from storectl_store.entries.access import Access
from storectl_store.entries.catalogue import Summary
from storectl_store.entries.manifest import encode_manifest
from storectl_store.entries.store import Store
from storectl_store.entries.trash import delete_tree
from storectl_store.entries.writer import Writer
from storectl_store.errors import StoreError, StoreFormatError, StoreFullError
from support.stores import digest, tree, umask, written_store
from support.wheels import make_wheel

SAMPLE = make_wheel("sample")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.mark.parametrize("mask", [0, 0o022, 0o777])
def test_a_new_store_is_private_and_complete_whatever_the_umask(tmp_path: Path, mask: int) -> None:
    root = tmp_path / "store"
    with umask(mask):
        store = Store.open(root)
    assert mode(root) == 0o700
    assert store.layout.version_file.read_text() == "storectl store 1\n"
    folders = {path.name: mode(path) for path in root.iterdir() if path.is_dir()}
    assert folders.keys() >= {"store", "meta", "environments", "tmp", "trash", "quarantine"}
    assert set(folders.values()) == {0o755}


@pytest.mark.parametrize("mask", [0, 0o022, 0o777])
def test_a_shared_store_is_open_but_for_what_only_its_writer_needs_whatever_the_umask(
    tmp_path: Path, mask: int
) -> None:
    root = tmp_path / "store"
    with umask(mask):
        store = Store.open(root, Access.SHARED)
        store.catalogue.digests()
        with Writer.acquire(store.layout):
            pass
        store.close()
    assert mode(root) == 0o755
    modes = {path.name: mode(path) for path in root.iterdir()}
    assert modes == {
        "VERSION": 0o644,
        "VERSION.copy": 0o644,
        **dict.fromkeys(("store", "meta", "environments", "links", "interpreters"), 0o755),
        **dict.fromkeys(("urls", "roots", "tmp", "trash", "quarantine"), 0o700),
        **dict.fromkeys(("index.db", "lock"), 0o600),
    }


def test_the_modes_of_a_shared_store_are_set_each_time(tmp_path: Path) -> None:
    root = tmp_path / "store"
    Store.open(root, Access.SHARED)
    before = tree(root)
    (root / "VERSION").chmod(0o600)
    for name in ("roots", "tmp"):
        (root / name).chmod(0o755)
    Store.open(root, Access.SHARED)
    assert tree(root) == before


def test_a_store_of_a_group_is_closed_to_all_others(tmp_path: Path) -> None:
    Store.open(tmp_path / "store", Access.SHARED, group=os.getegid())
    found = (tmp_path / "store").stat()
    assert (stat.S_IMODE(found.st_mode), found.st_gid) == (0o750, os.getegid())


def test_what_its_owner_has_opened_of_a_private_store_stays_open(tmp_path: Path) -> None:
    Store.open(tmp_path / "store")
    (tmp_path / "store").chmod(0o755)
    Store.open(tmp_path / "store")
    assert mode(tmp_path / "store") == 0o755


def test_folders_above_a_new_store_are_made(tmp_path: Path) -> None:
    Store.open(tmp_path / "data" / "storectl")
    assert (tmp_path / "data" / "storectl" / "VERSION").is_file()


def test_opening_a_store_again_changes_nothing(tmp_path: Path) -> None:
    Store.open(tmp_path / "store")
    before = tree(tmp_path)
    Store.open(tmp_path / "store")
    assert tree(tmp_path) == before


def test_an_empty_folder_becomes_a_store(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    Store.open(tmp_path)
    assert mode(tmp_path) == 0o700


def test_a_folder_with_other_things_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    before = tree(tmp_path)
    with pytest.raises(StoreFormatError, match=r"thesis\.tex") as caught:
        Store.open(tmp_path)
    assert caught.value.hint
    assert tree(tmp_path) == before


def test_a_store_of_another_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "VERSION").write_text("storectl store 2\n")
    before = tree(tmp_path)
    with pytest.raises(StoreFormatError, match="storectl store 2"):
        Store.open(tmp_path)
    assert tree(tmp_path) == before


def test_a_crash_while_the_store_was_made_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / ".VERSION.0123").write_text("storectl")
    assert Store.open(tmp_path).layout.version_file.read_text() == "storectl store 1\n"


def test_a_file_in_the_place_of_the_store_is_an_error_of_the_store(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file")
    with pytest.raises(StoreError, match="cannot open the store"):
        Store.open(tmp_path / "store")


def test_a_full_disk_is_told_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, data: bytes) -> int:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(StoreFullError, match="No space left"):
        Store.open(tmp_path / "store")
    monkeypatch.undo()
    Store.open(tmp_path / "store")


def test_what_was_never_committed_is_not_there(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store")
    absent = digest_of_hex("ab" * 32)
    assert not store.has(absent)
    assert store.manifest(absent) is None
    assert list(store.digests()) == []
    assert store.empty


def test_a_committed_entry_is_read_back_as_it_was_committed(tmp_path: Path) -> None:
    with written_store(tmp_path / "store") as written:
        (committed,) = written.commit(SAMPLE)
        store = Store.open(tmp_path / "store")
        assert store.has(digest(SAMPLE))
        assert not store.empty
        assert list(store.digests()) == [digest(SAMPLE)]
        assert store.manifest(digest(SAMPLE)) == committed.manifest
        assert list(store.manifests()) == [committed.manifest]
        module = store.entry_folder(committed.manifest) / "site-packages" / "sample" / "__init__.py"
        assert module.read_text() == "__version__ = '1.0'\n"


def test_an_entry_that_is_collected_is_gone_though_it_was_read_before(tmp_path: Path) -> None:
    with written_store(tmp_path / "store") as written:
        written.commit(SAMPLE)
        assert written.store.manifest(digest(SAMPLE)) is not None
        written.store.layout.manifest(digest(SAMPLE)).unlink()
        assert written.store.manifest(digest(SAMPLE)) is None


@pytest.mark.parametrize("trouble", ["a row too many", "a row too few", "no database"])
def test_a_listing_is_right_whatever_the_catalogue_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    def fail() -> list[Summary]:
        raise sqlite3.OperationalError("attempt to write a readonly database")

    with written_store(tmp_path / "store") as written:
        other = make_wheel("another")
        written.commit(SAMPLE, other)
        if trouble == "a row too many":
            written.store.layout.manifest(digest(SAMPLE)).unlink()
        elif trouble == "a row too few":
            written.store.catalogue.remove([digest(SAMPLE)])
        else:
            monkeypatch.setattr(written.store.catalogue, "summaries", fail)
        names = [summary.name for summary in written.store.summaries()]
        assert names == (["another"] if trouble == "a row too many" else ["another", "sample"])


def test_side_manifests_are_no_entries(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store")
    store.layout.bytecode_manifest(digest(SAMPLE), "cpython-312").write_text("{}")
    assert list(store.digests()) == []


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": 99}', b"\xff"])
def test_a_broken_manifest_is_an_error_with_a_hint(tmp_path: Path, content: bytes) -> None:
    store = Store.open(tmp_path / "store")
    store.layout.manifest(digest(SAMPLE)).write_bytes(content)
    with pytest.raises(StoreFormatError) as caught:
        store.manifest(digest(SAMPLE))
    assert caught.value.hint
    assert list(store.manifests()) == []


def test_a_manifest_about_another_digest_is_never_a_hit(tmp_path: Path) -> None:
    with written_store(tmp_path / "store") as written:
        (committed,) = written.commit(SAMPLE)
        store = Store.open(tmp_path / "store")
        path = store.layout.manifest(digest(SAMPLE))
        other = replace(committed.manifest, digest=digest_of_hex("cd" * 32))
        delete_tree(path)
        path.write_bytes(encode_manifest(other))
        with pytest.raises(StoreFormatError, match="it is about cdcd"):
            store.manifest(digest(SAMPLE))
