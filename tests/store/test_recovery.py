"""Whatever a crash leaves, recovery makes a store of it; the second recovery finds nothing."""

import os
import random
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from storectl_store.digest import Digest
from storectl_store.entries.recovery import Recovered
from storectl_store.entries.trash import empty_trash, trash_count
from storectl_store.errors import StoreError
from support.collected import published
from support.stores import WrittenStore, digest, run_python, start_python, visible_tree, written_store
from support.wheels import make_wheel

ONE = make_wheel("one")
TWO = make_wheel("two")
WHEELS = [make_wheel(f"wheel{n}") for n in range(6)]

# Works in a loop on the store in argv[2] and kills itself at call argv[1], counting every call and return of a function;
# with 0 it says how many there are.
WORK_UNTIL_KILLED = """
import itertools, os, signal, sys
from pathlib import Path
from support.stores import written_store
from support.wheels import make_wheel

wheels = [make_wheel(f"wheel{n}") for n in range(6)]
calls = itertools.count(1)
last = int(sys.argv[1])

def count(*event):
    if next(calls) == last:
        os.kill(os.getpid(), signal.SIGKILL)

sys.setprofile(count)
with written_store(Path(sys.argv[2])) as written:
    for first, second in zip(wheels[::2], wheels[1::2]):
        written.commit(first, second, wheels[0])
sys.setprofile(None)
print(next(calls))
"""

# A writer is killed while its worker unpacks. The worker goes on when it is told so, and then tries another wheel.
OUTLIVE = """
import os, signal, sys
from pathlib import Path
from storectl_store.entries import stage
from support.stores import written_store
from support.wheels import make_wheel

def unpack_late(*arguments):
    print("unpacking", flush=True)
    sys.stdin.readline()
    return unpack(*arguments)

unpack, stage.unpack = stage.unpack, unpack_late
with written_store(Path(sys.argv[1])) as written:
    if os.fork():
        signal.pause()
    for name in ("one", "two"):
        try:
            written.stage(make_wheel(name), folder=written.writer.session / name)
        except Exception as error:
            print(type(error).__name__, flush=True)
    os._exit(0)
"""


def test_a_healthy_store_has_nothing_to_recover(written: WrittenStore) -> None:
    written.commit(ONE, TWO)
    before = visible_tree(written.store)
    recovered = written.recover()
    assert recovered == Recovered()
    assert not recovered
    assert visible_tree(written.store) == before


def test_all_sessions_but_ones_own_are_swept(written: WrittenStore) -> None:
    staged = written.stage(ONE)
    left = ["0123456789abcdef", "another-boot.1.00", "a stray download"]
    for name in left:
        (written.store.layout.tmp / name / "stage").mkdir(parents=True)
        (written.store.layout.tmp / name / "stage").chmod(0o555)
    assert written.recover().sessions == tuple(sorted(left))
    assert list(written.store.layout.tmp.iterdir()) == [written.writer.session]
    assert empty_trash(written.store.layout) == len(left)
    assert staged.entry.is_dir()


def test_an_environment_that_was_being_moved_is_closed_again(written: WrittenStore) -> None:
    folder = published(written, ONE)
    folder.chmod(0o700)
    assert written.recover(lambda: {digest(ONE)}) == Recovered(sealed=(folder.name,))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o555
    assert not written.recover(lambda: {digest(ONE)})


def test_modes_that_a_power_cut_undid_are_set_again(written: WrittenStore) -> None:
    written.commit(ONE, TWO)
    before = visible_tree(written.store)
    written.entry(ONE).chmod(0o700)
    written.entry(TWO).parent.chmod(0o700)
    assert not written.recover()  # whoever ended well has left no session, and nothing is looked at
    (written.store.layout.tmp / "0123456789abcdef").mkdir()
    assert written.recover().closed == (str(written.entry(ONE).relative_to(written.store.layout.entries)), "two")
    assert visible_tree(written.store) == before
    assert not written.recover()


