"""Entries become visible whole, durable, and all of a batch or none."""

import errno
import os
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from storectl_store.digest import digest_of_hex
from storectl_store.entries import commit as commit_module
from storectl_store.entries.commit import commit
from storectl_store.entries.manifest import encode_manifest
from storectl_store.entries.store import Store
from storectl_store.errors import PrefixCollisionError, StoreError, StoreFullError
from support.stores import WrittenStore, digest, run_python, tree, umask, visible_tree, written_store
from support.wheels import make_wheel

ONE = make_wheel("one")
TWO = make_wheel("two")
THREE = make_wheel("three")

AS_NOBODY = """
import json, os, sys
from pathlib import Path
from storectl_store.entries.trash import empty_trash
from support.stores import digest, umask, written_store
from support.wheels import make_wheel

def work(root):
    wheel = make_wheel(files={"a/b/c.py": "", "a/__init__.py": ""})
    with written_store(root) as written:
        with umask(0o300):  # folders that their own maker cannot write
            written.commit(wheel)
        entry, manifest = written.entry(wheel), written.store.layout.manifest(digest(wheel))
        modes = {str(path.relative_to(entry)): oct(path.stat().st_mode)[-3:] for path in [entry, *entry.rglob("*")]}
        writable = os.access(entry / "site-packages", os.W_OK)
        manifest.unlink()
        again = [committed.already_present for committed in written.commit(wheel)]
        findings = [str(finding) for finding in written.findings()]
        manifest.unlink()
        halves = written.recover().halves
        empty_trash(written.store.layout)
        left = os.listdir(written.store.layout.entries) + os.listdir(written.store.layout.trash)
    return dict(modes=modes, writable=writable, again=again, findings=findings, halves=halves, left=left)

os.chdir(sys.argv[1])
work(Path("of root"))  # what is imported late is imported now: nobody may not be allowed to read it
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
print(json.dumps(work(Path("of nobody"))))
"""


def failing(number: int, function: Callable[..., object], *, after: int = 0) -> Callable[..., object]:
    """The function, failing with this errno once it has been called ``after`` times; ``calls`` counts."""

    def call(*arguments: object, **options: object) -> object:
        call.calls += 1  # type: ignore[attr-defined]
        if call.calls > after:  # type: ignore[attr-defined]
            raise OSError(number, os.strerror(number))
        return function(*arguments, **options)

    call.calls = 0  # type: ignore[attr-defined]
    return call


def test_a_committed_entry_is_visible(written: WrittenStore) -> None:
    staged = written.stage(ONE)
    expected = tree(staged.entry)
    (committed,) = commit(written.store, [staged])
    assert committed.manifest == staged.manifest
    assert not committed.already_present
    assert written.store.manifest(digest(ONE)) == committed.manifest
    assert tree(written.entry(ONE)) == expected
    assert written.findings() == []


def test_the_folder_of_an_entry_cannot_be_written(written: WrittenStore) -> None:
    written.commit(ONE)
    assert tree(written.store.layout.entries / "one")[written.entry(ONE).name][0] == "dr-xr-xr-x"


def test_a_commit_leaves_no_stage(written: WrittenStore) -> None:
    staged = [written.stage(ONE), written.stage(TWO), written.stage(ONE)]
    commit(written.store, staged)
    assert [stage.folder for stage in staged if stage.folder.exists()] == []


def test_results_come_in_the_order_of_the_stages(written: WrittenStore) -> None:
    written.commit(TWO)
    committed = written.commit(THREE, TWO, ONE, THREE)
    assert [(str(c.manifest.name), c.already_present) for c in committed] == [
        ("three", False),
        ("two", True),
        ("one", False),
        ("three", True),
    ]


def test_committing_again_changes_nothing(written: WrittenStore) -> None:
    written.commit(ONE)
    before = visible_tree(written.store)
    number = written.entry(ONE).stat().st_ino
    assert [committed.already_present for committed in written.commit(ONE)] == [True]
    assert visible_tree(written.store) == before
    assert written.entry(ONE).stat().st_ino == number


