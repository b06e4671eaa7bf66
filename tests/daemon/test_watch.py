"""The watcher alone, with folders of its own. Then git and editors, with a real daemon."""

import asyncio
import contextlib
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from storectl_daemon.projects import watch
from storectl_daemon.projects.watch import WatchedProject, Watcher
from storectl_store.projects.git_refs import git_folder
from support.daemon import DEADLINE, Daemon, new_daemon, until
from support.index import LoopbackIndex, serve_index
from support.lock_files import pylock_text, requirements_text
from support.wheels import WheelBytes, make_wheel


class Seen:
    """The projects that were reported, and a way to wait for the next report."""

    def __init__(self) -> None:
        self.projects: list[Path] = []
        self._arrived = asyncio.Event()

    async def on_change(self, project: Path) -> None:
        self.projects.append(project)
        self._arrived.set()

    async def count(self, number: int) -> None:
        while len(self.projects) < number:
            self._arrived.clear()
            await self._arrived.wait()


def inputs_of(project: Path, *more: Path) -> WatchedProject:
    return WatchedProject(path=project, inputs=(project / "uv.lock", project / "pyproject.toml", *more))


@asynccontextmanager
async def watching(
    projects: Sequence[WatchedProject], seen: Seen, *, rescan_seconds: float = 3600
) -> AsyncIterator[Watcher]:
    watcher = Watcher(projects=lambda: projects, on_change=seen.on_change, rescan_seconds=rescan_seconds)
    task = asyncio.create_task(watcher.run())
    async with asyncio.timeout(DEADLINE):
        try:
            await seen.count(len(projects))
            yield watcher
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def test_every_project_is_looked_at_once_at_the_beginning(tmp_path: Path) -> None:
    async def main() -> None:
        seen = Seen()
        for name in "ab":
            (tmp_path / name).mkdir()
        async with watching([inputs_of(tmp_path / "a"), inputs_of(tmp_path / "b")], seen) as watcher:
            assert sorted(seen.projects) == [tmp_path / "a", tmp_path / "b"]
            assert watcher.watches(tmp_path / "a")
            assert not watcher.watches(tmp_path)

    asyncio.run(main())


@pytest.mark.parametrize("how", ["write", "rename", "remove"])
def test_a_changed_input_is_seen_however_it_is_changed(tmp_path: Path, how: str) -> None:
    async def main() -> None:
        seen, lock_file = Seen(), tmp_path / "uv.lock"
        lock_file.write_text("one")
        async with watching([inputs_of(tmp_path)], seen):
            if how == "write":
                lock_file.write_text("three")
            elif how == "rename":
                (tmp_path / "new").write_text("two")
                (tmp_path / "new").rename(lock_file)
            else:
                lock_file.unlink()
            await seen.count(2)

    asyncio.run(main())


def test_other_files_of_the_folder_are_of_no_interest(tmp_path: Path) -> None:
    async def main() -> None:
        seen = Seen()
        async with watching([inputs_of(tmp_path)], seen):
            (tmp_path / "main.py").write_text("print()")
            (tmp_path / "uv.lock").write_text("one")
            await seen.count(2)
        assert len(seen.projects) == 2

    asyncio.run(main())


def test_an_input_outside_the_project_is_watched_too(tmp_path: Path) -> None:
    async def main() -> None:
        seen, other = Seen(), tmp_path / "other"
        (tmp_path / "project").mkdir()
        other.mkdir()
        async with watching([inputs_of(tmp_path / "project", other / "dev.txt")], seen):
            (other / "dev.txt").write_text("one")
            await seen.count(2)

    asyncio.run(main())


def test_a_project_that_is_added_is_looked_at_and_watched(tmp_path: Path) -> None:
    async def main() -> None:
        seen, new = Seen(), tmp_path / "new"
        new.mkdir()
        projects: list[WatchedProject] = []
        async with watching(projects, seen) as watcher:
            projects.append(inputs_of(new))
            watcher.projects_changed()
            await seen.count(1)
            (new / "uv.lock").write_text("one")
            await seen.count(2)
            assert watcher.watches(new)

    asyncio.run(main())


def test_a_folder_that_vanishes_and_comes_back_is_watched_again(tmp_path: Path) -> None:
    async def main() -> None:
        seen, project = Seen(), tmp_path / "project"
        project.mkdir()
        (project / "uv.lock").write_text("one")
        async with watching([inputs_of(project)], seen, rescan_seconds=0.02):
            shutil.rmtree(project)
            await seen.count(2)
            project.mkdir()
            (project / "uv.lock").write_text("two")
            await seen.count(3)
            (project / "uv.lock").write_text("three")
            await seen.count(4)

    asyncio.run(main())