def test_the_trash_says_what_was_thrown_away(written: WrittenStore) -> None:
    layout = written.store.layout
    odd = f"a name.with\udcff odd {'x' * 150}"
    (layout.tmp / odd).mkdir()
    os.makedirs(layout.environments / ".tmp-abc")
    os.makedirs(layout.entries / "one" / ("f" * 32))
    written.recover()
    thrown = sorted(name.rsplit(".", 1)[0] for name in os.listdir(layout.trash))
    assert thrown == ["environment._tmp-abc", f"half.{'f' * 32}", f"session.{'a_name_with__odd_' + 'x' * 47}"]
    assert trash_count(layout) == 3


@pytest.mark.parametrize("trash", ["full", "emptied"])
def test_a_worker_that_outlives_its_writer_changes_nothing(tmp_path: Path, trash: str) -> None:
    with start_python(OUTLIVE, str(tmp_path / "store")) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "unpacking\n"
        process.kill()
        process.wait()
        with written_store(tmp_path / "store") as written:
            assert len(written.recover().sessions) == 1
            if trash == "emptied":
                empty_trash(written.store.layout)
            written.commit(ONE)
            before = visible_tree(written.store)
            assert process.communicate("\n\n")[0] == "StoreError\nFileNotFoundError\n"
            assert visible_tree(written.store) == before
            assert list(written.store.layout.tmp.iterdir()) == [written.writer.session]
            assert written.findings() == []


def test_an_entry_without_a_manifest_is_deleted(written: WrittenStore) -> None:
    written.commit(ONE, TWO)
    half = written.entry(ONE)
    written.store.layout.manifest(digest(ONE)).unlink()
    assert written.recover().halves == (f"one/{half.name}",)
    assert not half.parent.exists()
    assert written.entry(TWO).is_dir()
    assert len(list(written.store.layout.trash.iterdir())) == 1


def test_halves_of_entries_that_environments_show_are_kept(written: WrittenStore) -> None:
    written.commit(ONE, TWO)
    written.store.layout.manifest(digest(ONE)).unlink()
    written.entry(TWO).rename(written.store.layout.trash / "gone")
    assert written.recover(shown=lambda: {digest(ONE), digest(TWO)}) == Recovered(halves=("two",), catalogue=1)
    assert (written.store.layout.entries / "one" / ONE.hexdigest[:32]).is_dir()
    assert written.store.layout.manifest(digest(TWO)).exists()
    assert len(written.recover().halves) == 1  # nothing shows them any more


def test_what_environments_show_is_only_asked_where_there_are_halves(written: WrittenStore) -> None:
    def never() -> set[Digest]:
        raise AssertionError("asked")

    written.commit(ONE)
    assert written.recover(shown=never) == Recovered()


def test_a_manifest_without_an_entry_is_deleted(written: WrittenStore) -> None:
    written.commit(ONE, TWO)
    written.entry(ONE).rename(written.store.layout.trash / "collected")
    side = written.store.layout.bytecode_manifest(digest(ONE), "cpython-312")
    side.write_text("{}")
    recovered = written.recover()
    assert set(recovered.manifests) == {written.store.layout.manifest(digest(ONE)).name, side.name}
    assert list(written.store.digests()) == [digest(TWO)]
    assert not written.store.has(digest(ONE))


def test_what_a_writer_of_manifests_left_is_deleted(written: WrittenStore) -> None:
    written.commit(ONE)
    (written.store.layout.meta / ".unfinished").write_text("{")
    kept = written.store.layout.bytecode_manifest(digest(ONE), "cpython-312")
    kept.write_text("{}")
    assert written.recover().manifests == (".unfinished",)
    assert kept.exists()


def test_files_where_entries_belong_are_halves(written: WrittenStore) -> None:
    written.commit(ONE)
    entries = written.store.layout.entries
    (entries / "stray").write_text("")
    (entries / "empty").mkdir()
    (entries / "one" / "link").symlink_to(entries / "one" / ONE.hexdigest[:32])
    assert written.recover().halves == ("empty", "one/link", "stray")
    assert os.listdir(entries) == ["one"]
    assert written.findings() == []


