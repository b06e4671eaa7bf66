"""What is in a pack, and what never is."""

import marshal
import os
import shutil
from pathlib import Path

import pytest

from storectl_shim._storectl_pack import PACK_MAGIC
from storectl_store.digest import EnvironmentId
from storectl_store.environments import pack as packs
from storectl_store.environments.import_map import checksum
from storectl_store.environments.pack import (
    drop_packs_without_environment,
    pack_problem,
    packed_modules,
    parse_imports,
    write_pack,
)
from support.packs import PackedPlace, packed_place
from support.views import pythons
from support.wheels import make_wheel

WHEELS = [
    make_wheel(
        "alpha", files={"alpha/__init__.py": "", "alpha/one.py": "X = 1\n", "alpha/two.py": "", "single.py": ""}
    ),
    make_wheel("shared-a", files={"shared/a.py": "", "alpha.libs/liba.so": "", "bad.py": "1 +\n"}),
    make_wheel("shared-b", files={"shared/b.py": ""}),
]
ALPHA = ("alpha/one.py", "alpha/__init__.py")


@pytest.fixture
def place(tmp_path: Path) -> PackedPlace:
    return packed_place(tmp_path, pythons()[0], *WHEELS)


def test_a_pack_is_a_line_a_table_and_the_bytecode_as_it_is_on_disk(place: PackedPlace) -> None:
    assert place.make_pack(*ALPHA) == ALPHA
    tag = place.record.cache_tag
    one, init = (
        (place.site_packages / f"alpha/__pycache__/{name}.{tag}.pyc").read_bytes() for name in ("one", "__init__")
    )
    places = {ALPHA[0]: (0, len(one)), ALPHA[1]: (len(one), len(init))}
    table = marshal.dumps(places, 2)
    line = f"storectl pack 3 {place.folder.name} {tag} {len(one + init)} {len(table)} {checksum(table)}\n"
    assert place.pack.read_bytes() == line.encode() + table + one + init
    assert place.pack.stat().st_mode & 0o777 == 0o444
    assert not list(place.layout.tmp.iterdir())


def test_modules_of_folders_that_wheels_share_are_packed(place: PackedPlace) -> None:
    assert (place.site_packages / "shared").is_dir()
    assert not (place.site_packages / "shared").is_symlink()
    names = ("shared/a.py", "shared/b.py", "single.py")
    assert place.make_pack(*names) == names


def test_what_is_not_a_module_of_an_entry_with_bytecode_is_left_out(place: PackedPlace) -> None:
    tag = place.record.cache_tag
    (place.layout.root / "outside.py").write_text("")
    (place.layout.root / "__pycache__").mkdir()
    (place.layout.root / f"__pycache__/outside.{tag}.pyc").write_bytes(b"x" * 20)
    outside = os.path.relpath(place.layout.root / "outside.py", place.site_packages)
    wanted = ("_storectl.py", "bad.py", "gone.py", "alpha", "alpha/one.py", outside)
    assert place.make_pack(*wanted) == ("alpha/one.py",)


@pytest.mark.parametrize("flags", [b"\0\0\0\0", b"\3\0\0\0", b""], ids=["by time", "checked", "cut"])
def test_bytecode_that_has_to_be_compared_with_its_source_is_left_out(place: PackedPlace, flags: bytes) -> None:
    pyc = (place.site_packages / f"alpha/__pycache__/two.{place.record.cache_tag}.pyc").resolve()
    content = pyc.read_bytes()
    pyc.chmod(0o644)
    pyc.write_bytes(content[:4] + flags + (content[8:] if flags else b""))
    assert place.make_pack(*ALPHA, "alpha/two.py") == ALPHA


