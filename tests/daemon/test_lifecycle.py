import asyncio
import ctypes
import json
import os
import signal
import socket
import stat
import subprocess
import threading
from http.server import BaseHTTPRequestHandler

import pytest

from storectl_daemon.process.lifecycle import IdleWatch, notify
from storectl_daemon.process.memory import give_memory_back, keep_memory_together
from storectl_daemon.process.settings import Settings, SettingsError
from support.daemon import DEADLINE, Daemon, UnixConnection, until
from support.index import serve_index
from support.lock_files import pylock_text
from support.wheels import make_wheel


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_daemon_cleanly(daemon: Daemon, number: int) -> None:
    process = daemon.start()
    process.send_signal(number)
    assert process.wait(DEADLINE) == 0
    assert not daemon.socket.exists()
    assert os.listdir(daemon.store / "tmp") == []
    assert "Traceback" not in daemon.log


def test_shutdown_answers_first_and_then_ends(daemon: Daemon) -> None:
    process = daemon.start()
    assert daemon.request("POST", "/v1/shutdown")[0] == 202
    assert process.wait(DEADLINE) == 0


def test_open_event_streams_do_not_hold_up_the_end(daemon: Daemon) -> None:
    process = daemon.start()
    connection = UnixConnection(daemon.socket)
    connection.request("GET", "/v1/events")
    stream = connection.getresponse()
    assert stream.readline() == b": storectl\n"
    process.terminate()
    assert process.wait(DEADLINE) == 0
    assert stream.read() == b"\n"
    connection.close()


def test_a_second_daemon_for_the_store_says_so_in_one_line_and_leaves_the_first_alone(daemon: Daemon) -> None:
    first = daemon.start()
    done = subprocess.run(daemon.command(), env=daemon.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("storectl: E_STORE_BUSY: ")
    assert str(first.pid) in done.stderr
    assert daemon.get("/v1/health")["pid"] == first.pid


def test_the_service_manager_is_told_when_it_is_ready_and_when_it_stops(daemon: Daemon) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(daemon.root / "notify"))
        manager.settimeout(DEADLINE)
        process = daemon.spawn(env={"NOTIFY_SOCKET": str(daemon.root / "notify")})
        assert manager.recv(100) == b"READY=1"
        assert daemon.get("/v1/health")["status"] == "ok"
        process.terminate()
        assert manager.recv(100) == b"STOPPING=1"


def test_a_service_manager_that_is_gone_is_no_trouble(daemon: Daemon) -> None:
    notify(str(daemon.root / "nobody"), "READY=1")
    notify(None, "READY=1")


def test_an_idle_daemon_leaves_when_told_to(daemon: Daemon) -> None:
    process = daemon.spawn(env={"STORECTL_IDLE_EXIT": "0.2"})
    assert process.wait(DEADLINE) == 0
    assert not daemon.socket.exists()


def test_a_connection_keeps_the_daemon_from_leaving() -> None:
    async def scenario() -> None:
        left = asyncio.Event()
        busy = True
        looks = 0

        def is_busy() -> bool:
            nonlocal busy, looks
            looks += 1
            assert not left.is_set()
            busy = looks < 8
            return busy

        await IdleWatch(seconds=0.02, busy=is_busy, leave=left.set).run()
        assert left.is_set()
        assert looks >= 8

    asyncio.run(scenario())


def test_without_a_limit_it_never_leaves() -> None:
    watch = IdleWatch(seconds=None, busy=lambda: False, leave=lambda: pytest.fail("left"))
    asyncio.run(watch.run())


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"STORECTL_IDLE_EXIT": ""}, None),
        ({"STORECTL_IDLE_EXIT": "0"}, None),
        ({"STORECTL_IDLE_EXIT": "1.5"}, 1.5),
        ({"LISTEN_FDS": "1"}, 3600.0),
        ({"LISTEN_FDS": "1", "STORECTL_IDLE_EXIT": "0"}, None),
    ],
)
def test_idle_exit_is_off_unless_the_daemon_can_be_started_again(
    environ: dict[str, str], seconds: float | None
) -> None:
    assert Settings.from_environ({"HOME": "/home/x", **environ}).idle_exit == seconds


@pytest.mark.parametrize("text", ["soon", "-1", "nan", "inf"])
def test_an_idle_exit_that_is_no_number_is_named(text: str) -> None:
    with pytest.raises(SettingsError, match="STORECTL_IDLE_EXIT") as caught:
        Settings.from_environ({"HOME": "/home/x", "STORECTL_IDLE_EXIT": text})
    assert caught.value.hint


def test_a_bad_setting_is_one_line_and_no_traceback(daemon: Daemon) -> None:
    process = daemon.spawn(env={"STORECTL_IDLE_EXIT": "soon"})
    assert process.wait(DEADLINE) == 1
    assert daemon.log.startswith("storectl: E_SETTINGS: ")
    assert daemon.log.count("\n") == 1


