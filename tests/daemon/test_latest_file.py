"""A file that is written in a thread: the loop goes on, nothing is lost, and the latest comes last."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from storectl_daemon.jobs.options import DEFAULT_OPTIONS
from storectl_daemon.process import latest_file
from storectl_daemon.process.latest_file import LatestFile
from storectl_daemon.projects.book import ProjectBook
from support.daemon import DEADLINE, turns_until


class Disk:
    """A disk that is as slow as a test wants it."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.threads: set[int] = set()
        self.free = threading.Event()
        self.free.set()
        self.trouble: OSError | None = None

    def replace_file(self, path: Path, content: bytes) -> None:
        self.threads.add(threading.get_ident())
        assert self.free.wait(DEADLINE)
        if self.trouble is not None:
            raise self.trouble
        self.written.append(content)
        path.write_bytes(content)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    made = Disk()
    monkeypatch.setattr(latest_file, "replace_file", made.replace_file)
    yield made
    made.free.set()


def test_the_loop_goes_on_while_the_disk_is_slow_and_changes_meanwhile_share_one_write(
    tmp_path: Path, disk: Disk
) -> None:
    async def main() -> None:
        numbers = [0]
        file = LatestFile(tmp_path / "file", lambda: [b"%d" % numbers[-1]])
        disk.free.clear()
        for number in range(1, 50):
            numbers.append(number)
            file.changed()
            await asyncio.sleep(0)
        await turns_until(lambda: bool(disk.threads))
        disk.free.set()
        await file.written()
        assert disk.written[-1] == (tmp_path / "file").read_bytes() == b"49"
        assert len(disk.written) <= 3
        assert threading.get_ident() not in disk.threads

    asyncio.run(main())


def test_a_disk_that_is_full_for_a_while_gets_the_next_change(tmp_path: Path, disk: Disk) -> None:
    async def main() -> None:
        file = LatestFile(tmp_path / "file", lambda: [b"x"])
        disk.trouble = OSError(28, "No space left on device")
        file.changed()
        await file.written()
        disk.trouble = None
        file.changed()
        await file.written()
        assert disk.written == [b"x"]

    asyncio.run(main())


def test_without_a_loop_it_is_written_at_once(tmp_path: Path, disk: Disk) -> None:
    LatestFile(tmp_path / "file", lambda: [b"a", b"b"]).changed()
    assert disk.written == [b"ab"]


def test_the_book_of_many_projects_is_on_disk_when_it_says_so_and_never_written_on_the_loop(
    tmp_path: Path, disk: Disk
) -> None:
    async def main() -> None:
        book = ProjectBook(tmp_path / "projects.json")
        for number in range(200):
            book.want(tmp_path / str(number), DEFAULT_OPTIONS)
        book.remove(tmp_path / "7")
        await book.written()
        assert list(ProjectBook(tmp_path / "projects.json")) == list(book)
        assert threading.get_ident() not in disk.threads

    asyncio.run(main())