def test_a_pack_has_a_largest_size(place: PackedPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    place.make_pack(ALPHA[0])
    size = packed_size(place)
    monkeypatch.setattr(packs, "LARGEST_PACK", size)
    assert place.make_pack(ALPHA[0], "alpha/two.py", "single.py") == (ALPHA[0],)


def packed_size(place: PackedPlace) -> int:
    return int(place.pack.read_bytes().split(b"\n")[0].split()[-3])


def test_a_pack_with_the_same_modules_stays(place: PackedPlace) -> None:
    place.make_pack(*ALPHA)
    inode = place.pack.stat().st_ino
    assert place.make_pack(*reversed(ALPHA), "gone.py") == tuple(reversed(ALPHA))
    assert place.pack.stat().st_ino == inode
    place.make_pack(*ALPHA, "alpha/two.py")
    assert place.pack.stat().st_ino != inode


def test_what_the_disk_refuses_leaves_nothing_behind_and_the_pack_as_it_was(
    place: PackedPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.make_pack(*ALPHA)
    before = place.pack.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(packs, "sync_descriptor", full)
    with pytest.raises(OSError, match="No space"):
        place.make_pack(*ALPHA, "alpha/two.py")
    assert place.pack.read_bytes() == before
    assert not list(place.layout.tmp.iterdir())


def test_bytecode_that_changes_meanwhile_makes_no_pack(place: PackedPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    record = place.record
    monkeypatch.setattr(Path, "read_bytes", lambda _: b"")
    with pytest.raises(OSError, match=r"[Ss]tale"):
        write_pack(place.layout, record, ALPHA, tmp=place.layout.tmp)
    assert not place.pack.exists()


def test_a_pack_says_what_it_has(place: PackedPlace) -> None:
    assert packed_modules(place.layout, place.record.id) == ()
    assert place.make_pack(*ALPHA) == packed_modules(place.layout, place.record.id) == ALPHA


@pytest.mark.parametrize("content", [b"", b"\n", PACK_MAGIC + b" x\n", b"storectl pack 3 a b 1 2 3\n", b"\xff" * 2000])
def test_a_pack_that_cannot_be_read_has_nothing(place: PackedPlace, content: bytes) -> None:
    place.layout.packs.mkdir()
    place.pack.write_bytes(content)
    assert packed_modules(place.layout, place.record.id) == ()


def test_a_pack_of_the_format_before_has_nothing_and_is_made_anew(place: PackedPlace) -> None:
    table = marshal.dumps(({ALPHA[0]: (0, 0)}, {}, ()), 2)
    line = f"storectl pack 2 {place.folder.name} {place.record.cache_tag} 0 {len(table)} {checksum(table)}\n"
    place.layout.packs.mkdir()
    place.pack.write_bytes(line.encode() + table)
    assert packed_modules(place.layout, place.record.id) == ()
    assert place.make_pack(ALPHA[0]) == packed_modules(place.layout, place.record.id) == (ALPHA[0],)


def test_records_name_sources_below_the_view() -> None:
    wrong = ["a/y.so", "/lib/os.py", "//a.py", "nul\0.py", "../up.py", "a/../b.py", "a//b.py", "./c.py"]
    text = "\n".join(["storectl imports 2", "b.py", "a/__init__.py", *wrong, "", "ö.py"]) + "\n"
    assert parse_imports(text.encode()) == ("b.py", "a/__init__.py", "ö.py")


@pytest.mark.parametrize("data", [b"", b"storectl imports 1\na.py\n", b"a.py\n", b"\xff\xfe"])
def test_a_record_of_another_format_names_nothing(data: bytes) -> None:
    assert parse_imports(data) == ()


def test_packs_of_environments_that_are_gone_are_deleted(place: PackedPlace) -> None:
    assert drop_packs_without_environment(place.layout) == 0
    place.make_pack(*ALPHA)
    shutil.copy(place.pack, place.layout.pack(EnvironmentId("0" * 32)))
    assert drop_packs_without_environment(place.layout) == 1
    assert list(place.layout.packs.iterdir()) == [place.pack]


def test_no_flipped_byte_of_a_pack_passes(place: PackedPlace) -> None:
    place.make_pack(*ALPHA)
    assert pack_problem(place.layout, place.record) is None
    right = place.pack.read_bytes()
    place.pack.chmod(0o644)
    for at in range(0, len(right), 7):
        place.pack.write_bytes(right[:at] + bytes([right[at] ^ 1]) + right[at + 1 :])
        assert pack_problem(place.layout, place.record), at
    place.pack.write_bytes(right + b"more")
    assert pack_problem(place.layout, place.record) == "it is longer than its table says"
    place.pack.write_bytes(right[:-1])
    assert pack_problem(place.layout, place.record)
