"""Barriers and renames, where the kernel has the call and where it has not."""

import ctypes
import errno
import fcntl
import os
import sys
from pathlib import Path

import pytest

from storectl_store.disk import durability
from storectl_store.disk.durability import barrier, fsync_folder, fsync_folders, rename_noreplace, store_error
from storectl_store.errors import StoreFullError


@pytest.fixture(params=["as it is", "without the calls", "with calls that are refused"])
def _kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> int:
        return -1

    if request.param == "without the calls":
        monkeypatch.setattr(durability, "_function", lambda name: None)
    elif request.param == "with calls that are refused":
        monkeypatch.setattr(durability, "_function", lambda name: refuse)
        monkeypatch.setattr(ctypes, "get_errno", lambda: errno.EINVAL)


@pytest.mark.usefixtures("_kernel")
def test_a_rename_gives_the_new_name(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_text("content")
    rename_noreplace(tmp_path / "folder", tmp_path / "new")
    rename_noreplace(tmp_path / "new" / "file", tmp_path / "file")
    assert (tmp_path / "file").read_text() == "content"
    assert sorted(os.listdir(tmp_path)) == ["file", "new"]


@pytest.mark.usefixtures("_kernel")
def test_a_rename_replaces_nothing(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    (tmp_path / "file").write_text("file")
    taken = [("one", "two"), ("one", "file"), ("file", "two/file"), ("file", "two")]
    for source, destination in taken:
        with pytest.raises(FileExistsError):
            rename_noreplace(tmp_path / source, tmp_path / destination)
    assert (tmp_path / "two" / "file").read_text() == "two"
    assert (tmp_path / "one" / "file").read_text() == "one"
    assert (tmp_path / "file").read_text() == "file"


@pytest.mark.usefixtures("_kernel")
def test_a_rename_of_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        rename_noreplace(tmp_path / "nothing", tmp_path / "new")


@pytest.mark.usefixtures("_kernel")
def test_a_barrier_takes_any_tree(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_text("")
    (tmp_path / "folder" / "link").symlink_to("nowhere")
    (tmp_path / "folder").chmod(0o555)
    barrier(tmp_path)


def test_without_a_barrier_every_file_and_folder_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folder").mkdir()
    for name in ("one", "folder/two"):
        (tmp_path / name).write_text("")
    synced: set[int] = set()
    monkeypatch.setattr(durability, "_function", lambda name: None)
    monkeypatch.setattr(durability, "sync_descriptor", lambda descriptor: synced.add(os.fstat(descriptor).st_ino))
    barrier(tmp_path)
    assert synced == {path.stat().st_ino for path in (tmp_path, *tmp_path.rglob("*"))}


def test_a_barrier_that_fails_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durability, "_function", lambda name: lambda descriptor: -1)
    monkeypatch.setattr(ctypes, "get_errno", lambda: errno.EIO)
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(OSError, match="Input/output error"):
        barrier(tmp_path)


@pytest.mark.parametrize(("count", "kernel_has_it", "one_by_one"), [(4, True, 4), (5, True, 0), (5, False, 5)])
def test_many_folders_are_synced_in_one_go_where_the_kernel_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, *, kernel_has_it: bool, one_by_one: int
) -> None:
    folders = [tmp_path / str(number) for number in range(count)]
    for folder in folders:
        folder.mkdir()
    asked: list[int] = []
    synced: list[int] = []

    def syncfs(descriptor: int) -> int:
        asked.append(descriptor)
        return 0

    monkeypatch.setattr(durability, "_function", lambda name: syncfs if kernel_has_it else None)
    monkeypatch.setattr(durability, "sync_descriptor", synced.append)
    monkeypatch.setattr(sys, "platform", "linux")
    fsync_folders([*folders, folders[0]])
    assert len(synced) == one_by_one
    assert len(asked) == (1 if kernel_has_it and not one_by_one else 0)


def test_many_folders_that_the_disk_loses_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = [tmp_path / str(number) for number in range(9)]
    for folder in folders:
        folder.mkdir()
    monkeypatch.setattr(durability, "_function", lambda name: lambda descriptor: -1)
    monkeypatch.setattr(ctypes, "get_errno", lambda: errno.EIO)
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(OSError, match="Input/output error"):
        fsync_folders(folders)


@pytest.mark.parametrize(("number", "falls_back"), [(errno.ENOTSUP, True), (errno.EIO, False)])
def test_a_full_sync_falls_back_only_where_it_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, *, falls_back: bool
) -> None:
    def refuse(descriptor: int, command: int) -> None:
        raise OSError(number, os.strerror(number))

    synced: list[int] = []
    monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(fcntl, "fcntl", refuse)
    monkeypatch.setattr(os, "fsync", synced.append)
    if falls_back:
        fsync_folder(tmp_path)
    else:
        with pytest.raises(OSError, match="Input/output error"):
            fsync_folder(tmp_path)
    assert bool(synced) == falls_back


def test_an_error_of_the_disk_names_its_cause_and_what_to_do() -> None:
    error = store_error(OSError(errno.ENOSPC, "", "file"), "unpack sample")
    assert isinstance(error, StoreFullError)
    assert error.message == "cannot unpack sample: No space left on device (ENOSPC): file"
    assert error.facts == {"errno": errno.ENOSPC, "path": "file"}
    assert error.hint
