"""Files that change as a whole, or not at all."""

import errno
import os
import stat
from pathlib import Path

import pytest

from storectl_store.disk.whole_files import PRIVATE, replace_file
from support.stores import umask


def test_a_file_is_made_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for content in (b"one", b"another", b""):
        replace_file(path, content)
        assert path.read_bytes() == content
    assert os.listdir(tmp_path) == ["file"]


def test_whoever_has_it_open_keeps_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    replace_file(path, b"before")
    with path.open("rb") as reader:
        replace_file(path, b"after")
        assert reader.read() == b"before"


def test_a_link_is_replaced_and_what_it_leads_to_is_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"other")
    path = tmp_path / "file"
    path.symlink_to(other)
    replace_file(path, b"content")
    assert not path.is_symlink()
    assert other.read_bytes() == b"other"


@pytest.mark.parametrize(
    ("mode", "mask", "expected"), [(0o666, 0o022, 0o644), (0o666, 0o077, 0o600), (PRIVATE, 0, 0o600)]
)
def test_the_mode_is_what_is_asked_for_without_the_umask(tmp_path: Path, mode: int, mask: int, expected: int) -> None:
    with umask(mask):
        replace_file(tmp_path / "file", b"", mode=mode)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == expected


def test_a_file_can_be_as_old_as_another(tmp_path: Path) -> None:
    replace_file(tmp_path / "file", b"", mtime_ns=1_234_567_890_123_456_789)
    assert (tmp_path / "file").stat().st_mtime_ns == 1_234_567_890_123_456_789


@pytest.mark.parametrize(("place", "step"), [(os, "utime"), (Path, "rename")])
def test_what_the_disk_refuses_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: object, step: str
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "file"
    replace_file(path, b"before")
    monkeypatch.setattr(place, step, full)
    with pytest.raises(OSError, match="No space left"):
        replace_file(path, b"after", mtime_ns=1)
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["file"]


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        replace_file(tmp_path / "nowhere" / "file", b"")
