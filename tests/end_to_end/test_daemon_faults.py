"""The daemon dies, hangs, or is started thirty times: programs run all the same."""

import concurrent.futures
import os
import random
import signal
import subprocess
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from support.index import LoopbackIndex
from support.machine import STORECTL, Machine
from support.project import write_project
from support.wheels import WheelBytes, make_wheel

SHOW = "import alpha; print(alpha.__version__)"


def test_after_sigkill_the_next_run_works_and_a_new_daemon_comes(machine: Machine, index: LoopbackIndex) -> None:
    folder = write_project(machine.home / "project", index, [make_wheel("alpha", "1.0")])
    machine.ok("warm", folder)
    pid = machine.daemon_pid()
    os.kill(pid, signal.SIGKILL)
    assert machine.ok("run", "-c", SHOW, cwd=folder) == "1.0\n"
    write_project(folder, index, [make_wheel("alpha", "2.0")])
    assert machine.ok("run", "-c", SHOW, cwd=folder) == "2.0\n"
    assert machine.daemon_pid() != pid


def test_a_run_right_after_a_stop_gets_a_new_daemon(machine: Machine, index: LoopbackIndex) -> None:
    for number in range(2):
        folder = write_project(machine.home / f"project{number}", index, [make_wheel("alpha", f"{number}.0")])
        machine.ok("warm", folder)
        if number % 2:
            machine.ok("daemon", "stop")
            assert machine.daemon_processes() == []
        else:
            os.kill(machine.daemon_pid(), signal.SIGTERM)
        write_project(folder, index, [make_wheel("alpha", f"{number}.1")])
        assert machine.ok("run", "-c", SHOW, cwd=folder) == f"{number}.1\n"


def test_a_stopped_daemon_holds_up_no_program_that_is_ready(machine: Machine, index: LoopbackIndex) -> None:
    folder = write_project(machine.home / "project", index, [make_wheel("alpha", "1.0")])
    machine.ok("warm", folder)
    pid = machine.daemon_pid()
    os.kill(pid, signal.SIGSTOP)
    try:
        assert machine.ok("run", "-c", SHOW, cwd=folder, timeout=20) == "1.0\n"
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_changed_lock_file_under_a_stopped_daemon_is_an_error_and_not_a_hang(
    machine: Machine, index: LoopbackIndex
) -> None:
    folder = write_project(machine.home / "project", index, [make_wheel("alpha", "1.0")])
    machine.ok("warm", folder)
    pid = machine.daemon_pid()
    os.kill(pid, signal.SIGSTOP)
    try:
        write_project(folder, index, [make_wheel("alpha", "2.0")])
        done = machine.run("run", "-c", SHOW, cwd=folder, timeout=60)
        assert done.returncode == 125
        assert "does not answer" in done.stderr
        assert "Traceback" not in done.stderr
    finally:
        os.kill(pid, signal.SIGCONT)


def test_thirty_commands_at_once_start_one_daemon_and_all_succeed(machine: Machine, index: LoopbackIndex) -> None:
    folder = write_project(machine.home / "project", index, [make_wheel("alpha", "1.0")])
    with concurrent.futures.ThreadPoolExecutor(30) as pool:
        done = list(pool.map(lambda _: machine.run("run", "-c", SHOW, cwd=folder), range(30)))
    assert {(result.returncode, result.stdout) for result in done} == {(0, "1.0\n")}, [r.stderr for r in done]
    assert len(machine.daemon_processes()) == 1
    assert index.file_requests == 1


def test_a_warm_whose_daemon_is_killed_goes_on_with_a_new_one(machine: Machine, index: LoopbackIndex) -> None:
    folder = write_project(machine.home / "project", index, [make_wheel("alpha", "1.0")])
    killed: list[int] = []

    def kill_at_first_fetch(handler: BaseHTTPRequestHandler) -> bool:
        if handler.path.startswith("/files/") and not killed:
            killed.extend(machine.daemon_processes())
            for pid in killed:
                os.kill(pid, signal.SIGKILL)
        return False

    index.respond = kill_at_first_fetch
    assert machine.ok("run", "-c", SHOW, cwd=folder) == "1.0\n"
    assert len(killed) == 1


@pytest.mark.parametrize("crashes", [3, pytest.param(12, marks=pytest.mark.whole)])
def test_sigkill_at_random_moments_of_a_warm_never_tears_an_entry(
    machine: Machine, index: LoopbackIndex, crashes: int
) -> None:
    wheels = many_wheels()
    folder = write_project(machine.home / "project", index, wheels)
    show = "import w0, w5; print(w0.m7.x + w5.m3.x)"
    for _ in range(crashes):
        kill_during_warm(machine, folder, after=random.uniform(0.05, 1.5))
        verified = machine.run("store", "verify")
        assert verified.returncode == 0, verified.stdout + verified.stderr
    assert machine.ok("run", "-c", show, cwd=folder) == "10\n"
    assert machine.run("store", "verify").returncode == 0
    assert len(machine.json("store", "list", "--json")) == len(wheels)


def many_wheels() -> list[WheelBytes]:
    return [
        make_wheel(
            f"w{n}",
            "1.0",
            files={f"w{n}/__init__.py": "from . import m3, m7\n"}
            | {f"w{n}/m{m}.py": f"x = {m}\n" + f"# {m}\n" * 500 for m in range(60)},
        )
        for n in range(8)
    ]


def kill_during_warm(machine: Machine, folder: Path, *, after: float) -> None:
    """Start a warm, and after so many seconds kill it (it would start another daemon) and the daemon that is at it."""
    warm = subprocess.Popen(
        [STORECTL, "warm", str(folder)],
        env=machine.environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    time.sleep(after)
    warm.kill()
    for pid in machine.daemon_processes():
        os.kill(pid, signal.SIGKILL)
    warm.wait(timeout=60)
