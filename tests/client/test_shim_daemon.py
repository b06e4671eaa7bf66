"""The reader asks the daemon at most once, waits at most a moment, believes little, and the published file serves."""

import contextlib
import os
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from storectl_shim._storectl_pack import peer_of
from support.views import View, build_view, fresh_map_reader, map_of, pythons, read_map
from support.wheels import make_wheel

PATHS = ["alpha/__init__.py", "alpha/one.py", "single.py"]
PROGRAM = "import alpha.one; print(type(alpha.__loader__).__module__)"


@pytest.fixture
def view(tmp_path: Path) -> View:
    return build_view(tmp_path / "view", [make_wheel("alpha", files=dict.fromkeys(PATHS, ""))], pythons()[0])


@pytest.fixture
def address(tmp_path: Path) -> str:
    return str(tmp_path / "s")


@contextlib.contextmanager
def daemon(address: str, answer: Callable[[bytes], bytes]) -> Iterator[list[bytes]]:
    """Something that listens, and answers each request with these bytes; the requests it had."""
    requests: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        over = threading.Event()
        thread = threading.Thread(target=_serve, args=(listener, over, answer, requests))
        thread.start()
        try:
            yield requests
        finally:
            over.set()
            with socket.socket(socket.AF_UNIX) as last:
                last.connect(address)
            thread.join()


def _serve(
    listener: socket.socket, over: threading.Event, answer: Callable[[bytes], bytes], requests: list[bytes]
) -> None:
    while True:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            if over.is_set():
                return
            requests.append(connection.recv(4096))
            connection.sendall(answer(requests[-1]))


