"""Maps that are held: the same answer from wherever they are, and no longer than their file is the one that was read."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from storectl_daemon import held_maps
from storectl_daemon.held_maps import Bytes, FileInMemory, HeldMap, HeldMaps, hold

CONTENT = b"a map"
ANSWER = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\ncontent-length: 5\r\nconnection: close\r\n\r\na map"
)
WAYS = pytest.mark.parametrize("made_by", [FileInMemory, Bytes])


def sent(held: HeldMap, start: int = 0) -> bytes:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert held.send(ours, start) == held.size - start
        ours.close()
        return theirs.recv(1 << 16)


def open_descriptors() -> int:
    return len(os.listdir("/dev/fd"))


@WAYS
def test_the_answer_is_head_and_map_from_any_byte_on(made_by: Callable[[bytes], HeldMap]) -> None:
    held = made_by(CONTENT)
    assert (held.size, held.content()) == (len(ANSWER), CONTENT)
    assert [sent(held, start) for start in (0, 7, len(ANSWER) - 1)] == [ANSWER, ANSWER[7:], ANSWER[-1:]]


@WAYS
def test_sending_to_who_has_no_room_blocks_nobody(made_by: Callable[[bytes], HeldMap]) -> None:
    held = made_by(bytes(4 << 20))
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        assert 0 < held.send(ours, 0) < held.size
        with pytest.raises(BlockingIOError):
            held.send(ours, 0)


@WAYS
def test_sending_to_who_is_gone_is_an_error(made_by: Callable[[bytes], HeldMap]) -> None:
    ours, theirs = socket.socketpair()
    with ours:
        theirs.close()
        with pytest.raises(OSError, match="Broken pipe"):
            made_by(CONTENT).send(ours, 0)


def test_a_system_without_files_in_memory_holds_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "memfd_create")
    assert isinstance(hold(CONTENT), Bytes)


def test_a_sandbox_that_refuses_files_in_memory_holds_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "memfd_create", refuse)
    assert isinstance(hold(CONTENT), Bytes)


def test_a_map_that_nobody_has_leaves_no_descriptor() -> None:
    before = open_descriptors()
    held = FileInMemory(CONTENT)
    assert open_descriptors() == before + 1
    del held
    assert open_descriptors() == before


def test_a_file_is_read_once(tmp_path: Path) -> None:
    maps, file = HeldMaps(), tmp_path / "import-map"
    file.write_bytes(CONTENT)
    assert maps.held(str(file)) is maps.held(str(file))


def test_another_file_in_its_place_is_another_map(tmp_path: Path) -> None:
    maps, file = HeldMaps(), tmp_path / "import-map"
    file.write_bytes(CONTENT)
    first = maps.held(str(file))
    (tmp_path / "new").write_bytes(b"another")
    (tmp_path / "new").rename(file)
    assert maps.held(str(file)).content() == b"another"
    assert first.content() == CONTENT


def test_a_file_that_is_gone_is_held_no_longer(tmp_path: Path) -> None:
    maps, file = HeldMaps(), tmp_path / "import-map"
    file.write_bytes(CONTENT)
    before = open_descriptors()
    maps.held(str(file))
    file.unlink()
    with pytest.raises(FileNotFoundError):
        maps.held(str(file))
    assert open_descriptors() == before


@pytest.mark.parametrize("limits", [{"limit": 2 * len(ANSWER)}, {"most": 2}])
def test_maps_beyond_a_limit_leave_the_longest_unused_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limits: dict[str, int]
) -> None:
    made: list[bytes] = []

    def counted(content: bytes) -> HeldMap:
        made.append(content)
        return hold(content)

    monkeypatch.setattr(held_maps, "hold", counted)
    for name in ("a", "b", "c"):
        (tmp_path / name).write_bytes(name.encode() * 5)
    maps = HeldMaps(**limits)
    for name in ("a", "b", "a", "c", "a", "b"):
        maps.held(str(tmp_path / name))
    assert made == [b"aaaaa", b"bbbbb", b"ccccc", b"bbbbb"]
