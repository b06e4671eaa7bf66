"""What a store says of its daemon: who reads it finds the process, or sees that it is gone."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from storectl_shim.store_daemon import StoreDaemon, daemon_file, identity_of, is_there, read_store_daemon, this_daemon

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells when a process was started")

GOLDEN = b"/run/user/7/storectl/daemon-0123456789ab.sock\nstorectl-daemon 1\nprocess 4711\nidentity boot.99\n"


def test_the_file_has_the_socket_in_its_first_line(tmp_path: Path) -> None:
    known = StoreDaemon(socket="/run/user/7/storectl/daemon-0123456789ab.sock", pid=4711, identity="boot.99")
    assert known.text() == GOLDEN
    Path(daemon_file(str(tmp_path))).write_bytes(GOLDEN)
    read = read_store_daemon(str(tmp_path))
    assert read is not None
    assert (read.socket, read.pid, read.identity) == (known.socket, known.pid, known.identity)


def test_a_path_that_is_not_utf_8_comes_back_as_it_was(tmp_path: Path) -> None:
    socket = os.fsdecode(b"/run/caf\xe9/d.sock")
    Path(daemon_file(str(tmp_path))).write_bytes(this_daemon(socket).text())
    read = read_store_daemon(str(tmp_path))
    assert read is not None
    assert read.socket == socket


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"garbage",
        GOLDEN.replace(b"daemon 1", b"daemon 2"),
        GOLDEN.replace(b"4711", b"many"),
        GOLDEN.replace(b"4711", b"0"),
        GOLDEN.replace(b"/run", b"run"),
        GOLDEN[:60],
    ],
)
def test_what_cannot_be_read_says_nothing(tmp_path: Path, content: bytes) -> None:
    Path(daemon_file(str(tmp_path))).write_bytes(content)
    assert read_store_daemon(str(tmp_path)) is None


def test_no_file_says_nothing(tmp_path: Path) -> None:
    assert read_store_daemon(str(tmp_path)) is None


def answers(known: StoreDaemon) -> tuple[bool, bool]:
    return known.lives, known.may_answer


@linux
def test_a_process_lives_until_it_ends() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    known = StoreDaemon(socket="/s", pid=process.pid, identity=identity_of(process.pid))
    assert answers(known) == (True, True)
    process.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert is_there(process.pid), "it is a zombie"
    assert answers(known) == (False, False)
    process.communicate()
    assert answers(known) == (False, False)


@linux
def test_a_number_that_another_process_has_now_is_not_the_daemon() -> None:
    mine = this_daemon("/s")
    boot, _, started = mine.identity.partition(".")
    assert not StoreDaemon(socket="/s", pid=mine.pid, identity=f"{boot}.{int(started) - 1}").lives
    assert not StoreDaemon(socket="/s", pid=mine.pid, identity=f"another.{started}").lives
    assert mine.lives


def test_where_the_system_tells_nothing_a_socket_that_is_there_may_answer(tmp_path: Path) -> None:
    known = StoreDaemon(socket=str(tmp_path / "s"), pid=os.getpid(), identity="")
    assert answers(known) == (False, False)
    (tmp_path / "s").touch()
    assert answers(known) == (False, True)
