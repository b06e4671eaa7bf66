"""A program's first run says what it imports; the daemon packs it, and the next run opens one file."""

import json
from pathlib import Path

from support.daemon import until
from support.index import LoopbackIndex
from support.machine import Machine
from support.project import write_project
from support.wheels import make_wheel

MODULES = [f"m{number}" for number in range(20)]
PROGRAM = """
import json, sys
seen = []
sys.addaudithook(lambda event, args: event == "open" and seen.append(str(args[0])))
import many
from many import *
bytecode = [path for path in seen if "/many/" in path and path.endswith(".pyc")]
print(json.dumps([len(many.__all__), len(bytecode), many.m1.__file__, many.m1.__cached__, sys.prefix]))
"""


def test_the_second_run_of_a_program_opens_no_bytecode_of_its_own(machine: Machine, index: LoopbackIndex) -> None:
    files = {f"many/{name}.py": "X = 1\n" for name in MODULES} | {"many/__init__.py": f"__all__ = {MODULES}\n"}
    folder = write_project(machine.home / "project", index, [make_wheel("many", "1.0", files=files)])
    machine.ok("warm", cwd=folder)
    count, opened, *names = json.loads(machine.ok("run", "-c", PROGRAM, cwd=folder))
    assert (count, opened) == (20, 21)
    until((machine.store / "packs" / Path(names[-1]).name).exists)
    assert json.loads(machine.ok("run", "-c", PROGRAM, cwd=folder)) == [20, 0, *names]
