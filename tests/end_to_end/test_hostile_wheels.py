"""Hostile and broken wheels, through the real command: refused with a code, and the store is as before."""

import hashlib
import os
from pathlib import Path

import pytest

from support.index import LoopbackIndex
from support.machine import Machine
from support.project import write_project
from support.wheels import WheelBytes, WheelRecipe, make_wheel, zip_bytes

GUESTS = True  # the tests do not disturb one another: one daemon serves them all

GOOD = make_wheel("good", "1.0")


def replaced(data: bytes) -> WheelBytes:
    return WheelBytes(name="evil", version="1.0", filename="evil-1.0-py3-none-any.whl", data=data)


def dot_dot() -> WheelBytes:
    return make_wheel("evil", files={"evil.py": "", "../outside.py": "x = 1\n"})


def symlink_member() -> WheelBytes:
    recipe = WheelRecipe(name="evil", files={"evil.py": "", "link": "/etc/passwd"})
    data = make_wheel("evil", files={"evil.py": "", "link": "/etc/passwd"}).data
    assert recipe.filename == "evil-1.0-py3-none-any.whl"
    offset = data.index(b"link", data.index(b"PK\x01\x02"))
    while data[offset - 46 : offset - 42] != b"PK\x01\x02":
        offset = data.index(b"link", offset + 1)
    attributes = (0o120777 << 16).to_bytes(4, "little")
    return replaced(data[: offset - 8] + attributes + data[offset - 4 :])


def lying_record() -> WheelBytes:
    members = WheelRecipe(name="evil", files={"evil.py": "x = 1\n"}).members()
    record = "\n".join(f"{name},sha256={'A' * 43},{len(data)}" for name, data in members.items())
    members["evil-1.0.dist-info/RECORD"] = f"{record}\nevil-1.0.dist-info/RECORD,,\n".encode()
    return replaced(zip_bytes(members))


def truncated() -> WheelBytes:
    data = make_wheel("evil").data
    return replaced(data[: len(data) // 2])


@pytest.mark.parametrize(
    ("wheel", "code"),
    [
        (dot_dot(), "E_ZIP_NAME"),
        (symlink_member(), "E_ZIP_FEATURE"),
        (lying_record(), "E_RECORD"),
        (truncated(), "E_ZIP_STRUCT"),
    ],
    ids=["dot-dot", "symlink", "lying-record", "truncated"],
)
def test_a_hostile_wheel_is_refused_and_the_store_is_unchanged(
    machine: Machine, index: LoopbackIndex, wheel: WheelBytes, code: str
) -> None:
    assert_refused(machine, index, wheel, code)


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
    assert not list(machine.store.glob("tmp/*/*"))


def snapshot(store: Path) -> dict[str, str]:
    """Every file of the entries and manifests with its digest."""
    found = {}
    for part in ("store", "meta"):
        for folder, _, names in os.walk(store / part):
            for name in names:
                path = Path(folder, name)
                found[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found
