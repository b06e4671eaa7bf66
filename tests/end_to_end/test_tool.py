"""Tools: locked once by uv over a loopback index, then run without resolver, daemon and network."""

from pathlib import Path

import pytest

from support.index import LoopbackIndex
from support.machine import Machine, pyenv_python
from support.wheels import WheelBytes, make_wheel

GUESTS = True  # the tests do not disturb one another: one daemon serves them all


def tool(version: str, name: str = "greet") -> WheelBytes:
    code = f"import sys, importlib.metadata as m\ndef main():\n    print(sys.argv[1:], {version!r})\n    sys.exit(3)\n"
    return make_wheel(
        name,
        version,
        files={f"{name}.py": code},
        entry_points=f"[console_scripts]\n{name} = {name}:main\nother = {name}:main\n",
    )


def test_a_tool_is_locked_once_and_runs_without_anything_then(machine: Machine, index: LoopbackIndex) -> None:
    index.add(tool("1.0"))
    environ = {"UV_DEFAULT_INDEX": index.url, "UV_PYTHON_DOWNLOADS": "never"}
    first = machine.run("tool", "run", "greet", "--from", "x", env=environ)
    assert (first.returncode, first.stdout) == (3, "['--from', 'x'] 1.0\n"), first.stderr
    index.add(tool("2.0"))
    machine.ok("daemon", "stop")
    before = index.requests.total()
    again = machine.run("tool", "run", "greet", env={"UV_DEFAULT_INDEX": "http://127.0.0.1:9/simple"})
    assert (again.returncode, again.stdout) == (3, "[] 1.0\n"), again.stderr
    assert index.requests.total() == before
    assert machine.run("daemon", "status").returncode == 3
    assert machine.ok("tool", "list") == "greet (greet)\n"
    newer = machine.run("tool", "run", "--refresh", "greet", env=environ)
    assert newer.stdout == "[] 2.0\n", newer.stderr
    assert machine.run("tool", "run", "greet@1.0", env=environ).stdout == "[] 1.0\n"
    assert machine.run("tool", "run", "--from", "greet==1.0", "other", "a", env=environ).stdout == "['a'] 1.0\n"
    machine.ok("tool", "remove", "greet")
    assert machine.ok("tool", "list") == ""


def test_what_a_tool_does_not_have_is_said(machine: Machine, index: LoopbackIndex) -> None:
    index.add(tool("1.0"))
    environ = {"UV_DEFAULT_INDEX": index.url, "UV_PYTHON_DOWNLOADS": "never"}
    done = machine.run("tool", "run", "--from", "greet", "gone", env=environ)
    assert done.returncode == 127
    assert "greet has no command gone" in done.stderr
    assert "greet, other" in done.stderr
    done = machine.run("tool", "run", "nowhere", env=environ)
    assert done.returncode == 1
    assert "E_REQUIREMENTS: uv cannot lock nowhere" in done.stderr
    assert "Traceback" not in done.stderr
    assert machine.run("tool", "run", "../x").returncode == 2


def test_a_tool_sees_the_virtual_environment_of_its_caller(machine: Machine, index: LoopbackIndex) -> None:
    code = "import os, sys\ndef main():\n    print(os.environ.get('VIRTUAL_ENV'), os.environ['PATH'], sys.prefix)\n"
    index.add(make_wheel("look", "1.0", files={"look.py": code}, entry_points="[console_scripts]\nlook = look:main\n"))
    environ = {"UV_DEFAULT_INDEX": index.url, "UV_PYTHON_DOWNLOADS": "never"}
    for own in ({}, {"VIRTUAL_ENV": "/the/project/.venv"}):
        done = machine.run("tool", "run", "look", env={**environ, **own})
        shown, path, prefix = done.stdout.split()
        assert shown == own.get("VIRTUAL_ENV", "None")
        assert path.split(":")[0] == f"{prefix}/bin"


PYTHONS = [version for version in ("3.10", "3.12") if pyenv_python(version)]
TELL = "import sys\ndef main():\n    print('%d.%d' % sys.version_info[:2], sys.argv[1:])\n"


@pytest.mark.skipif(len(PYTHONS) < 2, reason="needs Python 3.10 and 3.12")
def test_a_tool_has_the_first_python_on_path_or_the_one_that_is_asked_for(
    machine: Machine, index: LoopbackIndex
) -> None:
    """The one asked for may be where only storectl looks: its path is told to uv, which locks."""
    index.add(make_wheel("tell", "1.0", files={"tell.py": TELL}, entry_points="[console_scripts]\ntell = tell:main\n"))
    older, newer = (Path(str(pyenv_python(version))) for version in PYTHONS)
    path = f"{older.parent}:/usr/bin:/bin"
    environ = {"UV_DEFAULT_INDEX": index.url, "UV_PYTHON_DOWNLOADS": "never", "PATH": path}

    def shown(*arguments: str, **variables: str) -> str:
        done = machine.run("tool", "run", *arguments, "tell", env={**environ, **variables})
        assert done.returncode == 0, done.stderr
        return done.stdout.partition(" ")[0]

    pyenv = {"PYENV_ROOT": str(newer.parents[3])}
    assert shown() == "3.10"
    assert shown("-p", "3.12", **pyenv) == "3.12"
    assert shown("-p", str(newer)) == "3.12"
    assert shown("--refresh", UV_PYTHON="3.12", **pyenv) == "3.12"
    machine.ok("daemon", "stop")
    assert shown("-p", "3.12", PATH="/usr/bin:/bin") == "3.12"  # it is known by now, whatever can be found
    assert machine.run("daemon", "status").returncode == 3


def test_a_python_that_is_not_there_is_said_before_anything_is_locked(machine: Machine, index: LoopbackIndex) -> None:
    done = machine.run("tool", "run", "-p", "3.99", "tell")
    assert done.returncode == 1
    assert done.stderr.startswith("storectl: E_TARGET: no interpreter found for 3.99; found: ")
    assert len(done.stderr.splitlines()) == 2
    done = machine.run("tool", "run", "-p", "pypy3.10", "tell")
    assert "only CPython is supported" in done.stderr


def test_uv_offline_keeps_a_tool_from_the_network(machine: Machine, index: LoopbackIndex) -> None:
    index.add(tool("1.0"))
    done = machine.run("tool", "run", "greet", env={"UV_DEFAULT_INDEX": index.url, "UV_OFFLINE": "1"})
    assert done.returncode == 1
    assert index.requests.total() == 0
