"""`storectl link`: an ordinary-looking .venv for editors and for life without the daemon."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from support.index import LoopbackIndex
from support.machine import Machine
from support.project import write_project
from support.wheels import make_wheel

GUESTS = True  # the tests do not disturb one another: one daemon serves them all

SHOW = "import alpha; print(alpha.__version__)"


def python(folder: Path, machine: Machine, code: str) -> str:
    command = [str(folder / ".venv/bin/python"), "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=machine.environ).stdout


@pytest.fixture
def linked(machine: Machine, index: LoopbackIndex) -> Path:
    folder = write_project(machine.home / "project", index, [make_wheel("alpha", "1.0")])
    machine.ok("link", cwd=folder)
    return folder


def test_a_linked_venv_works_with_the_daemon_gone(machine: Machine, linked: Path) -> None:
    os.kill(machine.daemon_pid(), signal.SIGKILL)
    assert python(linked, machine, SHOW) == "1.0\n"


def test_the_link_moves_with_the_lock_file_and_a_running_program_keeps_its_environment(
    machine: Machine, index: LoopbackIndex, linked: Path
) -> None:
    code = "import sys\nprint('up', flush=True)\nsys.stdin.readline()\n" + SHOW
    running = subprocess.Popen(
        [linked / ".venv/bin/python", "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=machine.environ,
    )
    assert running.stdout is not None
    assert running.stdout.readline() == "up\n"
    before = os.readlink(linked / ".venv")
    write_project(linked, index, [make_wheel("alpha", "2.0")])
    machine.wait_for_state(linked, lambda s: s["state"] == "ready" and os.readlink(linked / ".venv") != before)
    assert python(linked, machine, SHOW) == "2.0\n"
    output, _ = running.communicate("\n", timeout=60)
    assert output == "1.0\n"


def test_a_real_folder_is_never_replaced(machine: Machine, index: LoopbackIndex) -> None:
    folder = write_project(machine.home / "project", index, [make_wheel("alpha", "1.0")])
    (folder / ".venv").mkdir()
    (folder / ".venv/keep").write_text("mine")
    done = machine.run("link", cwd=folder)
    assert done.returncode == 1
    assert ".venv" in done.stderr
    assert (folder / ".venv/keep").read_text() == "mine"
