"""Damage as a person meets it: warm mends it, verify names it, doctor shows what was set aside."""

import shlex
import subprocess
from pathlib import Path

from support.index import LoopbackIndex
from support.machine import Machine
from support.project import write_project
from support.wheels import make_wheel

ALPHA = make_wheel("alpha", "1.0", files={"alpha/__init__.py": "X = 1\n", "alpha/more.py": "Y = 2\n"})
SHOW = "import alpha.more; print(alpha.more.Y)"


def damaged(machine: Machine, index: LoopbackIndex) -> tuple[Path, Path]:
    """A project that is ready, and the file of its entry that is gone since."""
    folder = write_project(machine.home / "project", index, [ALPHA])
    machine.ok("warm", folder)
    file = machine.store / "store/alpha" / ALPHA.hexdigest[:32] / "site-packages/alpha/more.py"
    file.parent.chmod(0o755)
    file.unlink()
    file.parent.chmod(0o555)
    return folder, file


def test_warm_mends_what_it_called_ready(machine: Machine, index: LoopbackIndex) -> None:
    folder, file = damaged(machine, index)
    done = machine.run("warm", folder)
    assert done.returncode == 0
    assert "warning: entry alpha 1.0 was damaged (site-packages/alpha/more.py: it is gone)" in done.stderr
    assert file.read_text() == "Y = 2\n"
    assert machine.ok("run", "-c", SHOW, cwd=folder) == "2\n"


def test_doctor_shows_what_was_set_aside_and_how_it_is_removed(machine: Machine, index: LoopbackIndex) -> None:
    damaged(machine, index)
    said = machine.ok("store", "verify", "--repair")
    assert "mended: entry alpha: fetched again from http://127.0.0.1" in said
    (line,) = [line for line in machine.run("doctor").stdout.splitlines() if "quarantine" in line]
    assert "entry alpha 1.0, set aside " in line
    assert "(site-packages/alpha/more.py: it is gone)" in line
    subprocess.run(shlex.split(line.rpartition("remove with: ")[2]), check=True)
    assert "quarantine:" not in machine.run("doctor").stdout


def test_offline_verify_says_what_is_missing_and_run_does_not_use_it(machine: Machine, index: LoopbackIndex) -> None:
    folder, _ = damaged(machine, index)
    done = machine.run("store", "verify", "--repair", "--offline")
    assert done.returncode == 1
    assert f"hint: with the network, `storectl warm {folder}` brings it back" in done.stdout
    offline = machine.run("run", "--offline", "-c", SHOW, cwd=folder)
    assert (offline.returncode, "E_OFFLINE" in offline.stderr, "alpha 1.0" in offline.stderr) == (125, True, True)
    assert machine.ok("run", "-c", SHOW, cwd=folder) == "2\n"


def test_a_store_whose_version_and_book_are_damaged_opens_again(machine: Machine, index: LoopbackIndex) -> None:
    folder = write_project(machine.home / "project", index, [ALPHA])
    machine.ok("warm", folder)
    machine.ok("daemon", "stop")
    (machine.store / "VERSION").write_bytes(b"storectl store 5\n")
    (machine.store / "projects.json").write_bytes(b"\xff")
    (machine.store / "index.db").write_bytes(b"nonsense")
    assert machine.ok("store", "verify") == "1 entry and all that is made of them: as they should be\n"
    assert [project["path"] for project in machine.json("watch", "list", "--json")] == [str(folder)]
    assert machine.ok("run", "-c", SHOW, cwd=folder) == "2\n"
