"""Hostile and broken wheels, through the real command: refused with a code, and the store is as before.

``tests/store/test_wheel_hostile.py`` has one of each kind.
"""

import hashlib
import os
from pathlib import Path

from support.index import LoopbackIndex
from support.machine import Machine
from support.project import write_project
from support.stores import unfinished
from support.wheels import WheelBytes, make_wheel

GUESTS = True  # the tests do not disturb one another: one daemon serves them all

GOOD = make_wheel("good", "1.0")


def test_a_hostile_wheel_is_refused_and_the_store_is_unchanged(machine: Machine, index: LoopbackIndex) -> None:
    wheel = make_wheel("evil", files={"evil.py": "", "../outside.py": "x = 1\n"})
    assert_refused(machine, index, wheel, "E_ZIP_NAME")


def test_bytes_that_do_not_match_the_lock_file_are_refused(machine: Machine, index: LoopbackIndex) -> None:
    wheel = make_wheel("evil")
    index.bodies[wheel.filename] = bytes(len(wheel.data))
    assert_refused(machine, index, wheel, "E_HASH")


def assert_refused(machine: Machine, index: LoopbackIndex, wheel: WheelBytes, code: str) -> None:
    machine.ok("warm", write_project(machine.home / "good", index, [GOOD]))
    before = snapshot(machine.store)
    refused = machine.run("warm", write_project(machine.home / "evil", index, [wheel]))
    assert refused.returncode == 1
    lines = refused.stderr.strip().splitlines()
    assert code in lines[0], refused.stderr
    assert wheel.filename in lines[0]
    assert len(lines) <= 2
    assert lines[0].isprintable()
    assert snapshot(machine.store) == before
    assert machine.run("store", "verify").returncode == 0
    assert unfinished(machine.store) == []


def snapshot(store: Path) -> dict[str, str]:
    """Every file of the entries and manifests with its digest."""
    found = {}
    for part in ("store", "meta"):
        for folder, _, names in os.walk(store / part):
            for name in names:
                path = Path(folder, name)
                found[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found
