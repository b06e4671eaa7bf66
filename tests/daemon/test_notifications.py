"""Both sources of notifications, with real files: the kernel's own on Linux, and the one that serves elsewhere."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from storectl_daemon.projects.notifications import Batch, Wanted, notifications

NAMES = frozenset({"uv.lock"})
DEADLINE = 20


@pytest.fixture(params=["linux", "elsewhere"])
def platform(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    kind: str = request.param
    if kind == "linux" and sys.platform != "linux":
        pytest.skip("inotify is Linux's")
    if kind == "elsewhere":
        monkeypatch.setattr(sys, "platform", "darwin")
    return kind


@asynccontextmanager
async def listening(*folders: Path, **more: Any) -> AsyncIterator["asyncio.Queue[Batch]"]:
    wanted = Wanted(folders=folders, names=NAMES, **more)
    heard: asyncio.Queue[Batch] = asyncio.Queue()

    async def listen() -> None:
        async for batch in notifications(wanted):
            heard.put_nowait(batch)

    task = asyncio.create_task(listen())
    await asyncio.sleep(0)  # one turn of the loop is what the watcher gives it, too
    try:
        yield heard
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait_for(task, DEADLINE)


async def next_of(heard: "asyncio.Queue[Batch]") -> Batch:
    return await asyncio.wait_for(heard.get(), DEADLINE)


@pytest.mark.usefixtures("platform")
def test_a_file_that_is_written_or_renamed_into_place_is_told_by_its_folder(tmp_path: Path) -> None:
    async def main() -> None:
        one, two = tmp_path / "one", tmp_path / "two"
        one.mkdir()
        two.mkdir()
        async with listening(one, two) as heard:
            (one / "uv.lock").write_text("x")
            assert await next_of(heard) == {one}
            (two / "other").write_text("y")
            (two / "other").rename(two / "uv.lock")
            assert await next_of(heard) == {two}
            (two / "uv.lock").unlink()
            assert await next_of(heard) == {two}

    asyncio.run(main())


@pytest.mark.usefixtures("platform")
def test_other_files_are_not_told(tmp_path: Path) -> None:
    async def main() -> None:
        async with listening(tmp_path) as heard:
            (tmp_path / "README").write_text("x")
            (tmp_path / "uv.lock").write_text("x")
            assert await next_of(heard) == {tmp_path}
            assert heard.empty()

    asyncio.run(main())


@pytest.mark.usefixtures("platform")
def test_a_folder_that_is_not_there_cannot_be_watched(tmp_path: Path) -> None:
    async def main() -> None:
        with pytest.raises(FileNotFoundError):
            await anext(notifications(Wanted(folders=[tmp_path / "gone"], names=NAMES)))

    asyncio.run(main())


@pytest.mark.usefixtures("platform")
def test_without_folders_there_is_nothing_until_the_end(tmp_path: Path) -> None:
    async def main() -> None:
        async with listening() as heard:
            (tmp_path / "uv.lock").write_text("x")
            await asyncio.sleep(0)
            assert heard.empty()

    asyncio.run(main())


@pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")
def test_many_changes_at_once_are_one_batch_and_none_is_lost(tmp_path: Path) -> None:
    folders = [tmp_path / str(number) for number in range(50)]
    for folder in folders:
        folder.mkdir()

    async def main() -> None:
        async with listening(*folders) as heard:
            for folder in folders:
                (folder / "uv.lock").write_text("x")
            told: set[Path] = set()
            while told != set(folders):
                told |= await next_of(heard) or set(folders)
            assert heard.empty()

    asyncio.run(main())


@pytest.mark.usefixtures("platform")
def test_in_a_folder_whose_names_count_every_file_is_told(tmp_path: Path) -> None:
    async def main() -> None:
        async with listening(tmp_path, whole={tmp_path}) as heard:
            (tmp_path / "new.c").write_text("x")
            assert await next_of(heard) == {tmp_path}

    asyncio.run(main())


@pytest.mark.usefixtures("platform")
def test_a_folder_that_cannot_be_watched_costs_the_others_nothing(tmp_path: Path) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.mkdir()
    bad.write_text("no folder: the kernel refuses it, whoever asks")
    refused: list[Path] = []

    async def main() -> None:
        async with listening(bad, good, refused=lambda folder, _error: refused.append(folder)) as heard:
            (good / "uv.lock").write_text("x")
            assert await next_of(heard) == {good}

    asyncio.run(main())
    assert refused == [bad]
