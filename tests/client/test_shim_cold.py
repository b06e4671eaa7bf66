"""The first start after the machine's: what a package is about to map is asked for all at once, and only then."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from support.views import View, build_view, fresh_map_reader, pythons, read_map
from support.wheels import make_wheel

pytestmark = pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="only Linux reads ahead what it is asked for")
SUFFIX = pythons()[0].extension_suffixes[0]


def view_of(tmp_path: Path, natives: Sequence[str]) -> View:
    files = {"nat/__init__.py": "", "nat/plain.py": "", "nat.libs/libblas.so.3": "", "other/x.py": ""}
    files |= {f"nat/{name}{SUFFIX}": "" for name in natives}
    return build_view(tmp_path / "view", [make_wheel("nat", files=files)], pythons()[0])


def fetched(monkeypatch: pytest.MonkeyPatch, view: View, *folders: str, cold: bool = True) -> list[str]:
    """The files that the kernel is asked for while these folders are looked up in the map."""
    found: list[str] = []

    def fadvise(descriptor: int, offset: int, length: int, advice: int) -> None:
        assert (offset, length, advice) == (0, 4 << 20, os.POSIX_FADV_WILLNEED)
        found.append(os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")))

    reader = fresh_map_reader()
    reader.is_cold = lambda _: cold
    monkeypatch.setattr(os, "posix_fadvise", fadvise)
    import_map = read_map(view.root, view.site_packages, reader=reader)
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


@pytest.mark.parametrize(("seconds", "expected"), [(0.0, False), (20e-6, False), (100e-6, True), (2.0, True)])
def test_what_had_to_be_waited_for_is_cold(tmp_path: Path, *, seconds: float, expected: bool) -> None:
    file, times = tmp_path / "file", iter([5.0, 5.5 + seconds, 6.0 + seconds])
    file.write_bytes(b"x")
    reader = fresh_map_reader()
    reader.monotonic = lambda: next(times)
    with file.open("rb") as stream:
        assert reader.is_cold(stream.fileno()) is expected


def test_what_was_just_read_is_hardly_ever_taken_for_cold(tmp_path: Path) -> None:
    file, reader = tmp_path / "file", fresh_map_reader()
    file.write_bytes(b"x")
    with file.open("rb") as stream:
        assert stream.read() == b"x"
        found = [reader.is_cold(stream.fileno()) for _ in range(101)]
    assert sum(found) < 50, "a busy machine makes it wait now and then"


def test_a_descriptor_that_cannot_tell_is_not_cold() -> None:
    reader, writer = os.pipe()
    try:
        assert fresh_map_reader().is_cold(reader) is False
    finally:
        os.close(reader)
        os.close(writer)
