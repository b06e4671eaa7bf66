"""Programs that run keep their packages: through new lock files, collects and restarts of the daemon (A9.3)."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from support.index import LoopbackIndex
from support.machine import STORECTL, Machine
from support.project import lock_file_text, write_project
from support.wheels import WheelBytes, make_wheel

NOTHING_IS_KEPT_FOR_ITS_AGE = {
    "STORECTL_COLLECT_ANY_GRACE": "1",
    "STORECTL_COLLECT_GRACE": "0",
    "STORECTL_COLLECT_KEEP_DAYS": "0",
    "STORECTL_COLLECT_KEEP_GENERATIONS": "1",
}
WAIT = "import sys\nprint('up', flush=True)\nsys.stdin.readline()\n"
LATE = "import alpha.late\nwith open(alpha.__path__[0] + '/data.txt') as file:\n    print(alpha.late.VERSION, file.read())\n"
SERVER = f"import alpha\n{WAIT}{LATE}"
CHILDREN = f"""
import alpha, multiprocessing, os, subprocess, sys
{WAIT}
sys.stdout.flush()
subprocess.run([sys.executable, "-c", {LATE!r}])
if os.fork() == 0:
    {LATE.replace(chr(10), chr(10) + "    ")}
    sys.stdout.flush()
    os._exit(0)
os.wait()
"""
CLOSER = f"import os; os.closerange(3, 1024)\n{SERVER}"
SHELL = 'echo up; read _; storectl-late; python -c "$0"'
KERNELAPP = """
import os
class Shell:
    system = getoutput = None
    user_ns = {}
    def find_line_magic(self, name): return None
class IPKernelApp:
    shell = Shell()
    @classmethod
    def launch_instance(cls): cls().init_code()
    def init_code(self): exec(os.environ["CELL"], {})
"""
CELL = f"{SERVER}import ipykernel.late\nprint('and', ipykernel.late.VERSION)\n"


def alpha(whose: str, version: str) -> WheelBytes:
    files = {"alpha/__init__.py": "", "alpha/late.py": f"VERSION = {version!r}\n", "alpha/data.txt": version}
    script = '#!/bin/sh\ncat "$VIRTUAL_ENV"/lib/python*/site-packages/alpha/data.txt; echo\n'
    name = f"alpha_{whose}-{version}.data/scripts/storectl-late"
    return make_wheel(f"alpha-{whose}", version, files={**files, name: script}, executable=frozenset([name]))


class Program:
    """A program that waits for a line, in a project of its own, whose packages no other project has."""

    def __init__(self, machine: Machine, index: LoopbackIndex, name: str) -> None:
        self._machine, self._index, self._name = machine, index, name
        self.folder = machine.home / name
        write_project(self.folder, index, [alpha(name, "1")])
        (self.folder / "server.py").write_text(SERVER)
        self.environment = self.lock("1")

    def lock(self, version: str) -> Path:
        """Lock this version, and make it ready. Returns its environment."""
        wheel = alpha(self._name, version)
        self._index.add(wheel)
        (self.folder / "uv.lock").write_text(lock_file_text("uv.lock", self._index, [wheel]))
        return Path(self._machine.json("warm", "--json", cwd=self.folder)["path"])

    def start(self, *command: str | Path) -> None:
        """Start a program, and wait until it is up."""
        more = {"CELL": CELL, "UV_DEFAULT_INDEX": self._index.url, "UV_PYTHON_DOWNLOADS": "never"}
        self._process = subprocess.Popen(
            command,
            cwd=self.folder,
            env=self._machine.environ | more,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "up\n", self._name

    def go_on(self) -> list[str]:
        """What it prints from now to its end."""
        return self._process.communicate("\n")[0].splitlines()

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()


Begin = Callable[..., Program]


def collect(machine: Machine) -> None:
    machine.ok("store", "collect", env=NOTHING_IS_KEPT_FOR_ITS_AGE)


@pytest.fixture
def begin(machine: Machine, index: LoopbackIndex) -> Iterator[Begin]:
    """Starts a program in a project of its own."""
    kernel = {"ipykernel/__init__.py": "", "ipykernel/late.py": "VERSION = 7\n", "ipykernel/kernelapp.py": KERNELAPP}
    index.add(make_wheel("ipykernel", "7.0", files=kernel))
    with ExitStack() as stack:

        def begun(name: str, *command: str | Path, linked: bool = False) -> Program:
            program = Program(machine, index, name)
            if linked:
                machine.ok("link", cwd=program.folder)
            program.start(*command)
            stack.callback(program.end)
            return program

        yield begun


def test_what_runs_two_lock_files_behind_imports_what_it_never_touched(machine: Machine, begin: Begin) -> None:
    late = ["1 1"]
    programs = {
        begin("server", STORECTL, "run", "server.py"): late,
        begin("option", STORECTL, "run", "--offline", "server.py"): late,
        begin("closer", STORECTL, "run", "-c", CLOSER): late,
        begin("children", STORECTL, "run", "-c", CHILDREN): late * 2,
        begin("shell", STORECTL, "run", "bash", "-c", SHELL, LATE): ["1", "1 1"],
        begin("linked", ".venv/bin/python", "server.py", linked=True): late,
        begin("kernel", STORECTL, "kernel", "start"): ["1 1", "and 7"],
    }
    between = [program.lock("2") for program in programs]
    for program in programs:
        program.lock("3")
    for turn in range(5):
        collect(machine)
        if turn == 2:
            os.kill(machine.daemon_pid(), signal.SIGKILL)
    assert [each for each in between if each.exists()] == []
    assert {program.folder.name: program.go_on() for program in programs} == {
        program.folder.name: said for program, said in programs.items()
    }
    collect(machine)
    assert [program for program in programs if program.environment.exists()] == []
    assert [machine.ok("run", "-c", LATE, cwd=program.folder) for program in programs] == ["3 3\n"] * len(programs)


def test_an_export_runs_when_all_of_the_store_is_collected(machine: Machine, index: LoopbackIndex) -> None:
    program = Program(machine, index, "exported")
    copy, gone = machine.home / "copy", machine.home / "gone"
    machine.ok("env", "export", copy, cwd=program.folder)
    machine.ok("watch", "remove", program.folder)
    (machine.store / "projects").rename(gone)
    collect(machine)
    assert not program.environment.exists()
    assert not list((machine.store / "store").iterdir())
    done = subprocess.run([copy / "bin/python", "-c", LATE], env={}, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("1 1\n", "")