def response(body: bytes, *, status: bytes = b"200 OK", length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return b"HTTP/1.1 %s\r\ncontent-type: application/octet-stream\r\nContent-Length: %d\r\n\r\n%s" % (
        status,
        size,
        body,
    )


def patient_reader(view: View) -> Any:
    """A map reader of our own, which waits long: these tests are about answers, and the machine may be busy.

    It takes no file for one that is in the page cache.
    """
    reader = fresh_map_reader()
    reader.load("_storectl_pack").DEADLINE = 30.0
    reader.is_cold = lambda _: True
    reader.__file__ = str(view.site_packages.parent / "_storectl_map.py")
    return reader


def ask(reader: Any, address: str, view: View) -> bytes:
    answer: bytes = reader.load("_storectl_pack").ask(address, str(view.root), reader.trusted)
    return answer


def let_go(view: View) -> None:
    """Take the published file out of the page cache, where the file system has one."""
    descriptor = os.open(view.import_map, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def test_the_daemon_is_asked_for_the_map_of_the_environment(view: View, address: str) -> None:
    content = view.import_map.read_bytes()
    reader = patient_reader(view)
    with daemon(address, lambda _: response(content)) as requests:
        assert ask(reader, address, view) == content
    (request,) = requests
    lines = request.decode().split("\r\n")
    assert lines[0] == "GET /v1/environments/view/import-map HTTP/1.1"
    assert "Connection: close" in lines
    assert request.endswith(b"\r\n\r\n")


def test_the_map_of_the_daemon_serves_where_no_file_does(
    view: View, address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    content = view.import_map.read_bytes()
    view.import_map.unlink()
    reader = patient_reader(view)
    import_map = read_map(view.root, view.site_packages, address, reader=reader)
    with daemon(address, lambda _: response(content)) as requests:
        assert set(import_map.top_level()) == {"alpha", "single"}
        assert set(import_map.table("alpha")) == {"__init__", "one"}
    assert len(requests) == 1
    assert capsys.readouterr().err == ""


def test_the_daemon_is_asked_at_the_first_package_and_once(view: View, address: str) -> None:
    content = view.import_map.read_bytes()
    reader = patient_reader(view)
    import_map = read_map(view.root, view.site_packages, address, reader=reader)
    with daemon(address, lambda _: response(content)) as requests:
        assert "single" in import_map.top_level()
        assert not requests
        for folder in ("alpha", "alpha", "beta"):
            import_map.table(folder)
    assert len(requests) == 1


def test_a_file_that_is_in_the_page_cache_is_faster_than_to_ask(view: View, address: str) -> None:
    reader = fresh_map_reader()
    reader.__file__ = str(view.site_packages.parent / "_storectl_map.py")
    view.import_map.read_bytes()
    import_map = read_map(view.root, view.site_packages, address, reader=reader)
    with daemon(address, lambda _: b"") as requests:
        assert set(import_map.table("alpha")) == {"__init__", "one"}
    assert not requests


def test_an_answer_that_comes_in_pieces_is_put_together(view: View, address: str) -> None:
    content = view.import_map.read_bytes() + os.urandom(1 << 21)
    reader = patient_reader(view)
    with daemon(address, lambda _: response(content)):
        assert ask(reader, address, view) == content


def test_an_answer_that_stops_in_the_middle_ends_at_the_deadline(view: View, address: str) -> None:
    reader = patient_reader(view)
    reader.load("_storectl_pack").DEADLINE = 0.2
    over = threading.Event()

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        thread = threading.Thread(target=_begin_to_answer, args=(listener, response(b"map", length=1000), over))
        thread.start()
        try:
            with pytest.raises((EOFError, TimeoutError, BlockingIOError)):
                ask(reader, address, view)
        finally:
            over.set()
            thread.join()


def _begin_to_answer(listener: socket.socket, answer: bytes, over: threading.Event) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(4096)
        connection.sendall(answer)
        over.wait(30)


ANSWERS: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda _: b"",
    "not found": lambda content: response(content, status=b"404 Not Found"),
    "too little": lambda content: response(content, length=len(content) + 1),
    "no length": lambda content: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + content,
    "a negative length": lambda content: response(content, length=-1),
    "an absurd length": lambda content: response(content, length=1 << 60),
    "a head without end": lambda _: b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 10000,
    "no HTTP": lambda content: content + b"\r\n\r\n",
    "another environment": lambda content: response(content.replace(b" view ", b" viev ", 1)),
    "another format": lambda content: response(content.replace(b"map 1", b"map 9", 1)),
    "damage in the table": lambda content: response(content.replace(b"single", b"sINGLE")),
    "damage in a section": lambda content: response(content[:-1] + bytes([content[-1] ^ 1])),
}


@pytest.mark.parametrize("kind", ANSWERS)
def test_the_published_file_serves_when_the_daemon_is_wrong(
    view: View, address: str, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    content = view.import_map.read_bytes()
    reader = patient_reader(view)
    import_map = read_map(view.root, view.site_packages, address, reader=reader)
    with daemon(address, lambda _: ANSWERS[kind](content)) as requests:
        assert set(import_map.top_level()) == {"alpha", "single"}
        assert set(import_map.table("alpha")) == {"__init__", "one"}
    assert len(requests) == 1
    assert not import_map.failed
    assert capsys.readouterr().err == ""


def test_a_daemon_that_never_answers_holds_nobody_up(view: View, address: str) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(1)
        reader = fresh_map_reader()
        with pytest.raises((TimeoutError, BlockingIOError)):
            ask(reader, address, view)
        for _ in range(3):  # the second and third find the queue full
            let_go(view)
            done = view.run("-c", PROGRAM, environ={"STORECTL_SOCKET": address})
            assert (done.stdout, done.stderr) == ("_storectl_map\n", "")


@pytest.mark.parametrize("name", ["absent", "x" * 200, "", "\udcff"])
def test_an_address_that_leads_nowhere_is_nothing_to_talk_about(view: View, tmp_path: Path, name: str) -> None:
    let_go(view)
    done = view.run("-c", PROGRAM, environ={"STORECTL_SOCKET": str(tmp_path / name)})
    assert (done.stdout, done.stderr) == ("_storectl_map\n", "")


def test_a_peer_that_is_somebody_else_is_not_asked(view: View, address: str) -> None:
    reader = patient_reader(view)
    reader.load("_storectl_pack").peer_of = lambda _: 12345
    answer = response(view.import_map.read_bytes())
    with daemon(address, lambda _: answer) as requests, pytest.raises(PermissionError):
        ask(reader, address, view)
    assert requests in ([], [b""])


def test_the_peer_is_who_the_kernel_says() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        assert peer_of(ours) == os.geteuid()


def test_the_user_id_is_at_its_place_in_both_structures(monkeypatch: pytest.MonkeyPatch) -> None:
    class Connection:
        def getsockopt(self, level: int, option: int, size: int) -> bytes:
            known = {
                (socket.SOL_SOCKET, 17, 12): struct.pack("iII", 1, 501, 20),
                (0, 1, 76): struct.pack("IIh66x", 0, 502, 1),
            }
            return known[level, option, size]

    for platform, uid in (("linux", 501), ("darwin", 502)):
        monkeypatch.setattr(sys, "platform", platform)
        assert peer_of(Connection()) == uid


def test_children_do_not_inherit_the_address(view: View, address: str) -> None:
    program = "import json, os; print(json.dumps('STORECTL_SOCKET' in os.environ))"
    assert view.json(program, environ={"STORECTL_SOCKET": address}) is False


def test_both_sources_look_the_same_to_a_program(view: View, address: str) -> None:
    program = (
        "import alpha.one, json, single; print(json.dumps([repr(m.__spec__) for m in (alpha, alpha.one, single)]))"
    )
    content = map_of(view, PATHS)
    plain = view.run("-c", program).stdout
    view.import_map.unlink()
    with daemon(address, lambda _: response(content)):
        asked = view.run("-c", program, environ={"STORECTL_SOCKET": address})
    assert asked.stderr == ""
    assert [part.partition(" object at")[0] for part in asked.stdout.split(", ")] == [
        part.partition(" object at")[0] for part in plain.split(", ")
    ]
