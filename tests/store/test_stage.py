"""A staged entry is a function of the wheel's bytes, and a wheel that fails leaves nothing."""

import csv
import errno
import gc
import hashlib
import os
import pickle
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Container
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import pytest

from storectl_store.digest import digest_of_hex
from storectl_store.entries import stage as stage_module
from storectl_store.entries.manifest import decode_manifest
from storectl_store.entries.stage import stage_wheel
from storectl_store.entries.unpack import Folders, unpack
from storectl_store.errors import StoreError, StoreFullError, WheelError
from storectl_store.wheel.checked import Expectation, Member, Part
from support.stores import WrittenStore, expect, tree, umask
from support.wheels import WheelBytes, WheelRecipe, make_wheel, record_of

PARTS = WheelRecipe(
    files={
        "sample/__init__.py": "import this\n",
        "sample/data/empty": "",
        "sample/é.txt": "é",
        "sample-1.0.data/scripts/tool": "#!python\nprint()\n",
        "sample-1.0.data/data/share/doc/sample.txt": "text",
        "sample-1.0.data/headers/sample.h": "#pragma once\n",
        "sample-1.0.data/platlib/sample/plat.py": "",
    },
    executable=frozenset({"sample-1.0.data/scripts/tool"}),
).build_wheel()


def save(folder: Path, wheel: WheelBytes) -> Path:
    path = folder / wheel.filename
    path.write_bytes(wheel.data)
    return path


def test_an_entry_holds_the_files_of_the_wheel_by_part(written: WrittenStore) -> None:
    staged = written.stage(PARTS)
    info = "site-packages/sample-1.0.dist-info"
    assert {path for path, (mode, _) in tree(staged.entry).items() if mode[0] == "-"} == {
        "site-packages/sample/__init__.py",
        "site-packages/sample/data/empty",
        "site-packages/sample/é.txt",
        "site-packages/sample/plat.py",
        "scripts/tool",
        "data/share/doc/sample.txt",
        "headers/sample.h",
        *(f"{info}/{name}" for name in ("METADATA", "WHEEL", "RECORD", "INSTALLER")),
    }
    assert (staged.entry / "data/share/doc/sample.txt").read_text() == "text"


def test_modes_are_constant(written: WrittenStore) -> None:
    modes = {path: mode for path, (mode, _) in tree(written.stage(PARTS).entry).items()}
    assert modes.pop("scripts/tool") == "-r-xr-xr-x"
    assert set(modes.values()) == {"-r--r--r--", "dr-xr-xr-x"}


@pytest.mark.parametrize("mask", [0, 0o027, 0o077, 0o777])
def test_an_entry_does_not_depend_on_the_umask(written: WrittenStore, mask: int) -> None:
    with umask(0o022):
        usual = written.stage(PARTS)
    with umask(mask):
        staged = written.stage(PARTS)
    assert tree(staged.folder) == tree(usual.folder)
    assert staged.manifest == usual.manifest


def test_the_manifest_lists_every_file_with_size_and_hash(written: WrittenStore) -> None:
    staged = written.stage(PARTS)
    listed = {f"{file.part.value}/{file.path}": file for file in staged.manifest.files}
    for path, (mode, content) in tree(staged.entry).items():
        if mode[0] == "-":
            file = listed.pop(path)
            assert (file.size, file.sha256) == (len(content), hashlib.sha256(content).hexdigest())
            assert file.executable == (mode == "-r-xr-xr-x")
    assert listed == {}
    assert staged.manifest.digest == PARTS.digest
    assert decode_manifest(staged.manifest_file.read_bytes()) == staged.manifest


