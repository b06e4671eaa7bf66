"""Write leases: granted when nobody has a file open, and nobody opens it while one is held."""

import mmap
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from storectl_store.collecting.leases import is_used, leases_work, note_use, try_write_lease


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "pyvenv.cfg"
    path.write_text("home = /usr/bin\n")
    path.chmod(0o444)
    return path


@pytest.fixture
def reader(file: Path) -> Iterator[int]:
    descriptor = os.open(file, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def test_a_file_that_nobody_has_open_is_free(file: Path) -> None:
    assert not is_used(file)


def test_a_file_that_is_open_is_used(file: Path, reader: int) -> None:
    assert is_used(file)


def test_a_file_that_is_only_mapped_is_used(file: Path) -> None:
    descriptor = os.open(file, os.O_RDONLY)
    with mmap.mmap(descriptor, 0, prot=mmap.PROT_READ):
        os.close(descriptor)
        assert is_used(file)
    assert not is_used(file)


def test_a_program_that_runs_is_used_under_any_name_of_it(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(Path("/bin/sleep").resolve().read_bytes())
    program.chmod(0o555)
    other = tmp_path / "other"
    other.hardlink_to(program)
    running = subprocess.Popen([program, "60"])
    assert is_used(other)
    running.kill()
    running.wait()
    assert not is_used(other)


@pytest.mark.parametrize("become", ["", "exec "], ids=["child", "exec"])
def test_what_a_shell_has_opened_stays_used_in_its_children(file: Path, become: str) -> None:
    shell = subprocess.Popen(["sh", "-c", f'exec 9<"$0"; {become}cat', file], stdin=subprocess.PIPE)
    while not is_used(file):
        assert shell.poll() is None
    assert shell.stdin is not None
    shell.stdin.close()
    shell.wait()
    assert not is_used(file)


def test_a_process_that_was_killed_has_nothing_open(file: Path) -> None:
    program = "import os, signal, sys; os.open(sys.argv[1], os.O_RDONLY); print(flush=True); signal.pause()"
    holder = subprocess.Popen([sys.executable, "-c", program, file], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    holder.stdout.readline()
    assert is_used(file)
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    holder.stdout.close()
    assert not is_used(file)


def test_a_file_that_is_not_there_is_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        try_write_lease(tmp_path / "missing")
    assert not is_used(tmp_path / "missing")


def test_a_symbolic_link_is_no_file_to_have_a_lease_of(tmp_path: Path, file: Path) -> None:
    (tmp_path / "link").symlink_to(file)
    with pytest.raises(OSError, match="symbolic link"):
        try_write_lease(tmp_path / "link")


def test_two_collectors_never_have_the_same_file(file: Path) -> None:
    first = try_write_lease(file)
    assert first is not None
    with first:
        assert try_write_lease(file) is None


def test_who_opens_a_file_waits_until_the_lease_is_let_go(file: Path) -> None:
    leased = try_write_lease(file)
    assert leased is not None
    with leased:
        with pytest.raises(BlockingIOError):
            os.open(file, os.O_RDONLY | os.O_NONBLOCK)
        opened = threading.Thread(target=lambda: os.close(os.open(file, os.O_RDONLY)))
        opened.start()
        assert opened.is_alive()
    opened.join()


def test_a_lease_tells_that_somebody_waits_for_the_file(file: Path) -> None:
    leased = try_write_lease(file)
    assert leased is not None
    assert leased.held()
    with pytest.raises(BlockingIOError):
        os.open(file, os.O_RDONLY | os.O_NONBLOCK)
    assert not leased.held()
    leased.close()
    leased.close()
    os.close(os.open(file, os.O_RDONLY | os.O_NONBLOCK))


def test_the_kernel_says_that_somebody_waits_with_a_signal_that_ends_nobody(file: Path) -> None:
    program = """
import sys
from pathlib import Path
from storectl_store.collecting.leases import try_write_lease
leased = try_write_lease(Path(sys.argv[1]))
print(flush=True)
sys.stdin.read()
print(leased.held())
"""
    holder = subprocess.Popen(
        [sys.executable, "-c", program, file], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    holder.stdout.readline()
    with pytest.raises(BlockingIOError):
        os.open(file, os.O_RDONLY | os.O_NONBLOCK)
    assert holder.communicate("")[0] == "False\n"
    assert holder.returncode == 0


def test_leases_are_let_go_though_a_process_was_forked_meanwhile(file: Path) -> None:
    leased = try_write_lease(file)
    assert leased is not None
    child = os.fork()
    if child == 0:
        signal.pause()
    leased.close()
    os.close(os.open(file, os.O_RDONLY | os.O_NONBLOCK))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def test_a_use_that_nothing_tells_of_is_noted(file: Path) -> None:
    os.utime(file, (1, 2))
    note_use(file)
    assert file.stat().st_atime > 2
    assert file.stat().st_mtime == 2
    note_use(file.with_name("gone"))


def test_leases_work_here(tmp_path: Path) -> None:
    assert leases_work(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_leases_do_not_work_if_the_system_grants_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr("fcntl.fcntl", refuse)
    assert not leases_work(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_leases_do_not_work_if_they_are_granted_for_a_file_that_is_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fcntl.fcntl", lambda *_: 0)
    assert not leases_work(tmp_path)