def test_nothing_to_commit_is_fine(written: WrittenStore) -> None:
    assert commit(written.store, []) == []


def test_there_is_one_barrier_for_a_batch(written: WrittenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []
    monkeypatch.setattr(commit_module, "barrier", asked.append)
    written.commit(ONE, TWO, THREE)
    assert asked == [written.store.layout.tmp]


def test_the_manifest_comes_last_and_after_the_entry_is_durable(
    written: WrittenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout, seen = written.store.layout, []

    def look(step: str) -> None:
        seen.append((step, (layout.entries / "one").exists(), written.store.has(digest(ONE))))

    monkeypatch.setattr(commit_module, "barrier", lambda folder: look("barrier"))
    monkeypatch.setattr(commit_module, "fsync_folders", lambda folders: look(",".join(sorted(p.name for p in folders))))
    monkeypatch.setattr(commit_module, "fsync_folder", lambda folder: look(folder.name))
    written.commit(ONE)
    prefix = ONE.hexdigest[:32]
    assert seen == [
        ("barrier", False, False),
        (",".join(sorted([prefix, "one", "store"])), True, False),
        ("meta", True, True),
    ]


def test_where_a_barrier_reaches_all_nothing_else_is_synced(
    written: WrittenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unexpected(*_arguments: object) -> None:
        raise AssertionError("synced")

    monkeypatch.setattr(commit_module, "barrier", lambda folder: True)
    monkeypatch.setattr(commit_module, "fsync_folders", unexpected)
    monkeypatch.setattr(commit_module, "fsync_folder", unexpected)
    written.commit(ONE, TWO)
    assert written.findings() == []


def test_a_half_at_the_address_is_replaced(written: WrittenStore) -> None:
    half = written.store.layout.entry(written.stage(ONE).manifest.name, digest(ONE))
    (half / "site-packages").mkdir(parents=True)
    (half / "site-packages" / "torn.py").write_text("half a li")
    half.chmod(0o555)
    assert [committed.already_present for committed in written.commit(ONE)] == [False]
    assert written.findings() == []
    assert list(written.store.layout.trash.iterdir()) == []


@pytest.mark.parametrize("loss", ["manifest", "entry"])
def test_an_entry_that_lost_something_is_made_anew(written: WrittenStore, loss: str) -> None:
    written.commit(ONE)
    before = visible_tree(written.store)
    if loss == "manifest":
        path = written.store.layout.manifest(digest(ONE))
        path.unlink()
        path.write_bytes(b"torn")
    else:
        written.entry(ONE).rename(written.store.layout.trash / "gone")
    fresh = WrittenStore(store=Store.open(written.store.layout.root), writer=written.writer)
    assert [committed.already_present for committed in fresh.commit(ONE)] == [False]
    assert visible_tree(written.store) == before
    fresh.store.close()


def test_another_digest_with_the_same_prefix_is_an_error(written: WrittenStore) -> None:
    staged = written.stage(ONE)
    other = replace(staged.manifest, digest=digest_of_hex(ONE.hexdigest[:32] + "0" * 32))
    written.store.layout.manifest(other.digest).write_bytes(encode_manifest(other))
    written.store.layout.entry(other.name, other.digest).mkdir(parents=True)
    before = visible_tree(written.store)
    with pytest.raises(PrefixCollisionError) as caught:
        commit(written.store, [written.stage(TWO), staged])
    assert caught.value.facts == {"digest": digest(ONE), "owner": other.digest}
    assert visible_tree(written.store) == before
    assert not staged.folder.exists()


def test_a_lost_write_is_told_and_asked_about_once(written: WrittenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    before = visible_tree(written.store)
    barrier = failing(errno.EIO, lambda folder: None)
    monkeypatch.setattr(commit_module, "barrier", barrier)
    staged = [written.stage(ONE), written.stage(TWO)]
    with pytest.raises(StoreFullError) as caught:
        commit(written.store, staged)
    assert (caught.value.code, caught.value.facts["errno"]) == ("E_DISK", errno.EIO)
    assert barrier.calls == 1  # type: ignore[attr-defined]
    assert visible_tree(written.store) == before
    assert [stage.folder for stage in staged if stage.folder.exists()] == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS])
@pytest.mark.parametrize(
    ("step", "after"), [("place_entry", 0), ("place_entry", 1), ("fsync_folders", 0), ("fsync_folder", 0)]
)
def test_a_disk_that_fails_on_the_way_makes_nothing_visible(
    written: WrittenStore, monkeypatch: pytest.MonkeyPatch, step: str, after: int, number: int
) -> None:
    written.commit(THREE)
    before = visible_tree(written.store)
    staged = [written.stage(ONE), written.stage(TWO), written.stage(THREE)]
    monkeypatch.setattr(commit_module, "barrier", lambda folder: False)
    monkeypatch.setattr(commit_module, step, failing(number, getattr(commit_module, step), after=after))
    with pytest.raises(StoreFullError):
        commit(written.store, staged)
    assert visible_tree(written.store) == before
    assert [stage.folder for stage in staged if stage.folder.exists()] == []
    monkeypatch.undo()
    assert [committed.already_present for committed in written.commit(ONE, TWO, THREE)] == [False, False, True]


def test_a_manifest_that_cannot_be_renamed_withdraws_the_batch(
    written: WrittenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = visible_tree(written.store)
    monkeypatch.setattr(Path, "replace", failing(errno.ENOSPC, Path.replace, after=1))
    with pytest.raises(StoreFullError):
        written.commit(ONE, TWO)
    assert visible_tree(written.store) == before


def test_a_failure_that_is_not_the_disks_is_another_error(
    written: WrittenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit_module, "place_entry", failing(errno.EACCES, lambda: None))
    with pytest.raises(StoreError) as caught:
        written.commit(ONE)
    assert not isinstance(caught.value, StoreFullError)
    assert "one-1.0-py3-none-any.whl" in caught.value.message


def test_an_interrupt_makes_nothing_visible(written: WrittenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    before = visible_tree(written.store)

    def interrupt(folder: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(commit_module, "barrier", lambda folder: False)
    monkeypatch.setattr(commit_module, "fsync_folder", interrupt)
    with pytest.raises(KeyboardInterrupt):
        written.commit(ONE, TWO)
    assert visible_tree(written.store) == before


def test_a_catalogue_that_fails_does_not_fail_the_commit(
    written: WrittenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(manifests: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(written.store.catalogue, "add", fail)
    assert [committed.already_present for committed in written.commit(ONE)] == [False]
    assert written.findings() == []


def test_the_catalogue_lists_what_is_committed(written: WrittenStore) -> None:
    assert written.store.catalogue.digests() == set()
    written.commit(ONE, TWO)
    assert written.store.catalogue.digests() == {digest(ONE), digest(TWO)}


def test_a_committed_store_does_not_depend_on_the_umask(tmp_path: Path) -> None:
    trees = []
    for mask in (0, 0o022, 0o777):
        with umask(mask), written_store(tmp_path / str(mask)) as written:
            written.commit(ONE, TWO)
            trees.append(visible_tree(written.store))
    assert trees[0] == trees[1] == trees[2]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_user_who_is_not_root_can_do_it_all(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, 65534, 65534)
    seen = run_python(AS_NOBODY, str(home))
    assert seen["modes"]["."] == "555"
    assert set(seen["modes"].values()) == {"444", "555"}
    assert not seen["writable"]
    assert (seen["again"], seen["findings"]) == ([False], [])
    assert (len(seen["halves"]), seen["left"]) == (1, [])


def test_prefix_addresses_and_digest_identifies(written: WrittenStore) -> None:
    written.commit(ONE)
    assert written.entry(ONE) == written.store.layout.entries / "one" / ONE.hexdigest[:32]
    assert not written.store.has(digest_of_hex(ONE.hexdigest[:32] + "0" * 32))