def test_unfinished_environments_are_deleted_and_finished_ones_kept(written: WrittenStore) -> None:
    environments = written.store.layout.environments
    left = environments / ".tmp-0123" / "bin"
    left.mkdir(parents=True)
    (environments / "0123" / "bin").mkdir(parents=True)
    (left / "link").symlink_to(environments / "0123")
    left.chmod(0o555)
    assert written.recover().environments == (".tmp-0123",)
    assert os.listdir(environments) == ["0123"]
    assert (environments / "0123" / "bin").is_dir()


def test_the_trash_is_emptied_and_symlinks_in_it_are_not_followed(written: WrittenStore, tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("mine")
    folder = written.store.layout.trash / "collected" / "deep"
    folder.mkdir(parents=True)
    (folder / "file").write_text("")
    (folder / "link").symlink_to(tmp_path / "precious")
    (folder.parent / "link").symlink_to(tmp_path / "precious" / "file")
    (written.store.layout.trash / "link").symlink_to(tmp_path / "precious")
    folder.chmod(0o555)
    folder.parent.chmod(0o000)
    assert not written.recover()
    assert empty_trash(written.store.layout, proceed=lambda: False) == 0
    assert empty_trash(written.store.layout) == 2
    assert list(written.store.layout.trash.iterdir()) == []
    assert (tmp_path / "precious" / "file").read_text() == "mine"


def test_the_catalogue_lists_what_is_there(written: WrittenStore) -> None:
    written.commit(ONE, TWO)
    written.store.catalogue.remove([digest(TWO)])
    written.store.layout.manifest(digest(ONE)).unlink()
    assert written.recover().catalogue == 2
    assert written.store.catalogue.digests() == {digest(TWO)}


def test_a_broken_catalogue_is_built_again(written: WrittenStore) -> None:
    written.commit(ONE)
    written.store.close()
    written.store.layout.index.write_bytes(b"garbage" * 1000)
    written.recover()
    assert written.store.catalogue.digests() == {digest(ONE)}


def test_a_second_recovery_finds_nothing(written: WrittenStore) -> None:
    written.commit(ONE, TWO)
    layout = written.store.layout
    layout.manifest(digest(ONE)).unlink()
    written.entry(TWO).rename(layout.trash / "two")
    (layout.tmp / "dead").mkdir()
    (layout.environments / ".tmp-0").mkdir()
    (layout.root / ".VERSION.00").write_text("")
    assert written.recover()
    before = visible_tree(written.store)
    assert written.recover() == Recovered()
    assert visible_tree(written.store) == before
    assert not (layout.root / ".VERSION.00").exists()


def test_a_disk_in_the_way_is_an_error_of_the_store(written: WrittenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: object) -> list[str]:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "listdir", refuse)
    with pytest.raises(StoreError, match="cannot recover the store"):
        written.recover()


def test_a_process_killed_at_any_point_leaves_a_store_that_recovers(tmp_path: Path) -> None:
    calls = run_python(  # runs differ by a few calls, so the very last ones are left out
        WORK_UNTIL_KILLED, "0", str(tmp_path / "whole")
    )
    with written_store(tmp_path / "whole") as written:
        whole = visible_tree(written.store)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    for point in random.sample(range(1, calls - calls // 20), 15):
        root = tmp_path / str(point)
        command = [sys.executable, "-c", WORK_UNTIL_KILLED, str(point), str(root)]
        assert subprocess.run(command, env=environment, check=False).returncode == -signal.SIGKILL, point
        with written_store(root) as written:
            written.recover()
            assert written.findings() == [], point
            assert visible_tree(written.store).items() <= whole.items(), point
            assert [path for path in written.store.layout.tmp.iterdir() if path != written.writer.session] == [], point
            assert len(os.listdir(written.store.layout.entries)) == len(list(written.store.digests())), point
            assert written.store.catalogue.digests() == set(written.store.digests()), point
            assert written.recover() == Recovered(), point
            written.commit(*WHEELS)
            assert visible_tree(written.store) == whole, point