def test_a_change_without_any_notification_is_found_by_looking_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_news: list[set[Path]] = []

    async def silence(_folders: object, _names: object, stop: asyncio.Event) -> AsyncIterator[set[Path]]:
        await stop.wait()
        for news in no_news:
            yield news

    async def main() -> None:
        seen = Seen()
        async with watching([inputs_of(tmp_path)], seen, rescan_seconds=0.02):
            (tmp_path / "uv.lock").write_text("one")
            await seen.count(2)

    monkeypatch.setattr(watch, "notifications", silence)
    asyncio.run(main())


def test_without_the_notification_service_there_is_still_the_looking_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused() -> Iterator[set[Path]]:
        raise OSError("no more watches")

    async def broken(*_: object) -> AsyncIterator[set[Path]]:
        for news in refused():
            yield news

    async def main() -> None:
        seen = Seen()
        async with watching([inputs_of(tmp_path)], seen, rescan_seconds=0.02) as watcher:
            assert not watcher.watches(tmp_path)
            (tmp_path / "uv.lock").write_text("one")
            await seen.count(2)

    monkeypatch.setattr(watch, "notifications", broken)
    asyncio.run(main())


def test_trouble_with_one_project_leaves_the_others_watched(tmp_path: Path) -> None:
    async def main() -> None:
        seen = Seen()
        bad, good = tmp_path / "bad", tmp_path / "good"
        for folder in (bad, good):
            folder.mkdir()

        async def on_change(project: Path) -> None:
            await seen.on_change(project)
            if project == bad:
                raise RuntimeError("bad")

        projects = [inputs_of(bad), inputs_of(good)]
        watcher = Watcher(projects=lambda: projects, on_change=on_change)
        task = asyncio.create_task(watcher.run())
        async with asyncio.timeout(DEADLINE):
            await seen.count(2)
            (good / "uv.lock").write_text("one")
            await seen.count(3)
        assert seen.projects[-1] == good
        task.cancel()
        await asyncio.wait({task})

    asyncio.run(main())


def git(folder: Path, *arguments: str) -> None:
    environ = os.environ | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    names = ["-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", *names, *arguments], cwd=folder, env=environ, check=True, capture_output=True)


def test_the_git_folder_of_a_checkout_a_worktree_and_a_folder_inside(tmp_path: Path) -> None:
    main, tree = tmp_path / "main", tmp_path / "tree"
    main.mkdir()
    git(main, "init")
    git(main, "commit", "--allow-empty", "-m", "one")
    git(main, "worktree", "add", str(tree))
    (main / "inner").mkdir()
    assert git_folder(main) == git_folder(main / "inner") == main / ".git"
    assert git_folder(tree) == main / ".git/worktrees/tree"


@pytest.mark.parametrize(
    "text",
    ["", "gitdir: ", "gitdir: nowhere", "something else", "gitdir: \0", f"gitdir: {'x' * 4000}", "gitdir: uv.lock/x"],
)
def test_a_git_file_that_leads_nowhere_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / ".git").write_text(text)
    assert git_folder(tmp_path) is None