def test_record_lists_the_files_where_pip_installs_them(written: WrittenStore, tmp_path: Path) -> None:
    record = written.stage(PARTS).entry / "site-packages/sample-1.0.dist-info/RECORD"
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "install",
        "--quiet",
        "--no-deps",
        "--no-compile",
    ]
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    pip[3:3] = ["--python", str(tmp_path / "venv")]
    subprocess.run([*pip, save(tmp_path, PARTS)], check=True, env=os.environ | {"PIP_NO_INDEX": "1"})
    (theirs,) = (tmp_path / "venv").glob("lib/python*/site-packages/sample-1.0.dist-info/RECORD")
    expected = {row[0]: row for row in csv.reader(theirs.read_text().splitlines())}
    found = {row[0]: row for row in csv.reader(record.read_text().splitlines())}
    only_pip = {path for path in expected.keys() - found.keys() if "/include/" not in path}
    assert only_pip == {"sample-1.0.dist-info/REQUESTED", "sample-1.0.dist-info/direct_url.json"}
    assert found.keys() <= expected.keys()
    unequal = {path for path in found if found[path] != expected[path]}
    assert unequal == {path for path in found if "/bin/" in path} | {"sample-1.0.dist-info/INSTALLER"}


@pytest.mark.parametrize("extra", [{}, {"INSTALLER": "somebody else\n"}])
def test_the_installer_is_storectl(written: WrittenStore, extra: dict[str, str]) -> None:
    wheel = make_wheel(extra_dist_info=extra)
    staged = written.stage(wheel)
    assert (staged.entry / "site-packages/sample-1.0.dist-info/INSTALLER").read_text() == "storectl\n"
    assert [file.size for file in staged.manifest.files if file.path.endswith("/INSTALLER")] == [9]


def test_a_staged_entry_can_be_sent_between_processes(written: WrittenStore) -> None:
    staged = written.stage(PARTS)
    assert pickle.loads(pickle.dumps(staged)) == staged


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_files_of_many_chunks_arrive_whole(written: WrittenStore, compression: int) -> None:
    noise = hashlib.shake_256(b"noise").digest(2_500_000)
    files = {"big/noise.bin": noise, "big/zeros.bin": bytes(5 << 20), "big/exact.bin": noise[: 1 << 20]}
    staged = written.stage(make_wheel("big", files=files, compression=compression))
    for name, content in files.items():
        assert (staged.entry / "site-packages" / name).read_bytes() == content


def test_more_folders_than_can_be_open_at_once(written: WrittenStore) -> None:
    files = {f"many/{n % 150}/{n % 7}/{n}.py": str(n) for n in range(600)}
    gc.collect()
    before = len(os.listdir("/dev/fd"))
    staged = written.stage(make_wheel("many", files=files))
    gc.collect()
    assert len(os.listdir("/dev/fd")) == before
    for name, content in files.items():
        assert (staged.entry / "site-packages" / name).read_text() == content


def test_a_digest_that_only_the_fetcher_knows_is_kept_and_checked(written: WrittenStore, tmp_path: Path) -> None:
    path = save(tmp_path, PARTS)
    strong = Expectation(filename=PARTS.filename, digests={"sha512": hashlib.sha512(PARTS.data).hexdigest()})
    for number, verified in enumerate((None, digest_of_hex(PARTS.hexdigest))):
        staged = stage_wheel(path, strong, written.writer.session / str(number), verified=verified)
        assert staged.manifest.digest == PARTS.digest
    with pytest.raises(WheelError) as caught:
        stage_wheel(path, strong, written.writer.session / "wrong", verified=digest_of_hex("00" * 32))
    assert caught.value.code == "E_HASH"


