import hashlib
import zlib

import pytest

from storectl_store.digest import digest_of_hex
from storectl_store.errors import WheelError
from storectl_store.wheel.check import check_wheel
from storectl_store.wheel.checked import CheckedWheel, EntryPoint, Expectation, Member, Part
from support.wheels import WheelBytes, make_wheel
from support.zip_pieces import DIST_INFO, SOUND, SOUND_CONTENTS, archive_of, contents_of, wheel_bytes

FILENAME = "sample-1.0-py3-none-any.whl"


def check(data: bytes, filename: str = FILENAME) -> CheckedWheel:
    return check_wheel(data, expectation(data, filename))


def expectation(data: bytes, filename: str = FILENAME) -> Expectation:
    return Expectation(filename=filename, digests={"sha256": hashlib.sha256(data).hexdigest()})


def unpacked(data: bytes, member: Member) -> bytes:
    packed = data[member.data_offset : member.data_offset + member.compressed_size]
    return zlib.decompress(packed, wbits=-15) if member.deflated else packed


def places(checked: CheckedWheel) -> set[tuple[Part, str]]:
    return {(member.part, member.path) for member in checked.members}


def check_made(wheel: WheelBytes) -> CheckedWheel:
    return check(wheel.data, wheel.filename)


def test_a_wheel_of_the_factory_is_described_in_full() -> None:
    wheel = make_wheel(
        "My.Sample",
        "2.0.post1",
        tag="cp312.cp313-abi3-manylinux_2_28_x86_64",
        build="3",
        purelib=False,
        requires_dist=("other>=1", 'colorama; sys_platform == "win32"'),
        entry_points="[gui_scripts]\nWin = my_sample.gui:Main.run [fancy]\n[console_scripts]\nmy-sample = my_sample:main\n",
        executable=frozenset({"my_sample/tool.sh"}),
        files={"my_sample/__init__.py": "def main(): ...\n", "my_sample/tool.sh": "#!/bin/sh\n"},
    )
    checked = check_made(wheel)
    assert (checked.filename, checked.name, checked.version) == (wheel.filename, "my-sample", "2.0.post1")
    assert checked.tags == ("cp312-abi3-manylinux_2_28_x86_64", "cp313-abi3-manylinux_2_28_x86_64")
    assert not checked.root_is_purelib
    assert checked.requires_dist == ("other>=1", 'colorama; sys_platform == "win32"')
    assert checked.entry_points == (
        EntryPoint(name="Win", module="my_sample.gui", attribute="Main.run", gui=True),
        EntryPoint(name="my-sample", module="my_sample", attribute="main"),
    )
    assert checked.warnings == ()
    assert [member.archive_name for member in checked.members if member.executable] == ["my_sample/tool.sh"]


def test_members_say_where_their_bytes_are_and_what_they_hash_to() -> None:
    wheel = make_wheel(files={"sample/a.py": "a = 1\n" * 100, "sample/b.bin": bytes(range(256)), "sample/empty": ""})
    for member in check_made(wheel).members:
        content = unpacked(wheel.data, member)
        assert (len(content), zlib.crc32(content)) == (member.size, member.crc)
        assert member.sha256 in (hashlib.sha256(content).hexdigest(), None)
        assert (member.sha256 is None) == (member.path == f"{DIST_INFO}/RECORD")


def test_data_is_spread_to_its_parts_and_scripts_are_executable() -> None:
    data = "sample-1.0.data"
    files = {
        f"{data}/purelib/pure.py": b"",
        f"{data}/platlib/plat.so": b"",
        f"{data}/scripts/run": b"#!python\n",
        f"{data}/data/share/man/sample.1": b"",
        f"{data}/headers/sample/sample.h": b"",
    }
    checked = check(wheel_bytes(files))
    assert places(checked) >= {
        (Part.SITE_PACKAGES, "pure.py"),
        (Part.SITE_PACKAGES, "plat.so"),
        (Part.SCRIPTS, "run"),
        (Part.DATA, "share/man/sample.1"),
        (Part.HEADERS, "sample/sample.h"),
    }
    assert [member.path for member in checked.members if member.executable] == ["run"]


def test_one_path_in_two_parts_is_no_collision() -> None:
    data = "sample-1.0.data"
    checked = check(wheel_bytes({f"{data}/scripts/x": b"", f"{data}/data/x": b"", f"{data}/headers/X": b""}))
    assert places(checked) >= {(Part.SCRIPTS, "x"), (Part.DATA, "x"), (Part.HEADERS, "X")}


