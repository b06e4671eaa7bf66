"""What becomes of an untidy wheel: the same entry as a tidy one, and a warning that names the rule."""

import hashlib

import pytest

from storectl_store.errors import WheelError
from support.stores import WrittenStore
from support.wheels import WheelBytes, make_wheel
from support.zip_pieces import DIST_INFO, MODULE, archive_of, contents_of, record_bytes, record_row, rows_of


def wheel_of(contents: dict[str, bytes], record: bytes | None = None) -> WheelBytes:
    data = archive_of(contents, record).assemble()
    return WheelBytes(name="sample", version="1.0", filename="sample-1.0-py3-none-any.whl", data=data)


@pytest.mark.parametrize("name", ["direct_url.json", "REQUESTED", "Direct_URL.json"])
def test_what_only_an_installer_may_say_is_left_out(written: WrittenStore, name: str) -> None:
    staged = written.stage(make_wheel(extra_dist_info={name: '{"url": "https://example.org"}'}))
    info = staged.entry / "site-packages/sample-1.0.dist-info"
    assert sorted(path.name for path in info.iterdir()) == ["INSTALLER", "METADATA", "RECORD", "WHEEL"]
    assert not [file.path for file in staged.manifest.files if name in file.path]
    assert name not in (info / "RECORD").read_text()


def test_what_is_left_out_is_checked_all_the_same(written: WrittenStore) -> None:
    rows = [*rows_of(contents_of()), [f"{DIST_INFO}/REQUESTED", f"sha256={'A' * 43}", "1"]]
    with pytest.raises(WheelError, match="E_RECORD"):
        written.stage(wheel_of(contents_of() | {f"{DIST_INFO}/REQUESTED": b"x"}, record_bytes(rows)))


def test_a_file_that_record_does_not_list_is_in_the_manifest_and_in_the_record_of_the_entry(
    written: WrittenStore,
) -> None:
    staged = written.stage(wheel_of(contents_of(), record_bytes(rows_of(contents_of())[1:])))
    (file,) = [file for file in staged.manifest.files if file.path == MODULE]
    assert file.sha256 == hashlib.sha256(contents_of()[MODULE]).hexdigest()
    record = (staged.entry / f"site-packages/{DIST_INFO}/RECORD").read_text()
    assert ",".join(record_row(MODULE, contents_of()[MODULE])) in record.splitlines()
    assert [warning.partition(":")[0] for warning in staged.warnings] == ["W_RECORD_UNLISTED"]


def test_a_file_that_is_only_in_record_is_not_in_the_record_of_the_entry(written: WrittenStore) -> None:
    rows = [record_row("sample/gone.py", b""), *rows_of(contents_of())]
    staged = written.stage(wheel_of(contents_of(), record_bytes(rows)))
    assert "gone" not in (staged.entry / f"site-packages/{DIST_INFO}/RECORD").read_text()
    assert [warning.partition(":")[0] for warning in staged.warnings] == ["W_RECORD_ABSENT"]


@pytest.mark.parametrize("kind", ["purelib", "platlib"])
def test_one_file_in_the_root_and_in_data_is_unpacked_once(written: WrittenStore, kind: str) -> None:
    content = contents_of()[MODULE]
    staged = written.stage(wheel_of(contents_of() | {f"sample-1.0.data/{kind}/{MODULE}": content}))
    assert [file.path for file in staged.manifest.files if file.path.endswith(MODULE)] == [MODULE]
    assert (staged.entry / "site-packages" / MODULE).read_bytes() == content


def test_a_warning_says_the_rule_the_first_subject_and_how_many_more_there_are(written: WrittenStore) -> None:
    contents = contents_of() | {f"sample/{name}.py": b"" for name in "abc"}
    staged = written.stage(wheel_of(contents, record_bytes(rows_of(contents_of()))))
    (warning,) = staged.warnings
    assert warning == "W_RECORD_UNLISTED: 'sample/a.py' and 2 more: not listed in RECORD, so nobody stated its digest"


def test_a_warning_cannot_steer_a_terminal(written: WrittenStore) -> None:
    staged = written.stage(make_wheel(entry_points="[console_scripts]\na\x1b[2Jb = sample:main\n"))
    (warning,) = staged.warnings
    assert warning.isprintable()
    assert r"a\x1b[2Jb" in warning
