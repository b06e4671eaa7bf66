"""The trash is emptied behind everything else, by a process that gives way and does not outlast the daemon."""

import asyncio
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from storectl_daemon.process.emptying import empty_trash_behind
from storectl_store.entries import trash
from storectl_store.entries.trash import empty_trash
from support.daemon import until
from support.stores import WrittenStore, written_store

SHOW = """
import os, subprocess, sys
from storectl_store.entries import emptying
emptying.empty_trash = lambda layout, proceed: print(os.nice(0), subprocess.run(
    ["ionice", "-p", str(os.getpid())], capture_output=True, text=True, check=True).stdout.strip(), proceed())
emptying.main(sys.argv[1])
"""


@pytest.fixture
def written(tmp_path: Path) -> Iterator[WrittenStore]:
    with written_store(tmp_path / "store") as written:
        yield written


def thrown_away(written: WrittenStore, count: int) -> Path:
    folder = written.store.layout.trash
    for number in range(count):
        (folder / f"entry.{number}" / "deep").mkdir(parents=True)
        (folder / f"entry.{number}" / "deep" / "file").write_text("")
        (folder / f"entry.{number}" / "deep").chmod(0o555)
    return folder


def test_all_that_is_in_the_trash_is_deleted(written: WrittenStore, caplog: pytest.LogCaptureFixture) -> None:
    folder = thrown_away(written, 5)
    with caplog.at_level(logging.INFO):
        asyncio.run(empty_trash_behind(written.store.layout))
    assert os.listdir(folder) == []
    assert "deleted 5 things from the trash" in caplog.text


def test_no_process_is_started_for_an_empty_trash(written: WrittenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere")
    asyncio.run(empty_trash_behind(written.store.layout))


def test_if_no_process_can_be_started_that_is_logged(
    written: WrittenStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = thrown_away(written, 1)
    monkeypatch.setattr(sys, "executable", "/nowhere")
    asyncio.run(empty_trash_behind(written.store.layout))
    assert "the trash is not emptied" in caplog.text
    assert os.listdir(folder) == ["entry.0"]


def test_what_cannot_be_deleted_is_told_and_the_rest_is_deleted(
    written: WrittenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = thrown_away(written, 3)

    def refuse(path: Path) -> None:
        if path.name == "entry.1":
            raise PermissionError(13, "Permission denied", str(path))
        delete(path)

    delete = trash.delete_tree
    monkeypatch.setattr(trash, "delete_tree", refuse)
    with pytest.raises(PermissionError):
        empty_trash(written.store.layout)
    assert os.listdir(folder) == ["entry.1"]


def test_the_process_gives_way_in_processor_and_disk(written: WrittenStore) -> None:
    if sys.platform != "linux" or shutil.which("ionice") is None:
        pytest.skip("nothing here tells the class of I/O")
    done = subprocess.run(
        [sys.executable, "-c", SHOW, str(written.store.layout.root)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout == "19 idle False\n"  # its input has ended, so it is told to stop


def test_the_process_ends_with_the_daemon_and_leaves_the_rest(written: WrittenStore) -> None:
    folder = thrown_away(written, 5)
    command = [sys.executable, "-I", "-m", "storectl_store.entries.emptying", str(written.store.layout.root)]
    subprocess.run(command, stdin=subprocess.DEVNULL, check=True)  # the pipe of a daemon that was killed has ended, too
    assert len(os.listdir(folder)) == 5


async def cancelled_after(written: WrittenStore, begun: Path) -> None:
    emptied = asyncio.create_task(empty_trash_behind(written.store.layout))
    await asyncio.to_thread(until, begun.exists)
    emptied.cancel()
    with pytest.raises(asyncio.CancelledError):
        await emptied


def test_the_process_is_ended_and_waited_for_when_the_daemon_stops(
    written: WrittenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    thrown_away(written, 1)
    program, begun = tmp_path / "program", tmp_path / "begun"
    program.write_text(f"#!/bin/sh\necho $$ > {begun}.new; mv {begun}.new {begun}; exec sleep 600\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    asyncio.run(cancelled_after(written, begun))
    with pytest.raises(ProcessLookupError):
        os.kill(int(begun.read_text()), 0)
