"""A lock file breaks under a project that runs: it goes on running, says why, and is well again with the lock file.

Each kind broken in each way is in ``tests/store/test_malformed_lock_files.py``.
"""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from support.index import LoopbackIndex
from support.machine import Machine
from support.project import write_project
from support.wheels import make_wheel

GUESTS = True  # the tests do not disturb one another: one daemon serves them all

SHOW = "import alpha; print(alpha.__version__)"
KINDS = ["uv.lock", "pylock.toml", "poetry.lock", "pdm.lock", "Pipfile.lock", "requirements.txt"]


def truncate(path: Path) -> None:
    """Cut off in the middle of the last digest."""
    content = path.read_text()
    path.write_text(content[: content.rindex("sha256") + 20])


def leave_conflict(path: Path) -> None:
    text = path.read_text()
    path.write_text(f"<<<<<<< HEAD\n{text}=======\n{text}>>>>>>> other\n")


def change_type(path: Path) -> None:
    """A number where a digest must be."""
    path.write_text(re.sub(r'"(sha256:)?[0-9a-f]{64}"|sha256:[0-9a-f]{64}', "42", path.read_text()))


def empty(path: Path) -> None:
    path.write_bytes(b"")


def become_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def become_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def become_unreadable(path: Path) -> None:
    path.chmod(0)
    if os.access(path, os.R_OK):
        become_folder(path)  # Nothing is unreadable to root.


WITH_PLACE = (truncate, leave_conflict, change_type, empty)
NO_FILE = (become_folder, become_fifo, become_unreadable)


def put_back(path: Path, content: bytes) -> None:
    """The good lock file again, in one step, as a version control system does it."""
    if path.is_dir():
        shutil.rmtree(path)
    good = path.with_name("good")
    good.write_bytes(content)
    good.replace(path)


@pytest.mark.parametrize("kind", KINDS)
def test_a_broken_lock_file_keeps_the_last_good_environment(machine: Machine, index: LoopbackIndex, kind: str) -> None:
    folder = write_project(machine.home / "project", index, [make_wheel("alpha", "1.0")], kind)
    path = folder / kind
    assert machine.ok("run", "-c", SHOW, cwd=folder) == "1.0\n"
    pid, content = machine.daemon_pid(), path.read_bytes()
    ways = [*WITH_PLACE, *NO_FILE] if kind in ("uv.lock", "requirements.txt") else [truncate]
    if kind == "requirements.txt":
        ways.remove(empty)  # One without hashes is no lock file: the next test.
    for way in ways:
        way(path)
        check_broken(machine, path, way)
        put_back(path, content)
        machine.wait_for_state(folder, lambda state: state["state"] == "ready")
        again = machine.run("run", "-c", SHOW, cwd=folder)
        assert (again.returncode, again.stdout, again.stderr) == (0, "1.0\n", ""), way
    assert machine.daemon_pid() == pid


def check_broken(machine: Machine, path: Path, way: Callable[[Path], None]) -> None:
    """`run` says one line and runs; `warm` says the same line and fails."""
    place = rf"{re.escape(str(path))}:\d+(:\d+)?: " if way in WITH_PLACE else rf"{re.escape(str(path))}: "
    ran = machine.run("run", "-c", SHOW, cwd=path.parent)
    assert (ran.returncode, ran.stdout) == (0, "1.0\n"), (way, ran.stderr)
    assert re.fullmatch(
        rf"storectl: warning: E_LOCK: {place}.+ \(running in the last good environment .+\)\n", ran.stderr
    )
    warmed = machine.run("warm", path.parent)
    assert (warmed.returncode, warmed.stdout) == (1, ""), way
    assert re.match(rf"storectl: .*E_LOCK.*{place}", warmed.stderr), (way, warmed.stderr)


def test_a_requirements_file_that_is_emptied_is_no_lock_file_any_more(machine: Machine, index: LoopbackIndex) -> None:
    folder = write_project(machine.home / "project", index, [make_wheel("alpha", "1.0")], "requirements.txt")
    path = folder / "requirements.txt"
    machine.ok("warm", folder)
    content = path.read_bytes()
    empty(path)
    warmed = machine.run("warm", folder)
    assert warmed.returncode != 0
    put_back(path, content)
    machine.wait_for_state(folder, lambda state: state["state"] == "ready")
    assert machine.ok("run", "-c", SHOW, cwd=folder) == "1.0\n"
