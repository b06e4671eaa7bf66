"""Verify finds whatever is not as it was committed, and is quiet otherwise."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from storectl_store.digest import digest_of_hex
from storectl_store.entries.bytecode_files import alone_in
from storectl_store.entries.mend import mend_in_place
from storectl_store.entries.quarantine import Reason
from storectl_store.entries.verify import Checked, Finding, Kind, verify
from support.stores import WrittenStore, digest, visible_tree, written_store
from support.wheels import WheelRecipe, make_wheel

SAMPLE = WheelRecipe(
    files={"sample/__init__.py": "1\n", "sample/sub/mod.py": "22\n", "sample-1.0.data/scripts/tool": "#!python\n"},
    executable=frozenset({"sample-1.0.data/scripts/tool"}),
).build_wheel()
OTHER = make_wheel("other")
INIT = "site-packages/sample/__init__.py"
CACHE = "site-packages/sample/__pycache__"
PYC = f"{CACHE}/__init__.cpython-312.pyc"


@pytest.fixture
def written(tmp_path: Path) -> Iterator[WrittenStore]:
    with written_store(tmp_path / "store") as written:
        written.commit(SAMPLE)
        yield written


@pytest.fixture
def entry(written: WrittenStore) -> Path:
    """The entry, made writable so that tests can break it."""
    entry = written.entry(SAMPLE)
    for folder in (entry, *(path for path in entry.rglob("*") if path.is_dir())):
        folder.chmod(0o755)
    return entry


def rewrite(path: Path, content: str) -> None:
    mode = path.stat().st_mode
    path.chmod(0o644)
    path.write_text(content)
    path.chmod(mode)


def list_bytecode(written: WrittenStore, **changes: object) -> None:
    value = {"format": 1, "digest": digest(SAMPLE), "cache_tag": "cpython-312", "files": {}, **changes}
    written.store.layout.bytecode_manifest(digest(SAMPLE), "cpython-312").write_text(json.dumps(value))


def kinds(written: WrittenStore) -> list[tuple[Kind, str]]:
    """What is found, but for the folders that were made writable."""
    return [(found.kind, found.path) for found in written.findings() if found.message != "the folder can be written"]


def test_a_healthy_entry_is_checked_without_a_finding(written: WrittenStore) -> None:
    (checked,) = verify(written.store)
    size = sum(path.stat().st_size for path in written.entry(SAMPLE).rglob("*") if path.is_file())
    assert checked == Checked(digest=digest(SAMPLE), files=7, size=size, findings=0)


@pytest.mark.parametrize("path", ["", "site-packages", "site-packages/sample/sub", "scripts"])
def test_a_folder_that_can_be_written_is_found_and_mended(written: WrittenStore, path: str) -> None:
    folder = written.entry(SAMPLE) / path
    folder.chmod(0o755)
    findings = written.findings()
    assert [(found.kind, found.path) for found in findings] == [(Kind.MODE, path or ".")]
    mend_in_place(written.store, digest(SAMPLE), findings, Reason(what="entry", why=[]), written.writer.session)
    assert written.findings() == []


def test_a_folder_that_is_open_while_bytecode_is_placed_is_no_finding(written: WrittenStore) -> None:
    folder = written.entry(SAMPLE) / "site-packages"
    with ThreadPoolExecutor() as pool:
        with alone_in(folder):
            folder.chmod(0o755)
            looked = pool.submit(written.findings)
            while not looked.running():
                pass
            folder.chmod(0o555)
        assert looked.result() == []


def test_only_the_entries_asked_for_are_looked_at(written: WrittenStore) -> None:
    written.commit(OTHER)
    assert [result.digest for result in verify(written.store, [digest(OTHER)])] == [digest(OTHER)]
    assert {result.digest for result in verify(written.store)} == {digest(OTHER), digest(SAMPLE)}


def test_verify_changes_nothing(written: WrittenStore, entry: Path) -> None:
    rewrite(entry / INIT, "changed\n")
    before = visible_tree(written.store)
    assert written.findings()
    assert visible_tree(written.store) == before


def replace_by_symlink(path: Path) -> None:
    target = path.rename(path.with_name("elsewhere"))
    path.symlink_to(target.name)


def replace_by_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("harm", "expected"),
    [
        (lambda path: path.unlink(), [(Kind.MISSING, INIT)]),
        (lambda path: rewrite(path, "2\n"), [(Kind.CONTENT, INIT)]),
        (lambda path: rewrite(path, "longer\n"), [(Kind.SIZE, INIT)]),
        (lambda path: path.chmod(0o644), [(Kind.MODE, INIT)]),
        (lambda path: path.chmod(0o446), [(Kind.MODE, INIT)]),
        (lambda path: path.chmod(0o555), [(Kind.MODE, INIT)]),
        (replace_by_pipe, [(Kind.NOT_REGULAR, INIT)]),
        (replace_by_symlink, [(Kind.NOT_REGULAR, INIT), (Kind.UNLISTED, "site-packages/sample/elsewhere")]),
        (replace_by_folder, [(Kind.NOT_REGULAR, INIT), (Kind.UNLISTED, INIT)]),
        (lambda path: (path.parent / "new.py").write_text(""), [(Kind.UNLISTED, "site-packages/sample/new.py")]),
        (lambda path: (path.parent / "new" / "er").mkdir(parents=True), [(Kind.UNLISTED, "site-packages/sample/new")]),
    ],
)
def test_harm_to_a_file_is_found(
    written: WrittenStore, entry: Path, harm: Callable[[Path], object], expected: list[tuple[Kind, str]]
) -> None:
    harm(entry / INIT)
    assert kinds(written) == expected
    *findings, checked = verify(written.store)
    assert isinstance(checked, Checked)
    assert checked.findings == len(findings)


def test_a_script_that_lost_its_mode_is_found(written: WrittenStore, entry: Path) -> None:
    (entry / "scripts" / "tool").chmod(0o444)
    assert kinds(written) == [(Kind.MODE, "scripts/tool")]


def test_a_folder_replaced_by_a_symlink_is_found(written: WrittenStore, entry: Path, tmp_path: Path) -> None:
    (entry / "site-packages/sample/sub").rename(tmp_path / "sub")
    (entry / "site-packages/sample/sub").symlink_to(tmp_path / "sub")
    assert kinds(written) == [
        (Kind.MISSING, "site-packages/sample/sub/mod.py"),
        (Kind.UNLISTED, "site-packages/sample/sub"),
    ]


def test_a_part_the_wheel_has_not_is_found(written: WrittenStore, entry: Path) -> None:
    (entry / "headers").mkdir()
    assert kinds(written) == [(Kind.UNLISTED, "headers")]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_cannot_be_read_is_found(written: WrittenStore, entry: Path) -> None:
    (entry / INIT).chmod(0o000)
    assert kinds(written) == [(Kind.UNREADABLE, INIT)]


def test_an_entry_that_was_never_there_is_absent(written: WrittenStore) -> None:
    absent = digest_of_hex("ab" * 32)
    finding, checked = verify(written.store, [absent])
    assert isinstance(finding, Finding)
    assert (finding.kind, finding.digest) == (Kind.ABSENT, absent)
    assert checked == Checked(digest=absent, files=0, size=0, findings=1)


def test_an_entry_whose_folder_is_gone_is_absent(written: WrittenStore, entry: Path, tmp_path: Path) -> None:
    entry.rename(tmp_path / "gone")
    assert [kind for kind, _ in kinds(written)] == [Kind.ABSENT]


def test_a_broken_manifest_is_found(written: WrittenStore) -> None:
    path = written.store.layout.manifest(digest(OTHER))
    path.write_bytes(b"{")
    assert kinds(written) == [(Kind.MANIFEST, path.name)]


def test_listed_bytecode_is_compared(written: WrittenStore, entry: Path) -> None:
    (entry / CACHE).mkdir()
    (entry / PYC).write_bytes(b"code")
    list_bytecode(written, files={PYC: hashlib.sha256(b"code").hexdigest()})
    assert kinds(written) == []
    (entry / PYC).write_bytes(b"evil")
    assert kinds(written) == [(Kind.BYTECODE, PYC)]
    (entry / PYC).unlink()
    assert kinds(written) == [(Kind.BYTECODE, PYC)]
    (entry / PYC).symlink_to("elsewhere")
    assert kinds(written) == [(Kind.BYTECODE, PYC), (Kind.UNLISTED, PYC)]


def test_bytecode_that_is_not_listed_yet_is_no_finding(written: WrittenStore, entry: Path) -> None:
    (entry / CACHE).mkdir()
    (entry / PYC).write_bytes(b"code")
    assert kinds(written) == []


def test_bytecode_folders_hold_bytecode_only(written: WrittenStore, entry: Path) -> None:
    (entry / CACHE / "deeper").mkdir(parents=True)
    (entry / CACHE / "deeper" / "x.pyc").write_bytes(b"")
    (entry / CACHE / "notes.txt").write_text("")
    (entry / CACHE / "link.pyc").symlink_to("notes.txt")
    assert kinds(written) == [(Kind.UNLISTED, f"{CACHE}/{name}") for name in ("deeper", "link.pyc", "notes.txt")]


def test_bytecode_belongs_beside_modules(written: WrittenStore, entry: Path) -> None:
    (entry / "site-packages/sample/new/__pycache__").mkdir(parents=True)
    (entry / "site-packages/sample/stray.pyc").write_bytes(b"")
    assert kinds(written) == [
        (Kind.UNLISTED, "site-packages/sample/new"),
        (Kind.UNLISTED, "site-packages/sample/stray.pyc"),
    ]


@pytest.mark.parametrize("changes", [{"format": 2}, {"digest": "sha256:" + "0" * 64}, {"files": 3}])
def test_a_side_manifest_that_cannot_be_used_is_found(written: WrittenStore, changes: dict[str, object]) -> None:
    list_bytecode(written, **changes)
    name = written.store.layout.bytecode_manifest(digest(SAMPLE), "cpython-312").name
    assert kinds(written) == [(Kind.MANIFEST, name)]
