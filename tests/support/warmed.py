"""The data-science workload, locked and warmed once in a run; machines get what that made by hard links."""

import os
import shutil
import subprocess
from pathlib import Path

from uv import find_uv_bin

from support.daemon import until
from support.locked_day import as_of_that_day
from support.machine import Machine, base_python, new_machine
from support.tools import to_be_made

PYPROJECT = Path(__file__).parents[1] / "workloads/data-science/pyproject.toml"
_SECONDS = 600


def warmed_workload(machine: Machine, run_folder: Path) -> Path:
    """The locked project in the home of a new machine, whose store has its wheels with their bytecode, and no environment."""
    template = run_folder / "workload"
    with to_be_made(template) as missing:
        if missing:
            shutil.rmtree(template, ignore_errors=True)
            _make(template)
    for name in ("store", "meta"):
        shutil.copytree(template / name, machine.store / name, symlinks=True, copy_function=os.link)
    shutil.copy(template / "VERSION", machine.store)
    return Path(shutil.copytree(template / "project", machine.home / "data-science"))


def lock_workload(machine: Machine) -> Path:
    """The project in the home of a machine, locked by uv."""
    folder = machine.home / "data-science"
    folder.mkdir()
    shutil.copy(PYPROJECT, folder)
    environ = machine.environ | {"UV_PYTHON": base_python()} | as_of_that_day()
    subprocess.run([find_uv_bin(), "lock", "--quiet"], cwd=folder, env=environ, check=True)
    return folder


def _make(template: Path) -> None:
    with new_machine() as machine:
        project = lock_workload(machine)
        machine.ok("warm", "-p", base_python(), cwd=project, timeout=_SECONDS)
        manifests = machine.store / "meta"
        until(lambda: len(list(manifests.glob("*.pyc.json"))) * 2 == len(list(manifests.iterdir())))
        machine.ok("daemon", "stop")
        shutil.move(machine.store, template)
        shutil.move(project, template / "project")