def test_the_log_file_is_made_with_its_folder_and_is_private(daemon: Daemon) -> None:
    log = daemon.root / "state/daemon.log"
    daemon.start("--log-file", str(log)).terminate()
    assert daemon.processes[0].wait(DEADLINE) == 0
    assert "serving" in log.read_text()
    assert daemon.log == ""
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_a_store_of_another_version_is_refused_in_one_line(daemon: Daemon) -> None:
    daemon.store.mkdir(parents=True)
    (daemon.store / "VERSION").write_text("storectl store 999\n")
    process = daemon.spawn()
    assert process.wait(DEADLINE) == 1
    assert daemon.log.startswith("storectl: E_STORE_FORMAT: ")
    assert daemon.log.count("\n") == 1


def test_the_end_cancels_a_warm_that_waits_for_the_network(daemon: Daemon) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def hang(handler: BaseHTTPRequestHandler) -> bool:
        asked.set()
        go_on.wait(DEADLINE)
        return False

    wheel = make_wheel("alpha")
    with serve_index(wheel) as index:
        index.respond = hang
        project = daemon.root / "project"
        project.mkdir()
        (project / "pylock.toml").write_text(pylock_text(index, [wheel]))
        process = daemon.start()
        connection = UnixConnection(daemon.socket)
        connection.request(
            "POST", "/v1/warm", json.dumps({"start": str(project)}), {"Content-Type": "application/json"}
        )
        stream = connection.getresponse()
        assert asked.wait(DEADLINE)
        process.terminate()
        try:
            last = json.loads(stream.read().splitlines()[-1])
            assert process.wait(DEADLINE) == 0
        finally:
            go_on.set()
        connection.close()
    assert (last["event"], last["problem"]["code"]) == ("failed", "E_STOPPING")
    assert os.listdir(daemon.store / "tmp") == []
    assert os.listdir(daemon.store / "meta") == []


def test_what_was_known_is_known_after_a_restart(daemon: Daemon) -> None:
    wheel = make_wheel("alpha")
    with serve_index(wheel) as index:
        project = daemon.root / "project"
        project.mkdir()
        (project / "pylock.toml").write_text(pylock_text(index, [wheel]))
        daemon.start()
        environment = daemon.ready(project)
        daemon.processes[0].kill()
        daemon.processes[0].wait(DEADLINE)
        assert daemon.socket.exists()
        second = daemon.start()
        assert daemon.get("/v1/health")["pid"] == second.pid
        until(lambda: daemon.state(project)["state"] == "ready")
        assert daemon.state(project)["environment"] == environment
        assert index.file_requests == 1
        assert [state["path"] for state in daemon.get("/v1/projects")] == [str(project)]


@pytest.mark.parametrize("libc", ["glibc", "another"])
def test_threads_share_places_to_allocate_from_where_the_allocator_can(
    monkeypatch: pytest.MonkeyPatch, libc: str
) -> None:
    class Library:
        pass

    asked: list[tuple[int, int]] = []
    library = Library()
    if libc == "glibc":
        library.mallopt = lambda *options: asked.append(options)  # type: ignore[attr-defined]
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: library)
    keep_memory_together()
    assert asked == ([(-8, 2)] if libc == "glibc" else [])


@pytest.mark.parametrize("libc", ["glibc", "another"])
def test_memory_is_given_back_where_the_allocator_can(monkeypatch: pytest.MonkeyPatch, libc: str) -> None:
    class Library:
        pass

    trimmed: list[int] = []
    library = Library()
    if libc == "glibc":
        library.malloc_trim = trimmed.append  # type: ignore[attr-defined]
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: library)
    give_memory_back()
    assert trimmed == ([0] if libc == "glibc" else [])


def test_a_full_trash_is_no_reason_to_answer_later_and_is_emptied(daemon: Daemon) -> None:
    daemon.start().terminate()
    assert daemon.processes[0].wait(DEADLINE) == 0
    for number in range(1000):
        (daemon.store / "trash" / str(number) / "deep").mkdir(parents=True)
    (daemon.store / "tmp" / "another-boot.1.00" / "stage").mkdir(parents=True)
    process = daemon.start()
    until(lambda: "from the trash" in daemon.log)
    serving, emptied = daemon.log.rindex("serving"), daemon.log.index("deleted 1001 things from the trash")
    assert serving < emptied
    assert os.listdir(daemon.store / "trash") == []
    process.terminate()
    assert process.wait(DEADLINE) == 0


def test_a_log_file_that_cannot_be_opened_is_no_reason_not_to_serve(daemon: Daemon) -> None:
    (daemon.root / "log").mkdir()
    daemon.start("--log-file", str(daemon.root / "log"))
    assert "serving" in daemon.log