def test_a_digest_that_the_fetcher_counted_stands_for_a_second_count(
    written: WrittenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, locked = save(tmp_path, PARTS), expect(PARTS)

    def counted_again(*_: object, **__: object) -> None:
        raise AssertionError("the archive was hashed again")

    monkeypatch.setattr("storectl_store.wheel.digests.hashlib.new", counted_again)
    staged = stage_wheel(path, locked, written.writer.session / "same", verified=digest_of_hex(PARTS.hexdigest))
    assert staged.manifest.digest == PARTS.digest
    with pytest.raises(WheelError) as caught:
        stage_wheel(path, locked, written.writer.session / "other", verified=digest_of_hex("00" * 32))
    assert caught.value.code == "E_HASH"
    assert not (written.writer.session / "other").exists()


def wheel_with_a_false_record() -> WheelBytes:
    recipe = WheelRecipe(files={"sample/__init__.py": "true\n"})
    rows = {**recipe.members(), "sample/__init__.py": b"lies\n"}
    return replace(recipe, record=record_of(rows, "sample-1.0.dist-info/RECORD")).build_wheel()


def wheel_with_a_flipped_byte(*, compression: int) -> WheelBytes:
    """A wheel whose first member is not what its headers say, under a digest that says so too."""
    wheel = make_wheel(files={"sample/__init__.py": "true\n"}, compression=compression)
    start = 30 + len("sample/__init__.py")
    return replace(wheel, data=wheel.data[:start] + b"\xff" + wheel.data[start + 1 :])


@pytest.mark.parametrize(
    ("wheel", "code"),
    [
        (wheel_with_a_false_record(), "E_RECORD"),
        (wheel_with_a_flipped_byte(compression=zipfile.ZIP_STORED), "E_ZIP_STRUCT"),
        (wheel_with_a_flipped_byte(compression=zipfile.ZIP_DEFLATED), "E_ZIP_STRUCT"),
        (replace(PARTS, data=PARTS.data[:-1]), "E_ZIP_STRUCT"),
        (replace(PARTS, data=b""), "E_ZIP_STRUCT"),
    ],
)
def test_a_refused_wheel_leaves_nothing(written: WrittenStore, wheel: WheelBytes, code: str) -> None:
    stage = written.writer.session / "stage"
    with pytest.raises(WheelError) as caught:
        written.stage(wheel, folder=stage)
    assert caught.value.code == code
    assert wheel.filename in caught.value.message
    assert not stage.exists()


def test_a_wheel_of_another_digest_is_refused(written: WrittenStore, tmp_path: Path) -> None:
    stage = written.writer.session / "stage"
    with pytest.raises(WheelError) as caught:
        stage_wheel(save(tmp_path, make_wheel()), expect(PARTS), stage)
    assert caught.value.code == "E_HASH"
    assert not stage.exists()


CONTENT = b"content " * 400
PACKED = zlib.compress(CONTENT, wbits=-15)
BOMB = zlib.compress(bytes(64 << 20), wbits=-15)


@pytest.mark.parametrize(
    ("stored", "changes", "code"),
    [
        (PACKED[:-3], {}, "E_ZIP_STRUCT"),
        (PACKED[: len(PACKED) // 2], {}, "E_ZIP_STRUCT"),
        (b"", {}, "E_ZIP_STRUCT"),
        (b"\xff" + PACKED, {}, "E_ZIP_STRUCT"),
        (PACKED + b"x", {}, "E_ZIP_STRUCT"),
        (PACKED + bytes(3 << 20), {}, "E_ZIP_STRUCT"),
        (PACKED, {"crc": 1}, "E_ZIP_STRUCT"),
        (PACKED, {"size": len(CONTENT) + 1}, "E_ZIP_STRUCT"),
        (PACKED, {"size": len(CONTENT) - 1}, "E_ZIP_LIMIT"),
        (PACKED, {"size": 0}, "E_ZIP_LIMIT"),
        (BOMB, {}, "E_ZIP_LIMIT"),
        (CONTENT + b"x", {"deflated": False}, "E_ZIP_LIMIT"),
        (CONTENT[:-1], {"deflated": False}, "E_ZIP_STRUCT"),
        (PACKED, {"sha256": "00" * 32}, "E_RECORD"),
    ],
)
def test_a_member_that_is_not_what_it_says_is_refused(
    tmp_path: Path, stored: bytes, changes: dict[str, object], code: str
) -> None:
    with Folders.below(tmp_path) as folders, pytest.raises(WheelError) as caught:
        unpack(b"before" + stored, [member(stored)._replace(**changes)], folders)  # type: ignore[arg-type]
    assert (caught.value.code, caught.value.facts["member"]) == (code, "sample/file")


def test_what_stands_behind_a_stream_that_ends_with_a_chunk_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storectl_store.entries.unpack._CHUNK", len(PACKED))
    with Folders.below(tmp_path) as folders, pytest.raises(WheelError, match="stands behind"):
        unpack(b"before" + PACKED + b"x", [member(PACKED + b"x")], folders)


def test_a_member_whose_stream_is_right_is_unpacked(tmp_path: Path) -> None:
    with Folders.below(tmp_path) as folders:
        (file,) = unpack(b"before" + PACKED, [member(PACKED)], folders)
    assert (tmp_path / "site-packages/sample/file").read_bytes() == CONTENT
    assert file.sha256 == hashlib.sha256(CONTENT).hexdigest()


@pytest.mark.parametrize("path", ["sample/file", "sample/file/below"])
def test_two_members_on_one_path_are_refused(tmp_path: Path, path: str) -> None:
    one = member(PACKED)
    with Folders.below(tmp_path) as folders, pytest.raises(WheelError) as caught:
        unpack(b"before" + PACKED, [one, one._replace(path=path)], folders)
    assert caught.value.code == "E_ZIP_COLLISION"


def member(stored: bytes) -> Member:
    return Member(
        archive_name="sample/file",
        part=Part.SITE_PACKAGES,
        path="sample/file",
        size=len(CONTENT),
        compressed_size=len(stored),
        deflated=True,
        data_offset=len(b"before"),
        crc=zlib.crc32(CONTENT),
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        executable=False,
    )


def test_a_full_disk_leaves_no_stage(written: WrittenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    left = [3]
    write = os.write

    def fill(descriptor: int, data: bytes) -> int:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", fill)
    stage = written.writer.session / "stage"
    with pytest.raises(StoreFullError, match="No space left") as caught:
        written.stage(PARTS, folder=stage)
    assert caught.value.code == "E_DISK"
    assert left[0] < 0
    assert not stage.exists()


def test_a_write_cut_short_is_continued(written: WrittenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = tree(written.stage(PARTS).entry)
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, bytes(data)[:7]))
    staged = written.stage(PARTS)
    monkeypatch.undo()
    assert tree(staged.entry) == expected


def test_a_stage_that_is_there_is_refused_and_left_alone(written: WrittenStore) -> None:
    stage = written.writer.session / "stage"
    stage.mkdir()
    (stage / "file").write_text("")
    with pytest.raises(StoreError, match="File exists"):
        written.stage(PARTS, folder=stage)
    assert (stage / "file").exists()


def test_a_missing_wheel_is_an_error_of_the_store(written: WrittenStore, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="No such file"):
        stage_wheel(tmp_path / "gone.whl", expect(PARTS), written.writer.session / "stage")


def test_a_pipe_in_the_place_of_a_wheel_is_refused_without_waiting(written: WrittenStore, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.whl")
    with pytest.raises(WheelError, match="not a regular file"):
        stage_wheel(tmp_path / "pipe.whl", expect(PARTS), written.writer.session / "stage")


def test_libraries_in_site_packages_are_asked_where_they_lead(
    written: WrittenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, bytes] = {}

    def escapes(file: BinaryIO, path: str, folders: Container[str]) -> bool:
        asked[path] = file.read()
        assert all(folder in folders for folder in ("lib", "other", "sample-1.0.dist-info"))
        assert "." not in folders
        return path.startswith("lib/")

    monkeypatch.setattr(stage_module, "escaping_library", escapes)
    names = ("lib/b.so.1.2", "lib/a.so", "lib/c.cpython-312-x86_64-linux-gnu.so", "other/d.so")
    files = {name: name for name in (*names, "lib/so.py", "lib/e.sound", "sample-1.0.data/data/lib/f.so")}
    staged = written.stage(make_wheel(files=files))
    assert asked == {name: name.encode() for name in names}
    assert staged.manifest.escaping_libraries == ("lib/a.so", "lib/b.so.1.2", "lib/c.cpython-312-x86_64-linux-gnu.so")