def test_bytecode_and_folder_entries_are_dropped_but_not_their_namesakes() -> None:
    files = {
        "sample/": b"",
        "sample/__pycache__/": b"",
        "sample/__pycache__/a.cpython-312.pyc": b"evil",
        "sample/__pycache__.py": b"",
        "sample/my__pycache__/a.py": b"",
    }
    paths = {path for _, path in places(check(wheel_bytes(files))) if not path.startswith(DIST_INFO)}
    assert paths == {"sample/__init__.py", "sample/__pycache__.py", "sample/my__pycache__/a.py"}


def test_members_keep_the_order_of_their_data() -> None:
    offsets = [member.data_offset for member in check(SOUND.assemble()).members]
    assert offsets == sorted(offsets)
    assert len(offsets) == len(SOUND.pieces)


def test_a_dist_info_may_be_spelled_otherwise_than_the_file_name() -> None:
    spelled = {name.replace(DIST_INFO, "Sample-1.0.0.dist-info"): c for name, c in contents_of().items()}
    record = archive_of(spelled).pieces[-1].content.replace(DIST_INFO.encode(), b"Sample-1.0.0.dist-info")
    pieces = dict(spelled) | {"Sample-1.0.0.dist-info/RECORD": record}
    archive = archive_of({**pieces})
    data = type(archive)(pieces=archive.pieces[:-1]).assemble()
    assert check(data).dist_info == "Sample-1.0.0.dist-info"


def test_a_digest_the_caller_computed_stands_in_for_hashing_again() -> None:
    data = SOUND.assemble()
    digest = digest_of_hex(hashlib.sha256(data).hexdigest())
    assert check_wheel(data, expectation(data), verified=digest) == check(data)


def test_a_digest_the_caller_computed_has_to_be_the_locked_one() -> None:
    data = SOUND.assemble()
    with pytest.raises(WheelError, match="E_HASH"):
        check_wheel(data, expectation(data), verified=digest_of_hex("0" * 64))


def test_a_digest_the_caller_computed_does_not_stand_in_for_another_algorithm() -> None:
    data = SOUND.assemble()
    digest = digest_of_hex(hashlib.sha256(data).hexdigest())
    locked = Expectation(filename=FILENAME, digests={"sha512": "0" * 128})
    with pytest.raises(WheelError, match="E_HASH"):
        check_wheel(data, locked, verified=digest)


def test_weak_digests_beside_a_strong_one_are_not_looked_at() -> None:
    data = SOUND.assemble()
    digests = {"SHA256": hashlib.sha256(data).hexdigest().upper(), "md5": "0" * 32}
    assert check_wheel(data, Expectation(filename=FILENAME, digests=digests)) == check(data)


def test_digests_are_compared_before_anything_is_read() -> None:
    with pytest.raises(WheelError, match="E_HASH"):
        check_wheel(b"no archive", Expectation(filename="../no wheel", digests={"sha256": "0" * 64}))


def test_a_refusal_names_the_member_as_a_fact() -> None:
    data = wheel_bytes({"sample-1.0.data/scripts/python": b""})
    with pytest.raises(WheelError) as caught:
        check(data)
    assert caught.value.facts == {"member": "sample-1.0.data/scripts/python"}


def digests_of(checked: CheckedWheel) -> dict[str, str | None]:
    return {member.archive_name: member.sha256 for member in checked.members}


def assert_refused_or_unchanged(data: bytes, sound: CheckedWheel) -> None:
    """No other outcome: what a digest of RECORD covers is proven by it while it is unpacked."""
    try:
        checked = check(data)
    except WheelError:
        return
    assert digests_of(checked) == digests_of(sound)
    assert (checked.entry_points, checked.requires_dist, checked.tags) == (
        sound.entry_points,
        sound.requires_dist,
        sound.tags,
    )


def test_no_truncation_passes() -> None:
    data = wheel_bytes(entry_points="[console_scripts]\na = sample:main\n")
    for percent in range(100):
        with pytest.raises(WheelError, match="E_ZIP_STRUCT"):
            check(data[: len(data) * percent // 100])


@pytest.mark.parametrize("flip", [0x01, 0x80, 0xFF])
def test_a_changed_byte_is_refused_or_changes_nothing(flip: int) -> None:
    data = wheel_bytes(entry_points="[console_scripts]\na = sample:main\n")
    sound = check(data)
    for position in range(0, len(data), max(1, len(data) // 300)):
        changed = bytearray(data)
        changed[position] ^= flip
        assert_refused_or_unchanged(bytes(changed), sound)


def test_a_wheel_of_thousands_of_members_is_read_in_one_pass_each() -> None:
    files = {f"sample/package{n % 50}/module{n}.py": b"" for n in range(3000)}
    assert len(check(wheel_bytes(files)).members) == len(files) + len(SOUND_CONTENTS) + 1
