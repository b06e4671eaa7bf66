"""The daemon as commands see it: started once, ended, asked how it is, installed as a service."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import support
from storectl.daemon.client import DaemonClient
from storectl.daemon.start import ensure_daemon, own_folder, running_daemon, stop_daemon
from storectl.errors import (
    DaemonNotRunningError,
    DaemonOwnerError,
    DaemonStartError,
    DaemonTimeoutError,
    DaemonVersionError,
)
from storectl.options import Options
from storectl_shim.locations import log_path
from support.client_project import ClientHome
from support.fake_daemon import environment_info, serve_daemon, silent_socket

DAEMON = """
import os, sys
sys.path.insert(0, sys.argv[2])
from support.fake_daemon import serve_daemon
from storectl_shim.locations import socket_path
with open(sys.argv[1], "a") as file:
    file.write(f"{os.getpid()} {os.getsid(0)} {os.getcwd()} {os.path.sameopenfile(1, 2)} {len(os.listdir('/dev/fd'))}\\n")
with serve_daemon(socket_path(os.environ)) as daemon:
    daemon.stopping.wait()
"""

STARTER = """
import os, sys
from storectl.daemon.start import ensure_daemon
daemon = ensure_daemon(os.environ, sys.argv[1:])
print(daemon.health().pid, len(os.popen("ps -o pid= --ppid %d" % os.getpid()).read().split()))
"""


def daemon_command(home: ClientHome) -> list[str]:
    tests = os.path.dirname(os.path.dirname(support.__file__ or ""))
    return [sys.executable, "-c", DAEMON, str(home.root / "started"), tests]


def test_it_is_started_in_the_background_where_none_runs(home: ClientHome) -> None:
    environ = home.environ()
    daemon = ensure_daemon(environ, daemon_command(home))
    pid = daemon.health().pid
    try:
        started_pid, session, folder, *_ = (home.root / "started").read_text().split()
        assert int(started_pid) == pid
        assert int(session) != os.getsid(0)
        assert folder == "/"
        again = ensure_daemon(environ, ["/nowhere"])
        assert again.health().pid == pid
    finally:
        assert stop_daemon(environ)
    assert not stop_daemon(environ)


def test_many_commands_at_once_start_one(home: ClientHome) -> None:
    environ = home.environ()
    command = [sys.executable, "-c", STARTER, *daemon_command(home)]
    starters = [subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) for _ in range(6)]
    try:
        answers = [starter.communicate(timeout=60)[0].split() for starter in starters]
        assert len((home.root / "started").read_text().splitlines()) == 1
        assert len({pid for pid, _ in answers}) == 1
    finally:
        stop_daemon(environ)


def test_a_program_never_finds_it_among_its_children(home: ClientHome) -> None:
    environ = home.environ()
    command = [sys.executable, "-c", "import os\ntry: os.wait()\nexcept ChildProcessError: print('none')"]
    code = STARTER.replace("print(", "0 and print(") + f"os.execv({command[0]!r}, {command!r})"
    starter = [sys.executable, "-c", code, *daemon_command(home)]
    try:
        done = subprocess.run(starter, env=environ, capture_output=True, text=True, check=True, timeout=60)
        assert done.stdout == "none\n"
    finally:
        stop_daemon(environ)


def test_one_that_ends_at_once_is_told_with_the_last_line_of_its_log(home: ClientHome) -> None:
    environ = home.environ()
    log = Path(log_path(environ))
    log.parent.mkdir(parents=True)
    log.write_text("from the last time\n")
    with pytest.raises(DaemonStartError, match="the daemon ended at once: ValueError: no disk") as raised:
        ensure_daemon(environ, [sys.executable, "-c", "raise ValueError('no disk')"])
    assert str(log) in str(raised.value.hint)
    with pytest.raises(DaemonStartError, match="it wrote nothing to its log"):
        ensure_daemon(environ, [sys.executable, "-c", ""])


def test_a_socket_left_behind_does_not_keep_a_new_one_from_starting(home: ClientHome) -> None:
    home.socket.parent.mkdir(parents=True, mode=0o700)
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(home.socket))
    with pytest.raises(DaemonNotRunningError, match="no daemon answers"):
        running_daemon(home.environ())
    python, option, program, *arguments = daemon_command(home)
    unlink_first = [python, option, f"import os; os.unlink({str(home.socket)!r})\n{program}", *arguments]
    environ = home.environ()
    try:
        ensure_daemon(environ, unlink_first)
    finally:
        assert stop_daemon(environ)


def test_the_socket_s_folder_is_for_this_user_alone(home: ClientHome) -> None:
    folder = home.root / "run" / "new"
    own_folder(str(folder))
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_socket_of_somebody_else_is_not_talked_to(home: ClientHome, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() == 0:
        socket = home.socket
        with serve_daemon(socket) as daemon:
            home.write_daemon_file(str(socket))
            os.chown(socket, 1001, -1)
            monkeypatch.setattr(os, "geteuid", lambda: 1000)
            with pytest.raises(DaemonOwnerError, match="belongs to user 1001"):
                running_daemon(home.environ())
            assert daemon.requests == []
    else:
        with pytest.raises(DaemonOwnerError):
            own_folder("/")


def test_a_stopped_daemon_is_given_up_after_the_deadline(home: ClientHome) -> None:
    with silent_socket(home.socket), pytest.raises(DaemonTimeoutError, match="does not answer"):
        DaemonClient(str(home.socket), environ={}, answer_s=0.1).health()


class Quiet:
    def progress(self, progress: object) -> None:
        pass

    def warning(self, message: str) -> None:
        pass


def test_a_stream_that_falls_silent_is_asked_for_again_while_the_daemon_is_well(home: ClientHome) -> None:
    with serve_daemon(home.socket) as fake:
        fake.warm_events = [{"event": "ready", "environment": environment_info("/e/abc")}]

        def fall_silent_once(handler: object) -> bool:
            if len(fake.asked("POST", "/v1/warm")) != 1 or fake.requests[-1][1] != "/v1/warm":
                return False
            fake.stopping.wait(10)
            return True

        fake.respond = fall_silent_once
        daemon = DaemonClient(str(home.socket), environ={}, silence_s=0.2)
        assert daemon.warm("/project", Options(), Quiet()).id == "abc"
        assert [path for _, path, _ in fake.requests] == ["/v1/warm", "/v1/health", "/v1/warm"]


def test_a_health_that_lacks_something_is_no_health(home: ClientHome) -> None:
    with serve_daemon(home.socket) as fake:
        fake.health = lambda: {"status": "ok"}  # type: ignore[method-assign]
        with pytest.raises(DaemonVersionError, match="cannot be read"):
            DaemonClient(str(home.socket), environ={}).health()


def test_status_is_3_where_none_runs_and_starts_none(home: ClientHome) -> None:
    done = home.storectl("daemon", "status")
    assert (done.returncode, done.stdout, "E_DAEMON_DOWN" in done.stderr) == (3, "", True)
    machine = home.storectl("daemon", "status", "--json")
    assert (machine.returncode, json.loads(machine.stdout)) == (3, {"status": "not running"})
    assert not home.socket.exists()


def test_status_tells_how_the_daemon_is(home: ClientHome) -> None:
    with serve_daemon(home.socket) as fake:
        machine = home.storectl("daemon", "status", "--json")
        done = home.storectl("daemon", "status")
    health = fake.health()
    health["api"]["features"].sort()
    assert (machine.returncode, json.loads(machine.stdout)) == (0, health)
    assert f"process {os.getpid()}, up 62 s, 50.0 MB" in done.stdout


def test_stop_waits_until_it_is_gone(home: ClientHome) -> None:
    over = subprocess.Popen(["true"])
    over.wait()
    with serve_daemon(home.socket) as daemon:
        daemon.pid = over.pid
        assert home.storectl("daemon", "stop").stdout == "stopped\n"
        assert not home.socket.exists()
    assert home.storectl("daemon", "stop").stdout == "not running\n"


def test_logs_prints_the_end_of_the_log(home: ClientHome) -> None:
    assert home.storectl("daemon", "logs").returncode == 1
    log = Path(log_path(home.environ()))
    log.parent.mkdir(parents=True)
    log.write_text("one\ntwo\nthree\x1b[2J\n")
    assert home.storectl("daemon", "logs", "-n", "2").stdout == "two\nthree\\x1b[2J\n"


@pytest.mark.skipif(sys.platform == "darwin", reason="launchd has one file, elsewhere")
def test_install_writes_the_files_says_what_is_next_and_enables_nothing(home: ClientHome) -> None:
    (home.bin / "storectl-python").write_text("#!/bin/sh\n")
    (home.bin / "storectl-python").chmod(0o755)
    path = f"{home.bin}:/usr/bin:/bin"
    printed = home.storectl("daemon", "install", "--print", PATH=path)
    assert "ExecStart=" in printed.stdout
    assert not (home.home / ".config").exists()
    done = home.storectl("daemon", "install", PATH=path)
    units = home.home / ".config" / "systemd" / "user"
    assert sorted(os.listdir(units)) == ["storectl.service", "storectl.socket"]
    assert "now run: systemctl --user enable --now storectl.socket" in done.stdout
