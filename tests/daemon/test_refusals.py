"""The system refuses: a full or read-only file system, too few open files. The true reason is told, and nothing is lost."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.daemon import Daemon
from support.index import LoopbackIndex, serve_index
from support.mounts import mounted
from support.project import write_project
from support.wheels import make_wheel

BIG = make_wheel("big", files={"big/__init__.py": "X = 1\n", "big/data.bin": os.urandom(3 << 20)})
SMALL = make_wheel("small")

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts file systems, which only root may")


@pytest.fixture
def index() -> Iterator[LoopbackIndex]:
    with serve_index(BIG, SMALL) as index:
        yield index


@pytest.mark.system
@needs_root
def test_a_full_file_system_is_named_and_room_is_all_that_it_takes(
    daemon: Daemon, index: LoopbackIndex, tmp_path: Path
) -> None:
    folder = write_project(tmp_path / "project", index, [BIG])
    daemon.store.mkdir(parents=True)
    with mounted("-t", "tmpfs", "-o", "size=2m", "tmpfs", str(daemon.store)):
        daemon.start()
        problem = daemon.failed(folder)
        assert problem["code"] == "E_DISK"
        assert "(ENOSPC)" in problem["detail"]
        assert "free some space" in problem["hint"]
        subprocess.run(["mount", "-o", "remount,size=64m", str(daemon.store)], check=True)
        assert daemon.ready(folder)["wheels"] == 1
        daemon.stop()
    assert "Traceback" not in daemon.log


@pytest.mark.system
@needs_root
def test_a_file_system_that_became_read_only_is_named(daemon: Daemon, index: LoopbackIndex, tmp_path: Path) -> None:
    folder = write_project(tmp_path / "project", index, [SMALL])
    daemon.start()
    with mounted("-t", "tmpfs", "-o", "size=1m,ro", "tmpfs", str(daemon.store / "environments")):
        problem = daemon.failed(folder)
        assert problem["code"] == "E_DISK"
        assert "(EROFS)" in problem["detail"]
        assert "read-only" in problem["hint"]
    assert daemon.ready(folder)["wheels"] == 1
    assert "Traceback" not in daemon.log


@pytest.mark.system
@needs_root
def test_a_store_on_a_read_only_file_system_is_told_in_one_line(daemon: Daemon) -> None:
    daemon.store.mkdir(parents=True)
    with mounted("-t", "tmpfs", "-o", "size=1m,ro", "tmpfs", str(daemon.store)):
        assert daemon.spawn().wait() == 1
    assert "Traceback" not in daemon.log
    assert "E_DISK" in daemon.log
    assert "(EROFS)" in daemon.log


@pytest.mark.parametrize("limit", [18, 20, 22])
def test_too_few_open_files_are_told_by_their_name(
    daemon: Daemon, index: LoopbackIndex, tmp_path: Path, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_project(tmp_path / "project", index, [BIG, SMALL])
    command = daemon.command()
    monkeypatch.setattr(daemon, "command", lambda *_: ["prlimit", f"--nofile={limit}:{limit}", *command])
    daemon.start()
    status, _, body = daemon.request("POST", "/v1/warm", {"start": str(folder), "environ": daemon.sent})
    told = json.loads(body.splitlines()[-1])
    problem = told if status == 507 else told["problem"]  # it may lack a file for the first module that it loads
    assert problem["code"] == "E_DISK"
    assert "(EMFILE)" in problem["detail"]
    assert "ulimit -n" in problem["hint"]
