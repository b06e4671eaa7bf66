"""`storectl uninstall`: nothing of storectl's is left but the program, and nothing else is touched."""

import os
import pty
import subprocess
from pathlib import Path

import pytest

from support.index import LoopbackIndex
from support.machine import STORECTL, Machine
from support.project import write_project
from support.wheels import make_wheel


@pytest.fixture
def project(machine: Machine, index: LoopbackIndex) -> Path:
    """A linked project on a machine with a service, a kernel, a tool's state, settings and a name of a Python."""
    folder = write_project(machine.home / "project", index, [make_wheel("alpha", "1.0")])
    machine.ok("link", cwd=folder)
    machine.ok("daemon", "install")
    machine.ok("kernel", "install")
    machine.ok("trust", machine.home)
    names = machine.home / ".local/bin"
    names.mkdir()
    (names / "python3").symlink_to(STORECTL)
    (names / "python").symlink_to("/bin/true")
    return folder


def owned(machine: Machine) -> list[str]:
    """What is below the home folder, without folders, that is not the project's."""
    paths = (path for path in machine.home.rglob("*") if not path.is_dir() or path.is_symlink())
    return sorted(str(path.relative_to(machine.home)) for path in paths)


def test_everything_is_listed_and_removed_but_files_of_others(machine: Machine, project: Path) -> None:
    (project / ".venv/mine.txt").write_text("mine")
    told = machine.ok("uninstall", "--yes")
    for what in ("link", "service", "kernel", "store", "log, remembered locks", "settings", "name of a Python"):
        assert any(line.startswith(f"{what} ") for line in told.splitlines()), (what, told)
    assert f"left: {project}/.venv/mine.txt\n" in told
    assert told.splitlines()[-1].startswith("removed; the program itself goes with: ")
    assert not machine.daemon_processes()
    assert owned(machine) == [
        ".local/bin/python",
        "project/.venv/mine.txt",
        "project/pyproject.toml",
        "project/uv.lock",
    ]
    assert not any((machine.root / "run").iterdir())
    assert machine.ok("uninstall").startswith("there is nothing to remove; ")
    assert not machine.daemon_processes()


def test_nothing_is_removed_without_a_yes(machine: Machine, project: Path) -> None:
    before = owned(machine)
    done = machine.run("uninstall", stdin="")
    assert (done.returncode, str(machine.store) in done.stdout) == (2, True)
    assert done.stderr.startswith("storectl: E_USAGE: there is nobody to ask")
    master, slave = pty.openpty()
    asked = subprocess.Popen(
        [STORECTL, "uninstall"], env=machine.environ, stdin=slave, stderr=subprocess.PIPE, text=True
    )
    os.write(master, b"n\n")
    assert "Remove all this?" in asked.communicate(timeout=60)[1]
    assert asked.returncode == 1
    assert set(before) <= set(owned(machine))


def test_an_uninstall_that_was_interrupted_can_be_finished(machine: Machine, project: Path) -> None:
    machine.ok("daemon", "stop")
    for folder, _, _ in os.walk(machine.store / "store"):
        os.chmod(folder, 0o700)
    (machine.store / "lock").unlink()
    machine.ok("uninstall", "--yes")
    assert not machine.store.exists()


def test_a_folder_that_is_no_store_is_never_removed(machine: Machine) -> None:
    (machine.home / "documents").mkdir()
    (machine.home / "documents/letter").write_text("dear")
    machine.ok("uninstall", "--yes", env={"STORECTL_STORE": str(machine.home / "documents")})
    assert (machine.home / "documents/letter").read_text() == "dear"
