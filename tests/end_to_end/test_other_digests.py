"""Lock files and indexes without sha256, through the real command."""

import hashlib
from pathlib import Path

import pytest

from support.index import LoopbackIndex
from support.machine import Machine
from support.project import write_project
from support.wheels import WheelBytes, make_wheel

ALPHA = make_wheel("alpha", "1.2", files={"alpha.py": "value = 42\n"})
KINDS = ["uv.lock", "pylock.toml", "poetry.lock", "pdm.lock", "Pipfile.lock", "requirements.txt"]


def locked(folder: Path, index: LoopbackIndex, kind: str, algorithm: str, wheel: WheelBytes = ALPHA) -> Path:
    """A project whose lock file has this wheel's digest by this algorithm, and none by sha256."""
    write_project(folder, index, [ALPHA], kind)
    digits = hashlib.new(algorithm, wheel.data).hexdigest()
    text = (folder / kind).read_text()
    text = text.replace(ALPHA.digest, f"{algorithm}:{digits}").replace(
        f'sha256 = "{ALPHA.hexdigest}"', f'{algorithm} = "{digits}"'
    )
    assert ALPHA.hexdigest not in text
    (folder / kind).write_text(text)
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_a_lock_file_with_sha512_alone_runs_and_its_wheel_is_fetched_once(
    machine: Machine, index: LoopbackIndex, kind: str
) -> None:
    index.hashes = ("sha512",)
    folder = locked(machine.home / "one", index, kind, "sha512")
    assert machine.ok("run", "-c", "import alpha; print(alpha.value)", cwd=folder) == "42\n"
    assert index.file_requests == 1
    machine.ok("daemon", "stop")
    other = locked(machine.home / "two", index, kind, "sha512")
    assert machine.ok("run", "--offline", "-c", "import alpha; print(alpha.value)", cwd=other) == "42\n"
    assert index.file_requests == 1
    (entry,) = machine.json("store", "list", "--json")
    assert entry["digest"] == ALPHA.digest


@pytest.mark.parametrize("kind", ["uv.lock", "requirements.txt"])
def test_a_wheel_that_has_not_the_locked_sha512_is_refused(machine: Machine, index: LoopbackIndex, kind: str) -> None:
    index.hashes = ()
    folder = locked(machine.home / "project", index, kind, "sha512", make_wheel("alpha", "1.3"))
    refused = machine.run("warm", folder)
    assert refused.returncode == 1
    assert "E_HASH" in refused.stderr
    assert "sha512:" in refused.stderr
    assert machine.json("store", "list", "--json") == []


@pytest.mark.parametrize("kind", ["poetry.lock", "Pipfile.lock", "requirements.txt"])
def test_an_index_without_any_digest_serves_what_is_locked(machine: Machine, index: LoopbackIndex, kind: str) -> None:
    index.hashes = ("md5",)
    folder = write_project(machine.home / "project", index, [ALPHA], kind)
    assert machine.ok("run", "-c", "import alpha; print(alpha.value)", cwd=folder) == "42\n"
    assert index.file_requests == 1


def test_a_lock_file_with_weak_digests_alone_is_refused_with_what_to_do(machine: Machine, index: LoopbackIndex) -> None:
    refused = machine.run("warm", locked(machine.home / "project", index, "uv.lock", "md5"))
    assert refused.returncode == 1
    assert "E_LOCK" in refused.stderr
    assert "lock again with a tool or an index that gives sha256" in refused.stderr
