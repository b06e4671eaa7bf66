import asyncio
import os
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Self

import pytest

from storectl_daemon.errors import UnknownEnvironmentError
from storectl_daemon.process.peer import peer_uid
from storectl_daemon.serving.endpoint import Endpoint
from storectl_daemon.serving.http_server import HEAD_BYTES, HttpServer
from storectl_daemon.serving.peers import Gate
from storectl_daemon.serving.server import Server
from storectl_daemon.serving.sockets import SocketBusyError, SocketFolderError, bind, open_listening
from storectl_shim.store_daemon import daemon_file, this_daemon
from support.daemon import DEADLINE, Daemon, until

NOBODY = 65534

PASS_ON = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ |= {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}
os.execv(sys.argv[2], sys.argv[2:])
"""


@pytest.fixture
def path(daemon: Daemon) -> Path:
    """Where a socket may be: a short path in a folder that is not there yet."""
    return daemon.root / "s" / "d.sock"


def mode_of(path: Path) -> int:
    return stat.S_IMODE(os.lstat(path).st_mode)


@pytest.mark.parametrize("umask", [0o000, 0o777])
def test_folder_and_socket_are_for_this_user_alone_whatever_the_umask(path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        listening = bind(path)
    finally:
        os.umask(before)
    with listening:
        assert mode_of(path.parent) == 0o700
        assert mode_of(path) == 0o600


def test_a_folder_that_others_could_enter_is_closed(path: Path) -> None:
    path.parent.mkdir(mode=0o755)
    with bind(path):
        assert mode_of(path.parent) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_refused(path: Path) -> None:
    path.parent.mkdir()
    os.chown(path.parent, NOBODY, NOBODY)
    with pytest.raises(SocketFolderError, match="not a folder of this user"):
        bind(path)


def test_a_symlink_to_a_folder_is_refused(path: Path, tmp_path: Path) -> None:
    path.parent.symlink_to(tmp_path)
    with pytest.raises(SocketFolderError):
        bind(path)


def test_a_socket_without_a_listener_is_replaced(path: Path) -> None:
    bind(path).close()
    with bind(path):
        assert stat.S_ISSOCK(os.lstat(path).st_mode)


def test_a_live_socket_is_left_alone(path: Path) -> None:
    with bind(path):
        inode = os.lstat(path).st_ino
        with pytest.raises(SocketBusyError) as caught:
            bind(path)
        assert caught.value.facts["path"] == str(path)
        assert os.lstat(path).st_ino == inode


def test_an_endpoint_that_another_daemon_has_is_busy_and_the_file_that_names_it_stays(
    path: Path, daemon: Daemon
) -> None:
    daemon.store.mkdir(parents=True)
    named = Path(daemon_file(str(daemon.store)))
    named.write_bytes(this_daemon(str(path)).text())
    with bind(path), pytest.raises(SocketBusyError):
        Endpoint(daemon.store, [path], {})
    assert named.exists()


def test_a_file_in_the_socket_s_place_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("mine")
    with pytest.raises(SocketFolderError, match="not a socket"):
        bind(path)
    assert path.read_text() == "mine"


def test_a_path_that_no_socket_can_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SocketFolderError, match="too long"):
        bind(tmp_path / ("x" * 108))


def test_the_socket_is_removed_at_the_end(path: Path) -> None:
    with open_listening(path, {}):
        assert path.exists()
    assert not path.exists()


def test_a_socket_that_another_process_made_meanwhile_stays(path: Path) -> None:
    with open_listening(path, {}):
        path.unlink()
        other = bind(path)
    with other:
        assert path.exists()


def test_a_passed_socket_counts_only_for_the_process_it_is_for(path: Path) -> None:
    environ = {"LISTEN_PID": str(os.getpid() + 1), "LISTEN_FDS": "1"}
    with open_listening(path, environ) as listener:
        assert not listener.passed
        assert listener.path == path


def test_a_daemon_serves_on_the_socket_it_was_passed_and_leaves_it(daemon: Daemon) -> None:
    place = daemon.root / "passed.sock"
    with bind_plain(place) as passed:
        process = subprocess.Popen(
            [sys.executable, "-c", PASS_ON, str(passed.fileno()), *daemon.command()],
            env=daemon.environ,
            pass_fds=[passed.fileno()],
            stderr=subprocess.DEVNULL,
        )
        daemon.processes.append(process)
        daemon.socket = place
        assert daemon.get("/v1/health")["socket"] == str(place)
        process.terminate()
        assert process.wait(DEADLINE) == 0
        assert place.exists()


def bind_plain(place: Path) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(place))
    listening.listen()
    return listening


def test_the_kernel_tells_the_peer() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        assert peer_uid(ours) == os.geteuid()


def test_the_gate_counts_connections_of_each_user() -> None:
    gate = Gate(limit=2)
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        assert gate.enter(ours) == os.geteuid()
        assert gate.enter(ours) == os.geteuid()
        assert gate.enter(ours) is None
        assert gate.connections == 2
        gate.leave(os.geteuid())
        assert gate.enter(ours) == os.geteuid()


async def echo(scope: Any, receive: Any, send: Any) -> None:
    if scope["path"] == "/fault":
        raise ValueError("a fault of the application")
    while (await receive())["more_body"]:
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


class Guarded:
    """A server in a thread of its own, with limits a test can reach."""

    def __init__(self, path: Path, gate: Gate, head_seconds: float) -> None:
        self.path = path
        self._arguments = (gate, head_seconds)
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    async def _serve(self) -> None:
        gate, head_seconds = self._arguments
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = Server(
            gate,
            import_map=no_map,
            http=lambda: HttpServer(echo, gate, head_seconds=head_seconds),
            stop=self._stop,
            seconds=head_seconds,
        )
        listening = bind(self.path)
        serving = asyncio.create_task(server.serve_unsignalled(listening, on_stop=nothing))
        await server.accepting.wait()
        self._ready.set()
        await serving

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(DEADLINE)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(DEADLINE)
        connection.connect(str(self.path))
        return connection

    def answer(self, request: bytes) -> bytes:
        """Everything that comes back until the server hangs up."""
        with self.connect() as connection:
            try:
                connection.sendall(request)
            except (BrokenPipeError, ConnectionResetError):
                return b""
            return read_all(connection)


def no_map(environment_id: str) -> bytes:
    raise UnknownEnvironmentError("there are none here", id=environment_id)


async def nothing() -> None:
    pass


def read_all(connection: socket.socket) -> bytes:
    answer = b""
    try:
        while piece := connection.recv(65536):
            answer += piece
    except ConnectionResetError:
        pass
    return answer


def request(header_bytes: int = 0) -> bytes:
    head = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX: "
    return head + b"a" * (header_bytes - len(head) - 4) + b"\r\n\r\n"


def test_a_request_in_time_and_within_the_limits_is_answered(path: Path) -> None:
    with Guarded(path, Gate(limit=10), 60) as server:
        assert server.answer(request(HEAD_BYTES)).endswith(b"ok")


@pytest.mark.parametrize("excess", [1, 100_000])
def test_a_head_that_is_too_long_is_refused_even_if_it_is_complete(path: Path, excess: int) -> None:
    with Guarded(path, Gate(limit=10), 60) as server:
        answer = server.answer(request(HEAD_BYTES + excess))
        assert b" 200 " not in answer
        assert answer == b"" or (b" 400 " in answer and b"E_REQUEST" in answer)


def test_a_request_that_is_no_http_is_a_problem(path: Path) -> None:
    with Guarded(path, Gate(limit=10), 60) as server:
        answer = server.answer(b"\x16\x03\x01 hello\r\n\r\n")
        assert b"application/problem+json" in answer
        assert b"E_REQUEST" in answer


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost:"])
def test_a_head_that_does_not_come_in_time_ends_the_connection(path: Path, sent: bytes) -> None:
    with Guarded(path, Gate(limit=10), 0.05) as server, server.connect() as connection:
        connection.sendall(sent)
        assert read_all(connection) == b""


def test_a_second_head_on_one_connection_has_a_deadline_too(path: Path) -> None:
    with Guarded(path, Gate(limit=10), 0.05) as server, server.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        until(lambda: connection.recv(65536).endswith(b"ok"))
        connection.sendall(b"GET / HT")
        assert read_all(connection) == b""


def test_requests_that_come_at_once_are_answered_in_order(path: Path) -> None:
    first = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
    with Guarded(path, Gate(limit=10), 60) as server:
        assert server.answer(first * 3 + request()).count(b"\r\n\r\nok") == 4


def test_a_body_that_is_announced_is_asked_for(path: Path) -> None:
    with Guarded(path, Gate(limit=10), 60) as server, server.connect() as connection:
        connection.sendall(
            b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 200000\r\n\r\n"
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        connection.sendall(b"a" * 200_000)
        assert read_all(connection).endswith(b"ok")


def test_a_head_is_answered_without_a_body(path: Path) -> None:
    with Guarded(path, Gate(limit=10), 60) as server:
        answer = server.answer(request().replace(b"GET", b"HEAD"))
        assert b"content-length: 2" in answer.lower()
        assert answer.endswith(b"\r\n\r\n")


def test_a_body_that_is_no_http_ends_the_connection(path: Path) -> None:
    with Guarded(path, Gate(limit=10), 60) as server:
        answer = server.answer(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nnot a size\r\n")
        assert b"E_REQUEST" in answer
        assert server.answer(request()).endswith(b"ok")


def test_a_fault_of_the_application_is_a_problem_and_others_are_served(path: Path) -> None:
    with Guarded(path, Gate(limit=10), 60) as server:
        answer = server.answer(request().replace(b" / ", b" /fault "))
        assert b" 500 " in answer
        assert b"E_INTERNAL" in answer
        assert server.answer(request()).endswith(b"ok")


def test_one_connection_too_many_is_closed_and_a_place_becomes_free_again(path: Path) -> None:
    gate = Gate(limit=1)
    with Guarded(path, gate, 60) as server:
        with server.connect():
            until(lambda: gate.connections == 1)
            assert server.answer(request()) == b""
        until(lambda: gate.connections == 0)
        assert server.answer(request()).endswith(b"ok")


def test_a_peer_that_is_not_allowed_gets_nothing(path: Path) -> None:
    with Guarded(path, Gate(limit=10, allowed=frozenset({NOBODY})), 60) as server:
        assert server.answer(request()) == b""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_gets_nothing_even_if_the_modes_let_them_in(path: Path, daemon: Daemon) -> None:
    with Guarded(path, Gate(limit=10), 60):
        for place, mode in ((daemon.root, 0o711), (path.parent, 0o711), (path, 0o666)):
            os.chmod(place, mode)
        asking = (
            "import os, socket, sys; os.setgid(65534); os.setuid(65534); s = socket.socket(socket.AF_UNIX);"
            "s.connect(sys.argv[1]);\n"
            "try:\n s.sendall(b'GET / HTTP/1.0\\r\\n\\r\\n'); answer = s.recv(100)\n"
            "except (BrokenPipeError, ConnectionResetError): answer = b''\n"
            "print(len(answer))"
        )
        done = subprocess.run(
            [sys.executable, "-I", "-c", asking, str(path)], capture_output=True, text=True, check=False
        )
        assert (done.stdout, done.stderr) == ("0\n", "")
