"""What a program is about to load of the standard library is asked for when its map was, once, and never at its cost."""

import asyncio
import os
import sys
import threading
from pathlib import Path

import pytest

from storectl_daemon.environments import Environments
from storectl_daemon.packing.read_ahead import ReadAhead, ask_kernel
from storectl_daemon.serving.peers import Gate
from storectl_daemon.serving.server import Server
from storectl_daemon.serving.sockets import bind
from storectl_shim._storectl_map import PACK_MAGIC
from storectl_store.entries.layout import STORE_FORMAT
from storectl_store.environments import pack as packs
from support.daemon import START, Daemon, until
from support.packs import PackedPlace, packed_place
from support.views import fresh_map_reader, pythons
from support.wheels import make_wheel

NAMES = ("this.py", "antigravity.py", "os.py")
MODULE = "alpha/__init__.py"

pytestmark = pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="this system's kernel cannot be asked")


@pytest.fixture
def place(tmp_path: Path) -> PackedPlace:
    return packed_place(tmp_path, pythons()[0], make_wheel("alpha", files={MODULE: ""}))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that the kernel is asked for, in place of asking it."""
    paths: list[str] = []

    def fadvise(descriptor: int, offset: int, length: int, advice: int) -> None:
        assert (offset, length, advice) == (0, 0, os.POSIX_FADV_WILLNEED)
        assert threading.current_thread() is not threading.main_thread()
        paths.append(os.readlink(f"/proc/self/fd/{descriptor}"))

    monkeypatch.setattr(os, "posix_fadvise", fadvise)
    return paths


def pack_with(place: PackedPlace, *names: str) -> list[str]:
    """A pack that says that programs load these of the standard library; their paths."""
    library = place.standard_library.resolve()
    return list(place.make_pack(MODULE, standard=[f"{library}/{name}" for name in names]).standard)


def settle(read_ahead: ReadAhead) -> None:
    """Wait until everything that was begun is over: work that is waiting may bring more."""
    for _ in range(2):
        barrier = threading.Barrier(7)
        for _ in range(6):
            read_ahead._threads.submit(barrier.wait)
        barrier.wait(30)


def test_a_request_for_the_map_has_the_kernel_read_what_the_pack_says_and_the_next_one_does_not(
    place: PackedPlace, asked: list[str], tmp_path: Path
) -> None:
    expected = pack_with(place, *NAMES)
    reader, address = fresh_map_reader(), tmp_path / "run" / "s"
    reader.DEADLINE = 30.0

    async def scene() -> None:
        read_ahead = ReadAhead(place.layout, seconds=3600)

        async def nothing() -> None:
            pass

        server = Server(
            Gate(limit=9),
            import_map=Environments(place.layout).import_map,
            http=lambda: pytest.fail("nobody wants HTTP"),
            on_answer=read_ahead.begin,
            on_stop=nothing,
        )
        serving = asyncio.create_task(server.serve_unsignalled(bind(address)))
        await server.accepting.wait()
        for _ in range(3):
            content = await asyncio.to_thread(reader.ask, str(address), str(place.folder))
            assert content == (place.folder / "import-map").read_bytes()
        await asyncio.to_thread(settle, read_ahead)
        server.ask_to_stop()
        await serving
        read_ahead.close()

    asyncio.run(scene())
    assert sorted(asked) == sorted(expected)
    assert len(expected) == len(NAMES)


def test_the_daemon_reads_ahead_for_who_asks_it_for_a_map(place: PackedPlace, daemon: Daemon, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    (expected,) = pack_with(place, "this.py")
    hook = (
        f"import os, sys\ndef hook(event, args):\n if event == 'open' and args[0] == {expected!r}:"
        f" open({str(seen)!r}, 'a').write(f'{{args[2] & os.O_NONBLOCK != 0}}\\n')\nsys.addaudithook(hook)\n"
    )
    daemon.command = lambda *arguments: [sys.executable, "-c", hook + START, *arguments]  # type: ignore[method-assign]
    place.layout.version_file.write_text(f"storectl store {STORE_FORMAT}\n")
    daemon.store.parent.mkdir(parents=True)
    place.layout.root.rename(daemon.store)
    daemon.start()
    path = f"/v1/environments/{place.folder.name}/import-map"
    content = (daemon.store / "environments" / place.folder.name / "import-map").read_bytes()
    for _ in range(3):
        assert daemon.request("GET", path)[::2] == (200, content)
    until(lambda: seen.exists() and seen.read_text() != "")
    assert daemon.get("/v1/health")["status"] == "ok"
    assert seen.read_text() == "True\n"


def test_it_is_read_again_after_a_while(place: PackedPlace, asked: list[str]) -> None:
    (expected,) = pack_with(place, NAMES[0])
    read_ahead = ReadAhead(place.layout, seconds=0)
    for _ in range(2):
        read_ahead.begin(place.folder.name)
        settle(read_ahead)
    read_ahead.close()
    assert asked == [expected] * 2


def test_each_environment_has_its_own_time(place: PackedPlace, asked: list[str]) -> None:
    (expected,) = pack_with(place, NAMES[0])
    read_ahead = ReadAhead(place.layout, seconds=3600)
    for name in ("0" * 32, place.folder.name, "0" * 32, place.folder.name):
        read_ahead.begin(name)
    settle(read_ahead)
    read_ahead.close()
    assert asked == [expected]


def test_of_many_environments_the_latest_are_remembered(place: PackedPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    monkeypatch.setattr(ReadAhead, "_read", lambda _, environment_id: read.append(environment_id))
    read_ahead = ReadAhead(place.layout, seconds=3600)
    names = [f"{number:032}" for number in range(1000)]
    place.layout.packs.mkdir()
    for name in names:
        place.layout.pack(name).touch()
    for name in (*names, names[-1], names[0]):
        read_ahead.begin(name)
    settle(read_ahead)
    read_ahead.close()
    assert sorted(read) == sorted([*names, names[0]])
    assert len(read_ahead._begun) < 300


def test_without_a_pack_nothing_is_opened(place: PackedPlace, asked: list[str]) -> None:
    read_ahead = ReadAhead(place.layout)
    read_ahead.begin(place.folder.name)
    settle(read_ahead)
    read_ahead.close()
    assert asked == []


@pytest.mark.parametrize("content", [b"", b"\xff" * 2000, PACK_MAGIC + b" x 1 2 3 4\n"])
def test_a_pack_that_cannot_be_read_is_none(place: PackedPlace, asked: list[str], content: bytes) -> None:
    place.layout.packs.mkdir()
    place.pack.write_bytes(content)
    read_ahead = ReadAhead(place.layout)
    read_ahead.begin(place.folder.name)
    settle(read_ahead)
    read_ahead.close()
    assert asked == []


def test_what_cannot_be_opened_or_is_no_file_does_not_hold_up_the_rest(
    place: PackedPlace,
    asked: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    fifo, link = tmp_path / "fifo", tmp_path / "link"
    os.mkfifo(fifo)
    link.symlink_to(link)
    good = tmp_path / "good"
    good.write_text("")
    odd = ("/gone", str(tmp_path), str(fifo), str(link), "nul\0", "", "/dev/null", str(good))
    monkeypatch.setattr(packs._View, "standard_file", lambda _, path: path)
    place.make_pack(MODULE, standard=odd)
    read_ahead = ReadAhead(place.layout)
    read_ahead.begin(place.folder.name)
    settle(read_ahead)
    read_ahead.close()
    assert asked == [str(good)]
    assert caplog.text == ""


def test_where_the_kernel_cannot_be_asked_nothing_happens(place: PackedPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "posix_fadvise")
    read_ahead = ReadAhead(place.layout)
    monkeypatch.setattr(read_ahead._threads, "submit", lambda *_: pytest.fail("something was begun"))
    read_ahead.begin(place.folder.name)
    read_ahead.close()


def test_after_the_end_nothing_begins_and_nobody_is_told(place: PackedPlace, asked: list[str]) -> None:
    pack_with(place, *NAMES)
    read_ahead = ReadAhead(place.layout)
    read_ahead.close()
    read_ahead.begin(place.folder.name)
    assert asked == []


def test_a_file_is_asked_for_and_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("content")
    before = len(os.listdir("/dev/fd"))
    ask_kernel(str(tmp_path / "file"))
    assert len(os.listdir("/dev/fd")) == before
    assert (tmp_path / "file").read_text() == "content"
