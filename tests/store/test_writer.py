"""One writer per store, however processes come and go."""

import errno
import fcntl
import os
import signal
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from storectl_store.entries.layout import StoreLayout
from storectl_store.entries.store import Store
from storectl_store.entries.writer import Writer
from storectl_store.errors import StoreBusyError, StoreError
from support.stores import start_python

if TYPE_CHECKING:
    import subprocess

HOLD = """
import sys
from pathlib import Path
from storectl_store.entries.layout import StoreLayout
from storectl_store.entries.writer import Writer
with Writer.acquire(StoreLayout(Path(sys.argv[1]))) as writer:
    print(writer.session.name, flush=True)
    sys.stdin.read()
"""
LEAVE_A_CHILD = """
import os, signal, sys
from pathlib import Path
from storectl_store.entries.layout import StoreLayout
from storectl_store.entries.writer import Writer
writer = Writer.acquire(StoreLayout(Path(sys.argv[1])))
if os.fork() == 0:
    print(os.getpid(), flush=True)
    signal.pause()  # not at stdin, where the newline is for the parent
sys.stdin.readline()
os._exit(0)
"""


@pytest.fixture
def layout(tmp_path: Path) -> StoreLayout:
    return Store.open(tmp_path / "store").layout


@contextmanager
def writer_in_another_process(layout: StoreLayout) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """Another process that is the writer, and the name of its session."""
    with start_python(HOLD, str(layout.root)) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def test_a_second_writer_in_the_same_process_is_refused(layout: StoreLayout) -> None:
    with Writer.acquire(layout), pytest.raises(StoreBusyError) as caught:
        Writer.acquire(layout)
    assert caught.value.facts["owner"] == os.getpid()
    assert caught.value.hint


def test_a_writer_in_another_process_is_named(layout: StoreLayout) -> None:
    with writer_in_another_process(layout) as (process, _), pytest.raises(StoreBusyError) as caught:
        Writer.acquire(layout)
    assert caught.value.facts["owner"] == process.pid
    assert str(process.pid) in caught.value.message


def test_a_refused_writer_leaves_the_other_one_alone(layout: StoreLayout) -> None:
    with Writer.acquire(layout) as writer:
        for _ in range(2):
            with pytest.raises(StoreBusyError):
                Writer.acquire(layout)
        assert [path.name for path in layout.tmp.iterdir()] == [writer.session.name]


def test_closing_another_descriptor_of_the_lock_file_keeps_the_lock(layout: StoreLayout) -> None:
    with Writer.acquire(layout):
        layout.lock.read_text()
        with pytest.raises(StoreBusyError):
            Writer.acquire(layout)


def test_the_lock_is_free_after_the_block_and_its_file_stays(layout: StoreLayout) -> None:
    with Writer.acquire(layout):
        number = layout.lock.stat().st_ino
        assert layout.lock.read_text() == f"{os.getpid()}\n"
    assert layout.lock.stat().st_ino == number
    assert layout.lock.read_text() == ""
    Writer.acquire(layout).close()


def test_closing_twice_does_not_close_the_next_writer(layout: StoreLayout) -> None:
    first = Writer.acquire(layout)
    first.close()
    with Writer.acquire(layout) as second:
        first.close()
        assert second.session.is_dir()
        with pytest.raises(StoreBusyError):
            Writer.acquire(layout)


def test_a_killed_writer_frees_the_lock(layout: StoreLayout) -> None:
    with writer_in_another_process(layout) as (process, session):
        process.kill()
        process.wait()
        with Writer.acquire(layout) as writer:
            assert {path.name for path in layout.tmp.iterdir()} == {session, writer.session.name}


def test_a_child_that_outlives_the_writer_does_not_hold_the_lock(layout: StoreLayout) -> None:
    with start_python(LEAVE_A_CHILD, str(layout.root)) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        with pytest.raises(StoreBusyError):
            Writer.acquire(layout)
        parent.stdin.write("\n")
        parent.stdin.flush()
        assert parent.wait() == 0
        os.kill(child, 0)
        Writer.acquire(layout).close()
        os.kill(child, signal.SIGKILL)


def test_the_session_is_private_and_goes_with_the_writer(layout: StoreLayout) -> None:
    with Writer.acquire(layout) as writer:
        session = writer.session
        assert session.parent == layout.tmp
        assert stat.S_IMODE(session.stat().st_mode) == 0o700
        sealed = session / "stage" / "entry"
        sealed.mkdir(parents=True)
        (sealed / "file").write_text("")
        sealed.chmod(0o555)
    assert list(layout.tmp.iterdir()) == []


def test_without_a_store_there_is_an_error_of_the_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot lock the store"):
        Writer.acquire(StoreLayout(tmp_path / "nowhere"))


def test_a_lock_file_that_is_a_symlink_is_not_followed(layout: StoreLayout, tmp_path: Path) -> None:
    layout.lock.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="cannot lock the store"):
        Writer.acquire(layout)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("missing", ["in Python", "in the kernel"])
def test_without_ofd_locks_flock_excludes(layout: StoreLayout, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    def refuse(descriptor: int, command: int, argument: bytes) -> bytes:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    if missing == "in Python":
        monkeypatch.delattr(fcntl, "F_OFD_SETLK", raising=False)
    else:
        monkeypatch.setattr(fcntl, "fcntl", refuse)
    with Writer.acquire(layout), pytest.raises(StoreBusyError) as caught:
        Writer.acquire(layout)
    assert caught.value.facts["owner"] == os.getpid()
    Writer.acquire(layout).close()


def test_a_lock_file_that_was_deleted_is_made_again_and_held(layout: StoreLayout) -> None:
    with Writer.acquire(layout) as writer:
        assert writer.problem(layout) is None
        layout.lock.unlink()
        assert writer.problem(layout) == "it is gone"
        writer.renew(layout)
        assert writer.problem(layout) is None
        with pytest.raises(StoreBusyError):
            Writer.acquire(layout)
    Writer.acquire(layout).close()


def test_a_lock_file_that_names_another_process_is_written_again(layout: StoreLayout) -> None:
    with Writer.acquire(layout) as writer:
        layout.lock.write_text("1\n")
        assert writer.problem(layout) == "it names another process"
        writer.renew(layout)
        assert layout.lock.read_text() == f"{os.getpid()}\n"
        with pytest.raises(StoreBusyError):
            Writer.acquire(layout)


def test_a_lock_that_somebody_else_holds_by_now_is_not_taken_from_them(layout: StoreLayout) -> None:
    with Writer.acquire(layout) as writer:
        layout.lock.unlink()
        with writer_in_another_process(layout):
            assert writer.problem(layout) == "it is another file than the one that is held"
            with pytest.raises(StoreBusyError):
                writer.renew(layout)
