"""The first start after the machine's: what a package is about to map is asked for all at once, and only then."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from support.views import View, build_view, fresh_map_reader, pythons, read_map
from support.wheels import make_wheel

pytestmark = pytest.mark.skipif(not hasattr(os, "RWF_NOWAIT"), reason="only Linux tells what is in its page cache")
SUFFIX = pythons()[0].extension_suffixes[0]


def view_of(tmp_path: Path, natives: Sequence[str]) -> View:
    files = {"nat/__init__.py": "", "nat/plain.py": "", "nat.libs/libblas.so.3": "", "other/x.py": ""}
    files |= {f"nat/{name}{SUFFIX}": "" for name in natives}
    return build_view(tmp_path / "view", [make_wheel("nat", files=files)], pythons()[0])


def fetched(monkeypatch: pytest.MonkeyPatch, view: View, *folders: str, cold: bool = True) -> list[str]:
    """The files that the kernel is asked for while these folders are looked up in the map."""
    found: list[str] = []

    def preadv(descriptor: int, buffers: Any, offset: int, flags: int) -> int:
        assert flags == os.RWF_NOWAIT
        if cold:
            raise BlockingIOError
        return 1

    def fadvise(descriptor: int, offset: int, length: int, advice: int) -> None:
        assert (offset, length, advice) == (0, 0, os.POSIX_FADV_WILLNEED)
        found.append(os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")))

    monkeypatch.setattr(os, "preadv", preadv)
    monkeypatch.setattr(os, "posix_fadvise", fadvise)
    import_map = read_map(view.root, view.site_packages)
    for folder in folders:
        assert import_map.table(folder) is not None
    assert not import_map.failed
    return sorted(found)


def test_the_libraries_of_a_package_are_fetched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    view = view_of(tmp_path, ["a", "b"])
    assert fetched(monkeypatch, view, "nat", "nat", "other") == [f"a{SUFFIX}", f"b{SUFFIX}", "libblas.so.3"]


def test_a_warm_start_fetches_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fetched(monkeypatch, view_of(tmp_path, ["a"]), "nat", "other", cold=False) == []


def test_of_a_package_with_very_many_only_the_shared_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    view = view_of(tmp_path, [f"n{number}" for number in range(70)])
    assert fetched(monkeypatch, view, "nat") == ["libblas.so.3"]


def test_a_library_that_is_gone_is_left_to_the_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    view = view_of(tmp_path, ["a", "b"])
    (view.site_packages / "nat").resolve().joinpath(f"a{SUFFIX}").unlink()
    assert fetched(monkeypatch, view, "nat") == [f"b{SUFFIX}", "libblas.so.3"]


def test_what_was_just_read_is_not_cold(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x")
    with file.open("rb") as stream:
        assert stream.read() == b"x"
        assert fresh_map_reader().is_cold(stream.fileno()) is False


def test_a_descriptor_that_cannot_tell_is_not_cold() -> None:
    reader, writer = os.pipe()
    try:
        assert fresh_map_reader().is_cold(reader) is False
    finally:
        os.close(reader)
        os.close(writer)
