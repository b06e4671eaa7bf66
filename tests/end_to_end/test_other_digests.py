"""Lock files and indexes without sha256, through the real command."""

import hashlib
from pathlib import Path

import pytest

from support.index import LoopbackIndex
from support.machine import Machine
from support.project import write_project
from support.wheels import WheelBytes, fresh_wheel, make_wheel

GUESTS = True  # the tests do not disturb one another: one daemon serves them all

KINDS = ["uv.lock", "pylock.toml", "poetry.lock", "pdm.lock", "Pipfile.lock", "requirements.txt"]


@pytest.fixture
def alpha() -> WheelBytes:
    """A wheel that the store has from no other test."""
    return fresh_wheel("alpha", "1.2", files={"alpha.py": "value = 42\n"})


def locked(
    folder: Path, index: LoopbackIndex, kind: str, algorithm: str, alpha: WheelBytes, *, other: WheelBytes | None = None
) -> Path:
    """A project whose lock file has this wheel's digest by this algorithm (or the other's), and none by sha256."""
    write_project(folder, index, [alpha], kind)
    digits = hashlib.new(algorithm, (other or alpha).data).hexdigest()
    text = (folder / kind).read_text()
    text = text.replace(alpha.digest, f"{algorithm}:{digits}").replace(
        f'sha256 = "{alpha.hexdigest}"', f'{algorithm} = "{digits}"'
    )
    assert alpha.hexdigest not in text
    (folder / kind).write_text(text)
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_a_lock_file_with_sha512_alone_runs_and_its_wheel_is_fetched_once(
    machine: Machine, index: LoopbackIndex, kind: str, alpha: WheelBytes
) -> None:
    index.hashes = ("sha512",)
    folder = locked(machine.home / "one", index, kind, "sha512", alpha)
    assert machine.ok("run", "-c", "import alpha; print(alpha.value)", cwd=folder) == "42\n"
    assert index.file_requests == 1
    machine.ok("daemon", "stop")
    other = locked(machine.home / "two", index, kind, "sha512", alpha)
    assert machine.ok("run", "--offline", "-c", "import alpha; print(alpha.value)", cwd=other) == "42\n"
    assert index.file_requests == 1
    assert [entry["digest"] for entry in machine.json("store", "list", "--json")].count(alpha.digest) == 1


@pytest.mark.parametrize("kind", ["uv.lock", "requirements.txt"])
def test_a_wheel_that_has_not_the_locked_sha512_is_refused(
    machine: Machine, index: LoopbackIndex, kind: str, alpha: WheelBytes
) -> None:
    index.hashes = ()
    folder = locked(machine.home / "project", index, kind, "sha512", alpha, other=make_wheel("alpha", "1.3"))
    refused = machine.run("warm", folder)
    assert refused.returncode == 1
    assert "E_HASH" in refused.stderr
    assert "sha512:" in refused.stderr
    assert alpha.digest not in [entry["digest"] for entry in machine.json("store", "list", "--json")]


@pytest.mark.parametrize("kind", ["poetry.lock", "Pipfile.lock", "requirements.txt"])
def test_an_index_without_any_digest_serves_what_is_locked(
    machine: Machine, index: LoopbackIndex, kind: str, alpha: WheelBytes
) -> None:
    index.hashes = ("md5",)
    folder = write_project(machine.home / "project", index, [alpha], kind)
    assert machine.ok("run", "-c", "import alpha; print(alpha.value)", cwd=folder) == "42\n"
    assert index.file_requests == 1


def test_a_lock_file_with_weak_digests_alone_is_refused_with_what_to_do(
    machine: Machine, index: LoopbackIndex, alpha: WheelBytes
) -> None:
    refused = machine.run("warm", locked(machine.home / "project", index, "uv.lock", "md5", alpha))
    assert refused.returncode == 1
    assert "E_LOCK" in refused.stderr
    assert "lock again with a tool or an index that gives sha256" in refused.stderr