@pytest.mark.parametrize("target", ["x" * 4000, "closed/inner"])
def test_a_project_whose_git_folder_cannot_be_looked_at_leaves_the_others_their_notifications(
    tmp_path: Path, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may look at everything, so what another user hears of ``closed`` is a stand-in's answer."""
    odd, good = tmp_path / "odd", tmp_path / "good"
    odd.mkdir()
    good.mkdir()
    (odd / ".git").write_text(f"gitdir: {target}\n")
    real = os.stat

    def stat(path: Any, *arguments: Any, **options: Any) -> os.stat_result:
        if "closed" in os.fsdecode(path):
            raise PermissionError(13, os.strerror(13), path)
        return real(path, *arguments, **options)

    async def main() -> None:
        seen = Seen()
        async with watching([inputs_of(odd), inputs_of(good)], seen) as watcher:
            assert watcher.watches(good)
            (good / "uv.lock").write_text("one")
            await seen.count(3)
        assert seen.projects[-1] == good

    monkeypatch.setattr(os, "stat", stat)
    asyncio.run(main())


def test_a_project_that_the_kernel_does_not_watch_is_looked_at_from_time_to_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inotify = pytest.importorskip("asyncinotify").Inotify
    odd, good = tmp_path / "odd", tmp_path / "good"
    odd.mkdir()
    good.mkdir()
    asked = inotify.add_watch

    def add_watch(self: Any, path: Path, mask: Any) -> Any:
        if path == odd:
            raise PermissionError(13, os.strerror(13), path)
        return asked(self, path, mask)

    async def main() -> None:
        seen = Seen()
        async with watching([inputs_of(odd), inputs_of(good)], seen, rescan_seconds=0.05) as watcher:
            assert watcher.watches(good)
            assert not watcher.watches(odd)
            (odd / "uv.lock").write_text("one")
            await seen.count(3)
        assert seen.projects[-1] == odd

    monkeypatch.setattr(inotify, "add_watch", add_watch)
    asyncio.run(main())


def test_a_version_file_above_has_no_folder_watched_which_may_be_the_home_folder(tmp_path: Path) -> None:
    project = tmp_path / "work" / "requirements"
    above = [tmp_path / "work" / ".python-version", tmp_path / ".python-versions", tmp_path / "pyproject.toml"]
    one = WatchedProject(path=project, inputs=(project / "dev.txt", tmp_path / "base.txt", *above))
    assert one.folders == {project, tmp_path}
    assert WatchedProject(path=project, inputs=(project / "dev.txt", *above)).folders == {project}


def test_worktrees_are_watched_for_only_where_a_repository_has_some(tmp_path: Path) -> None:
    without, main = tmp_path / "without", tmp_path / "main"
    for folder in (without, main):
        folder.mkdir()
        git(folder, "init")
        git(folder, "commit", "--allow-empty", "-m", "one")
    git(main, "worktree", "add", str(tmp_path / "tree"))
    plan = watch._plan([inputs_of(folder) for folder in (without, main, tmp_path / "tree")])
    assert set(plan.inodes) == {
        *(without, without / ".git"),
        *(main, main / ".git", main / ".git/worktrees"),
        *(tmp_path / "tree", main / ".git/worktrees/tree"),
    }
    assert plan.listed == {main / ".git/worktrees"}


def test_a_new_name_in_a_folder_whose_names_count_is_seen(tmp_path: Path) -> None:
    async def main() -> None:
        seen, native = Seen(), tmp_path / "native"
        native.mkdir()
        one = WatchedProject(path=tmp_path, inputs=(tmp_path / "uv.lock", native), listed=frozenset({native}))
        async with watching([one], seen):
            (native / "new.c").write_text("x")
            await seen.count(2)

    asyncio.run(main())


# --- with a daemon ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with new_daemon() as daemon:
        daemon.start()
        yield daemon


@pytest.fixture(scope="module")
def index() -> Iterator[LoopbackIndex]:
    with serve_index(OLD, NEW) as index:
        yield index


OLD = make_wheel("thing", "1.0")
NEW = make_wheel("thing", "2.0")


def locked(index: LoopbackIndex, wheel: WheelBytes) -> str:
    return pylock_text(index, [wheel])


def runs(daemon: Daemon, project: Path, version: str) -> bool:
    """Whether the project is ready with an environment that has this version."""
    state = daemon.state(project)
    if state["state"] != "ready":
        return False
    found = Path(state["environment"]["path"]).glob(f"lib/*/site-packages/thing-{version}.dist-info")
    return any(found)


def watched(daemon: Daemon, project: Path) -> None:
    daemon.ready(project)
    until(lambda: daemon.state(project)["watched"])


def test_a_lock_file_that_is_replaced_leads_to_its_environment(
    daemon: Daemon, tmp_path: Path, index: LoopbackIndex
) -> None:
    lock_file = tmp_path / "pylock.toml"
    lock_file.write_text(locked(index, OLD))
    watched(daemon, tmp_path)
    (tmp_path / "next").write_text(locked(index, NEW))
    (tmp_path / "next").rename(lock_file)
    until(lambda: runs(daemon, tmp_path, "2.0"))


def test_checking_out_a_branch_and_back_changes_the_environment_and_back(
    daemon: Daemon, tmp_path: Path, index: LoopbackIndex
) -> None:
    git(tmp_path, "init")
    for branch, wheel in (("main", OLD), ("other", NEW)):
        if branch == "other":
            git(tmp_path, "checkout", "-b", branch)
        (tmp_path / "pylock.toml").write_text(locked(index, wheel))
        git(tmp_path, "add", ".")
        git(tmp_path, "commit", "-m", branch)
    watched(daemon, tmp_path)
    assert runs(daemon, tmp_path, "2.0")
    for branch, version in (("main", "1.0"), ("other", "2.0"), ("main", "1.0")):
        git(tmp_path, "checkout", branch)
        until(partial(runs, daemon, tmp_path, version))


def test_every_set_of_options_that_was_used_is_warmed_again(
    daemon: Daemon, tmp_path: Path, index: LoopbackIndex
) -> None:
    lock_file = tmp_path / "pylock.toml"
    lock_file.write_text(locked(index, OLD))
    watched(daemon, tmp_path)
    daemon.ready(tmp_path, default_groups=False)
    lock_file.write_text(locked(index, NEW))
    until(lambda: runs(daemon, tmp_path, "2.0"))
    wanted = f"environment {daemon.state(tmp_path)['environment']['path']}"
    records = list(daemon.record(tmp_path).glob("ready.*"))
    assert len(records) == 2
    until(lambda: all(wanted in record.read_text() for record in records))


def test_a_broken_lock_file_is_told_and_the_last_good_environment_stays(
    daemon: Daemon, tmp_path: Path, index: LoopbackIndex
) -> None:
    lock_file = tmp_path / "pylock.toml"
    lock_file.write_text(locked(index, OLD))
    watched(daemon, tmp_path)
    good = daemon.state(tmp_path)["environment"]
    lock_file.write_text("lock-version = ")
    until(lambda: daemon.state(tmp_path)["state"] == "failed")
    state = daemon.state(tmp_path)
    assert state["environment"] == good
    assert state["problem"]["code"] == "E_LOCK"
    assert "pylock.toml:1" in state["problem"]["detail"]
    lock_file.write_text(locked(index, NEW))
    until(lambda: runs(daemon, tmp_path, "2.0"))
    assert daemon.state(tmp_path)["problem"] is None


def test_a_lock_file_that_is_a_pipe_holds_up_nobody(daemon: Daemon, tmp_path: Path, index: LoopbackIndex) -> None:
    (tmp_path / "pylock.toml").write_text(locked(index, OLD))
    watched(daemon, tmp_path)
    (tmp_path / "pylock.toml").unlink()
    os.mkfifo(tmp_path / "pylock.toml")
    until(lambda: daemon.state(tmp_path)["state"] == "failed")
    assert daemon.get("/v1/health")["status"] == "ok"


def test_a_project_that_is_deleted_and_comes_back_is_warmed_again(
    daemon: Daemon, tmp_path: Path, index: LoopbackIndex
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "pylock.toml").write_text(locked(index, OLD))
    watched(daemon, project)
    shutil.rmtree(project)
    until(lambda: daemon.state(project)["state"] == "failed")
    project.mkdir()
    (project / "pylock.toml").write_text(locked(index, NEW))
    assert daemon.ready(project)["wheels"] == 1
    assert runs(daemon, project, "2.0")


def test_a_file_that_a_requirements_file_includes_is_watched(
    daemon: Daemon, tmp_path: Path, index: LoopbackIndex
) -> None:
    def included(wheel: WheelBytes) -> str:
        return f"--index-url {index.url}\n{requirements_text([wheel])}"

    (tmp_path / "project").mkdir()
    (tmp_path / "project/requirements.txt").write_text("-r ../shared/base.txt\n# --hash\n")
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared/base.txt").write_text(included(OLD))
    watched(daemon, tmp_path / "project")
    (tmp_path / "shared/base.txt").write_text(included(NEW))
    until(lambda: runs(daemon, tmp_path / "project", "2.0"))


def test_a_touched_lock_file_gets_its_fast_record_back_without_work(
    daemon: Daemon, tmp_path: Path, index: LoopbackIndex
) -> None:
    lock_file = tmp_path / "pylock.toml"
    lock_file.write_text(locked(index, OLD))
    watched(daemon, tmp_path)
    before = index.requests.total()
    os.utime(lock_file, ns=(10**18, 10**18))
    stamp = daemon.record(tmp_path) / "fast.default/stamp.pylock.toml"
    until(lambda: stamp.exists() and stamp.stat().st_mtime_ns == 10**18)
    assert index.requests.total() == before
