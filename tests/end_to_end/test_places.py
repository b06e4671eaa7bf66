"""Which daemon belongs to which store: whatever is taken away, the next run works without a command by hand."""

import os
import select
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from storectl_shim.store_daemon import read_store_daemon
from support.index import LoopbackIndex
from support.machine import STORECTL, Machine
from support.project import write_project
from support.wheels import make_wheel

SHOW = "import alpha; print(alpha.__version__)"


def run_of_a_new_lock_file(
    machine: Machine, index: LoopbackIndex, version: str, env: dict[str, str] | None = None
) -> None:
    """The program runs with what the new lock file has, and no error is told on the way."""
    folder = write_project(machine.home / "project", index, [make_wheel("alpha", version)])
    done = machine.run("run", "-c", SHOW, cwd=folder, env=env)
    assert (done.returncode, done.stdout) == (0, f"{version}\n"), done.stderr
    assert "storectl: E_" not in done.stderr


def remove_tree(root: Path) -> None:
    for folder, _, _ in os.walk(root):
        os.chmod(folder, 0o700)
    shutil.rmtree(root)


def empty_store(machine: Machine) -> None:
    for path in machine.store.iterdir():
        remove_tree(path) if path.is_dir() else path.unlink()


def remove_runtime_folder(machine: Machine) -> None:
    remove_tree(Path(machine.environ["XDG_RUNTIME_DIR"]))


def make_runtime_folder_anew(machine: Machine) -> None:
    remove_runtime_folder(machine)
    Path(machine.environ["XDG_RUNTIME_DIR"]).mkdir(mode=0o700)


def put_a_file_in_the_place_of_the_runtime_folder(machine: Machine) -> None:
    remove_runtime_folder(machine)
    Path(machine.environ["XDG_RUNTIME_DIR"]).touch()


@pytest.mark.parametrize(
    "take_away",
    [remove_runtime_folder, make_runtime_folder_anew, put_a_file_in_the_place_of_the_runtime_folder],
)
def test_a_daemon_whose_socket_is_gone_listens_anew_and_is_found(
    machine: Machine, index: LoopbackIndex, take_away: Callable[[Machine], None]
) -> None:
    run_of_a_new_lock_file(machine, index, "1.0")
    pid = machine.daemon_pid()
    take_away(machine)
    run_of_a_new_lock_file(machine, index, "2.0")
    assert machine.daemon_processes() == [pid]
    assert machine.daemon_pid() == pid


@pytest.mark.parametrize(
    "take_away",
    [
        lambda machine: remove_tree(machine.store),
        empty_store,
        lambda machine: remove_tree(machine.store / "tmp"),
        lambda machine: (machine.store / "lock").unlink(),
    ],
    ids=["all of it", "its contents", "tmp", "the lock"],
)
def test_a_store_that_is_deleted_under_its_daemon_is_made_anew(
    machine: Machine, index: LoopbackIndex, take_away: Callable[[Machine], None]
) -> None:
    run_of_a_new_lock_file(machine, index, "1.0")
    pid = machine.daemon_pid()
    take_away(machine)
    run_of_a_new_lock_file(machine, index, "2.0")
    wait_for_end(pid)  # the run may have been served by a daemon that was about to leave
    machine.ok("daemon", "start")
    assert machine.daemon_pid() != pid
    assert machine.json("store", "list", "--json")
    assert machine.run("store", "verify").returncode == 0


@pytest.mark.parametrize("part", ["environments", "store", "meta", "projects", "interpreters"])
def test_a_part_of_the_store_that_is_deleted_under_its_daemon_is_made_anew(
    guest: Machine, index: LoopbackIndex, part: str
) -> None:
    run_of_a_new_lock_file(guest, index, "1.0")
    remove_tree(guest.store / part)
    run_of_a_new_lock_file(guest, index, "2.0")
    guest.run("store", "verify", "--repair")  # what only earlier lock files needed
    verified = guest.run("store", "verify")
    assert verified.returncode == 0, verified.stdout


def test_a_store_that_is_deleted_while_nobody_asks_is_left(machine: Machine) -> None:
    pid = machine.start_daemon()
    remove_tree(machine.store)
    wait_for_end(pid)
    assert not machine.store.exists()


