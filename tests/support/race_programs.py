"""The programs of `scripts/collect-race`: each begins in an environment, and imports later what it never touched.

Every program says ``ok`` for each of its outcomes, in the file that it is given: also of children that outlive it. An
outcome that is missing, or anything else in the file, is a failure. ``alpha`` is a package of ``PARTS`` modules and a
data file, in two versions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from support.wheels import WheelBytes, make_wheel

PARTS = 24
VERSIONS = ("1.0", "2.0")

LATE = f"""
import importlib, os, random, sys, time
import alpha
def late(seconds=2.0):
    names = random.sample(range({PARTS}), 8)
    for name in names:
        time.sleep(seconds / len(names))
        part = importlib.import_module(f"alpha.part{{name}}")
        assert part.VERSION == alpha.VERSION, (part.VERSION, alpha.VERSION)
        with open(os.path.join(os.path.dirname(alpha.__file__), "data.txt")) as file:
            assert file.read() == alpha.VERSION
def tell(path):
    try:
        late()
        said = "ok"
    except BaseException as error:
        said = f"{{type(error).__name__}}: {{error}}"
    with open(path, "a") as file:
        file.write(said + "\\n")
"""

QUICK = """
import sys, alpha, alpha.part5
assert alpha.part5.VERSION == alpha.VERSION
with open(sys.argv[1], "a") as file:
    file.write("ok\\n")
"""
STARTS = 40
"""So often a run starts a program that does nothing else, before it starts its own: most of the race is in starting."""

FORK = "if os.fork(): os._exit(0)\ntell(sys.argv[1])\n"
SPAWN = """
import multiprocessing, subprocess
from late import tell as tell_late
if __name__ == "__main__":
    orphan = "import sys; sys.path.insert(0, sys.argv[2]); from late import tell; tell(sys.argv[1])"
    subprocess.Popen([sys.executable, "-c", orphan, sys.argv[1], os.path.dirname(os.path.abspath(__file__))])
    time.sleep(random.random())
    child = multiprocessing.get_context("spawn").Process(target=tell_late, args=(sys.argv[1],))
    child.start()
    child.join()
"""
CLOSER = "os.closerange(3, 1024)\ntell(sys.argv[1])\n"
CELL = """
import os, sys, time
sys.path.insert(0, os.path.dirname(os.environ["LATE"]))
from late import tell
tell(os.environ["OUT"])
import importlib
for name in ("extra1", "extra2"):
    time.sleep(0.3)
    importlib.import_module("ipykernel." + name)
open(os.environ["OUT"], "a").write("ok\\n")
"""
NATIVE = """#!/bin/sh
sleep 1
(sleep 1; check "$1") &
check "$1"
"""
CHECK = """#!/bin/sh
version=$(cat "$VIRTUAL_ENV"/lib/python*/site-packages/alpha/data.txt) &&
    "$VIRTUAL_ENV/bin/python" -c "import alpha, alpha.part3; assert alpha.part3.VERSION == '$version'" &&
    echo ok >>"$1"
"""
SHELL = 'sleep 1; python late.py "$1"; storectl run late.py "$1"; sleep 1; storectl run check "$1"'

KERNELAPP = """
import os
class IPKernelApp:
    shell = type("Shell", (), {
        "user_ns": {}, "system": None, "getoutput": None, "find_line_magic": staticmethod(lambda name: None),
    })()
    @classmethod
    def launch_instance(cls):
        app = cls()
        app.init_code()
    def init_code(self):
        exec(os.environ["CELL"], {})
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of program: its command, and how many outcomes it has. ``out`` in the command is the file of outcomes.

    With ``linked`` it runs in the project's `.venv`, else by the launcher.
    """

    command: Sequence[str]
    outcomes: int
    linked: bool = False

    @property
    def quick(self) -> Sequence[str]:
        """The command of the quick program."""
        start = ".venv/bin/python" if self.linked else "storectl run"
        return ("sh", "-c", f'for i in {" ".join("x" * STARTS)}; do {start} quick.py "$1" || exit; done', "sh", "out")


KINDS: Mapping[str, Kind] = {
    "late": Kind(command=("storectl", "run", "late.py", "out"), outcomes=1),
    "fork": Kind(command=("storectl", "run", "fork.py", "out"), outcomes=1),
    "spawn": Kind(command=("storectl", "run", "spawn.py", "out"), outcomes=2),
    "closer": Kind(command=("storectl", "run", "closer.py", "out"), outcomes=1),
    "kernel": Kind(command=("storectl", "kernel", "start"), outcomes=2),
    "native": Kind(command=("storectl", "run", "native", "out"), outcomes=2),
    "shell": Kind(command=("storectl", "run", "bash", "-c", SHELL, "bash", "out"), outcomes=3),
    "front": Kind(command=(".venv/bin/python", "late.py", "out"), outcomes=1, linked=True),
}

FILES: Mapping[str, str] = {
    "quick.py": QUICK,
    "late.py": LATE + 'if __name__ == "__main__": tell(sys.argv[1])\n',
    "fork.py": LATE + FORK,
    "spawn.py": LATE + SPAWN,
    "closer.py": LATE + CLOSER,
}


def wheels(version: str, whose: str) -> list[WheelBytes]:
    """What a project locks; no two projects share an environment."""
    parts = {f"alpha/part{number}.py": f"VERSION = {version!r}\n" for number in range(PARTS)}
    alpha = {"alpha/__init__.py": f"VERSION = {version!r}\n", "alpha/data.txt": version, **parts}
    scripts = {"tool-1.0.data/scripts/native": NATIVE, "tool-1.0.data/scripts/check": CHECK}
    return [
        make_wheel(f"alpha-{whose}", version, files=alpha),
        make_wheel("tool", "1.0", files=scripts, executable=frozenset(scripts)),
    ]


def kernel_wheels() -> list[WheelBytes]:
    """A stand-in for ipykernel that runs one cell."""
    files = {"ipykernel/__init__.py": "", "ipykernel/extra1.py": "", "ipykernel/extra2.py": ""}
    return [make_wheel("ipykernel", "7.0", files={**files, "ipykernel/kernelapp.py": KERNELAPP})]
