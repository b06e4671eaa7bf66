"""The second time, the launcher starts what Python had to find out: with options, scripts, members, tools, named ones."""

import sys
from pathlib import Path

import pytest

from support.client_project import age
from support.index import LoopbackIndex
from support.lock_files import pylock_text, pyproject_text
from support.machine import Machine
from support.project import write_project
from support.traps import Traps
from support.wheels import WheelBytes, make_wheel

GUESTS = True  # the tests do not disturb one another: one daemon serves them all

SHOW = "import alpha, os; print(alpha.__file__, os.environ.get('VIRTUAL_ENV'))\n"
BLOCK = '# /// script\n# dependencies = ["alpha"]\n# ///\n'
FEATURE = f"{sys.version_info[0]}.{sys.version_info[1]}"


@pytest.fixture
def traps(machine: Machine) -> Traps:
    return Traps(machine)


@pytest.fixture
def environ(index: LoopbackIndex) -> dict[str, str]:
    index.add(make_wheel("alpha", "1.0"), tool())
    return {"UV_DEFAULT_INDEX": index.url, "UV_PYTHON_DOWNLOADS": "never"}


def tool() -> WheelBytes:
    code = "import os\ndef main():\n    print(__file__, os.environ.get('VIRTUAL_ENV'))\n"
    return make_wheel("greet", "1.0", files={"greet.py": code}, entry_points="[console_scripts]\ngreet = greet:main\n")


def project(machine: Machine, index: LoopbackIndex) -> Path:
    """A workspace with a member, whose files are an hour old."""
    folder = write_project(machine.home / "project", index, [make_wheel("alpha", "1.0")])
    (folder / "lib").mkdir()
    (folder / "lib/pyproject.toml").write_text(pyproject_text(["alpha"], root="lib"))
    lock = (folder / "uv.lock").read_text()
    member = (
        '[[package]]\nname = "lib"\nversion = "0"\nsource = { virtual = "lib" }\ndependencies = [{ name = "alpha" }]\n'
    )
    workspace = lock.replace("[[package]]", '[manifest]\nmembers = ["lib", "project"]\n\n[[package]]', 1)
    (folder / "uv.lock").write_text(f"{workspace}\n{member}")
    with (folder / "pyproject.toml").open("a") as file:
        file.write('[tool.uv.workspace]\nmembers = ["lib"]\n')
    (folder / "show.py").write_text(SHOW)
    for path in (folder / "uv.lock", folder / "pyproject.toml", folder / "lib/pyproject.toml"):
        age(path)
    return folder


def test_options_and_members_of_a_project(machine: Machine, index: LoopbackIndex, traps: Traps) -> None:
    folder = project(machine, index)
    traps.runs_twice("run", "-p", FEATURE, "show.py", cwd=folder)
    traps.runs_twice("run", "--no-dev", "--offline", "show.py", cwd=folder, STORECTL_PYTHON=FEATURE)
    traps.runs_twice("run", "-c", SHOW, cwd=folder / "lib")
    traps.runs_twice("run", "--package", "lib", "-c", SHOW, cwd=folder)


def test_requirements_on_top(machine: Machine, index: LoopbackIndex, environ: dict[str, str], traps: Traps) -> None:
    folder = project(machine, index)
    command = ("run", "--with", "greet==1.0", "-c", f"import greet\n{SHOW}")
    traps.runs_twice(*command, cwd=folder, **environ)
    assert traps.run(*command, cwd=folder, UV_RESOLUTION="lowest", **environ)[1]
    assert traps.run("run", "--with", ".", "-c", "pass", cwd=folder, **environ)[1]


def test_scripts(machine: Machine, index: LoopbackIndex, environ: dict[str, str], traps: Traps) -> None:
    folder = machine.home / "scripts"
    folder.mkdir()
    for name in ("locked.py", "loose.py"):
        (folder / name).write_text(BLOCK + SHOW)
        age(folder / name)
    (folder / "pylock.locked.toml").write_text(pylock_text(index, [make_wheel("alpha", "1.0")]))
    age(folder / "pylock.locked.toml")
    traps.runs_twice("run", "locked.py", cwd=folder)
    traps.runs_twice("run", str(folder / "loose.py"), cwd=machine.home, **environ)
    (folder / "loose.py").write_text("print('mine')\n")
    assert traps.run("run", "loose.py", cwd=folder) == ("mine\n", True)


def test_named_environments_and_tools(machine: Machine, environ: dict[str, str], traps: Traps) -> None:
    machine.ok("env", "create", "data", "alpha", env=environ)
    age(machine.home / ".local/state/storectl/named/data/asked")
    traps.runs_twice("run", "-e", "data", "-c", SHOW, cwd=machine.home)
    traps.runs_twice("tool", "run", "greet@1.0", cwd=machine.home, VIRTUAL_ENV="/mine", **environ)
    machine.ok("tool", "remove", "greet")
    assert traps.run("tool", "run", "greet@1.0", cwd=machine.home, **environ)[1]
