"""While the daemon rests it makes most of the next view; the next environment of the project takes that."""

import os
import time
from pathlib import Path

from storectl_store.environments.spare_view import FEWEST_LEAVES
from support.index import LoopbackIndex
from support.lock_files import pyproject_text, uv_lock_text
from support.machine import DEADLINE, Machine
from support.wheels import WheelBytes, make_wheel

LARGE = make_wheel("large", files={f"large-1.0.data/data/share/{number}": "x" for number in range(FEWEST_LEAVES)})
SMALL = [make_wheel("small", f"{number}", files={"small.py": ""}) for number in range(8)]


def warmed(machine: Machine, index: LoopbackIndex, wheels: list[WheelBytes]) -> Path:
    index.add(*wheels)
    folder = machine.home / "project"
    folder.mkdir(exist_ok=True)
    (folder / "pyproject.toml").write_text(pyproject_text(wheel.name for wheel in wheels))
    (folder / "uv.lock").write_text(uv_lock_text(index, wheels))
    return Path(machine.json("warm", folder, "--json")["path"])


def made_ahead(machine: Machine) -> Path:
    """The view that lies ready, or soon will: its last file is there, but perhaps not yet durable."""
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        found = [path for path in (machine.store / "environments").iterdir() if path.name.startswith(".tmp-")]
        if found and len(list((found[0] / "share").glob("*"))) == FEWEST_LEAVES:
            return found[0]
        time.sleep(0.05)
    raise AssertionError("no view was made ahead")


def test_the_next_environment_takes_the_view_that_was_made_ahead(machine: Machine, index: LoopbackIndex) -> None:
    first = warmed(machine, index, [LARGE])
    for small in SMALL:  # one after the other, if a view is not ready when it would be taken
        inode = made_ahead(machine).stat().st_ino
        taken = warmed(machine, index, [LARGE, small])
        if taken.stat().st_ino == inode:
            break
    else:
        raise AssertionError("no environment took a view that was made ahead")
    for environment, modules in ((first, False), (taken, True)):
        assert bool(list(environment.glob("lib/*/site-packages/small.py"))) is modules
        assert os.access(environment / "share/7", os.R_OK)
    assert machine.ok("store", "verify")
    machine.ok("daemon", "stop")
    left = [path.name for path in (machine.store / "environments").iterdir() if path.name.startswith(".tmp-")]
    assert left == []
