"""`storectl shim`: python as a name of storectl, with real projects, interpreters and what they start."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from support.index import LoopbackIndex
from support.machine import STORECTL, Machine, base_python, pyenv_python
from support.project import write_project
from support.wheels import make_wheel

GUESTS = True  # the tests do not disturb one another: one daemon serves them all

WHERE = "import sys; print(sys.prefix, '%d.%d' % sys.version_info[:2])"


def names(machine: Machine) -> Path:
    return machine.home / ".local/bin"


def shell(machine: Machine, *command: str | Path, cwd: Path, env: Mapping[str, str] | None = None) -> str:
    """What a command says that is found on a PATH with the names first."""
    environ = machine.environ | {"PATH": f"{names(machine)}:/usr/bin:/bin"} | dict(env or {})
    done = subprocess.run(
        ["/usr/bin/env", *map(str, command)],
        cwd=cwd, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return done.stdout or done.stderr


def test_names_are_installed_and_removed_and_nothing_else_is_touched(machine: Machine) -> None:
    other = machine.home / "bin"
    other.mkdir()
    (other / "python3.12").write_text("somebody's own")
    said = machine.ok("shim", "install")
    assert said.splitlines()[0] == f"{names(machine)}/python -> {STORECTL}"
    assert "note: python on PATH is not " in said
    assert sorted(path.name for path in names(machine).iterdir()) == ["python", "python3"]
    machine.ok("shim", "install", "--dir", other, "python3.11", env={"PATH": f"{other}:/usr/bin:/bin"})
    done = machine.run("shim", "install", "--dir", other, "python3.10", "python3.12")
    assert done.stderr.startswith(f"storectl: E_LINK: {other}/python3.12 is there and not storectl's\nhint: ")
    assert sorted(path.name for path in other.iterdir()) == ["python3.11", "python3.12"]
    assert machine.run("shim", "install", "ruby").returncode == 2
    assert machine.run("shim", "uninstall", "--dir", other, "python3.12").returncode == 1
    assert machine.ok("shim", "uninstall", "--dir", other) == f"removed {other}/python3.11\n"
    assert machine.ok("shim", "uninstall").count("removed") == 2
    assert (other / "python3.12").read_text() == "somebody's own"


def test_python_is_the_project_s_own_and_so_is_what_it_starts(machine: Machine, index: LoopbackIndex) -> None:
    """It waits for an environment that is not ready; children find it by its name; a venv is of the Python behind it."""
    folder = write_project(machine.home / "project", index, [make_wheel("alpha", "1.0")])
    machine.ok("shim", "install")
    assert shell(machine, "python", "-c", "import alpha; print(alpha.__version__)", cwd=folder) == "1.0\n"
    environment = machine.ok("env", "path", folder).strip()
    child = f"import subprocess; subprocess.run(['python3', '-c', {WHERE!r}])"
    for command in (["python3", "-c", WHERE], ["python", "-c", child], [STORECTL, "run", "python", "-c", WHERE]):
        assert shell(machine, *command, cwd=folder).split()[0] == environment
    script = folder / "tool"
    script.write_text(f"#!/usr/bin/env python3\n{WHERE}\n")
    script.chmod(0o755)
    assert shell(machine, script, cwd=machine.home).split()[0] == environment
    assert shell(machine, "python", "-m", "pip", "install", "x", cwd=folder).startswith("storectl: E_PIP: ")
    shell(machine, "python", "-m", "venv", "--without-pip", machine.home / "venv", cwd=folder)
    venv = f"import sys; print(sys.prefix, sys.base_prefix != {environment!r})"
    assert shell(machine, machine.home / "venv/bin/python", "-c", venv, cwd=folder) == f"{machine.home}/venv True\n"


def test_outside_it_is_the_default_environment_s_else_that_of_path(machine: Machine, index: LoopbackIndex) -> None:
    index.add(make_wheel("alpha", "1.0"))
    own = machine.home / "own"
    own.mkdir()
    (own / "python3").symlink_to(base_python())
    machine.ok("shim", "install")
    environ = {"PATH": f"{names(machine)}:{own}:/usr/bin:/bin", "UV_PYTHON_DOWNLOADS": "never"}
    base = shell(machine, own / "python3", "-c", WHERE, cwd=machine.home)
    assert shell(machine, "python3", "-c", WHERE, cwd=machine.home, env=environ) == base
    made = machine.ok("env", "create", "mine", "alpha", "--default", env=environ | {"UV_DEFAULT_INDEX": index.url})
    environment = made.rpartition(" in ")[2].strip()
    assert shell(machine, "python3", "-c", WHERE, cwd=machine.home, env=environ).split()[0] == environment
    assert shell(machine, "python3", "-c", WHERE, cwd=machine.home, env=environ | {"UV_OFFLINE": "1"}).split()[0] == (
        environment
    )


PYTHONS = [pyenv_python(version) for version in ("3.10", "3.12")]


@pytest.mark.skipif(None in PYTHONS, reason="needs Python 3.10 and 3.12")
def test_a_name_with_a_version_is_never_another_one(machine: Machine, index: LoopbackIndex) -> None:
    older, newer = (Path(str(python)) for python in PYTHONS)
    folder = write_project(machine.home / "project", index, [make_wheel("alpha", "1.0")])
    machine.ok("shim", "install", "python", "python3.10", "python3.12")
    path = f"{names(machine)}:{newer.parent}:/usr/bin:/bin"
    environ = {"PATH": path, "PYENV_ROOT": str(older.parents[3]), "UV_PYTHON_DOWNLOADS": "never"}
    shown = {
        name: shell(machine, name, "-c", WHERE, cwd=folder, env=environ).split()
        for name in ("python", "python3.12", "python3.10")
    }
    assert [version for _, version in shown.values()] == ["3.12", "3.12", "3.10"]
    assert shown["python"] == shown["python3.12"]
    assert os.path.isdir(f"{shown['python3.10'][0]}/lib/python3.10/site-packages/alpha")
    assert shell(machine, "python3.12", "-c", WHERE, cwd=machine.home, env=environ).split()[1] == "3.12"
    assert shell(machine, "python3.10", "-c", WHERE, cwd=machine.home, env=environ).split()[1] == "3.10"