def wait_for_end(pid: int) -> None:
    """Wait until the daemon has left by itself."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([descriptor], [], [], 60)[0], "the daemon stays"
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("runtime", ["", "relative", "another"])
def test_the_same_store_has_one_daemon_wherever_a_command_would_look_for_it(
    machine: Machine, index: LoopbackIndex, runtime: str
) -> None:
    run_of_a_new_lock_file(machine, index, "1.0")
    pid = machine.daemon_pid()
    elsewhere = {"XDG_RUNTIME_DIR": str(machine.root / runtime) if runtime == "another" else runtime}
    run_of_a_new_lock_file(machine, index, "2.0", elsewhere)
    assert machine.json("daemon", "status", "--json", env=elsewhere)["pid"] == pid
    assert machine.ok("daemon", "stop", env=elsewhere) == "stopped\n"
    assert machine.daemon_processes() == []


@pytest.mark.parametrize("variable", ["HOME", "XDG_DATA_HOME", "STORECTL_STORE"])
def test_another_store_under_the_same_runtime_folder_has_a_daemon_of_its_own(
    machine: Machine, index: LoopbackIndex, variable: str
) -> None:
    run_of_a_new_lock_file(machine, index, "1.0")
    other = {variable: str(machine.home / "other")}
    (machine.home / "other").mkdir()
    run_of_a_new_lock_file(machine, index, "2.0", other)
    first, second = (machine.json("daemon", "status", "--json", env=env) for env in ({}, other))
    assert first["pid"] != second["pid"]
    assert first["store"] == str(machine.store)
    assert second["store"].startswith(other[variable])
    assert os.path.dirname(first["socket"]) == os.path.dirname(second["socket"])


def test_a_program_of_any_store_is_told_where_to_ask_for_its_map(machine: Machine, index: LoopbackIndex) -> None:
    store = {"STORECTL_STORE": str(machine.root / "store")}
    folder = write_project(machine.home / "project", index, [make_wheel("alpha", "1.0")])
    machine.ok("warm", folder, env=store)
    known = read_store_daemon(store["STORECTL_STORE"])
    assert known is not None
    assert f"STORECTL_SOCKET={known.socket}\n" in machine.ok("run", "env", cwd=folder, env=store)


def test_a_daemon_that_cannot_be_reached_is_named_with_what_to_do(machine: Machine, index: LoopbackIndex) -> None:
    run_of_a_new_lock_file(machine, index, "1.0")
    pid = machine.daemon_pid()
    os.kill(pid, signal.SIGSTOP)
    remove_runtime_folder(machine)
    try:
        folder = write_project(machine.home / "project", index, [make_wheel("alpha", "2.0")])
        done = machine.run("run", "-c", SHOW, cwd=folder)
        assert done.returncode == 125
        assert f"hint: it may be stopped or stuck: end it (kill {pid})" in done.stderr
    finally:
        os.kill(pid, signal.SIGKILL)
    run_of_a_new_lock_file(machine, index, "3.0")


def test_nothing_is_left_in_a_folder_that_is_no_store(machine: Machine, index: LoopbackIndex) -> None:
    folder = write_project(machine.home / "project", index, [make_wheel("alpha", "1.0")])
    (machine.home / "mine").mkdir()
    (machine.home / "mine" / "letter").touch()
    done = machine.run("warm", folder, env={"STORECTL_STORE": str(machine.home / "mine")})
    assert "E_STORE_FORMAT" in done.stderr
    assert os.listdir(machine.home / "mine") == ["letter"]


IN_A_CONTAINER = """
mount -t tmpfs none "$XDG_RUNTIME_DIR"
exec "$STORECTL" run -c "$SHOW"
"""

ISOLATED = ["unshare", "--mount", "--pid", "--fork", "--mount-proc"]


@pytest.mark.skipif(
    subprocess.run([*ISOLATED, "true"], check=False, capture_output=True).returncode != 0,
    reason="needs mount and process namespaces",
)
def test_a_container_with_the_same_store_is_told_that_another_has_it(machine: Machine, index: LoopbackIndex) -> None:
    run_of_a_new_lock_file(machine, index, "1.0")
    pid = machine.daemon_pid()
    folder = write_project(machine.home / "unwatched", index, [make_wheel("alpha", "2.0")])
    done = subprocess.run(
        [*ISOLATED, "sh", "-c", IN_A_CONTAINER],
        cwd=folder,
        env=machine.environ | {"STORECTL": str(STORECTL), "SHOW": SHOW},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 125
    assert f"E_STORE_BUSY: the store {machine.store} is being written by process {pid}" in done.stderr
    assert "another container" in done.stderr
    assert machine.daemon_processes() == [pid]
