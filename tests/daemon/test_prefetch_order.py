"""When a prefetch runs: after a quiet moment, one at a time, behind every warm, and again after one that ended it.

And the watcher that tells it of a fetch. Nothing is fetched here: the commits are a stand-in's to make.
"""

import asyncio
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from storectl_daemon.jobs.options import DEFAULT_OPTIONS
from storectl_daemon.jobs.variables import KnownVariables
from storectl_daemon.models import EnvironmentInfo, InterpreterInfo
from storectl_daemon.prefetching.making import Asked, CommitInputs, Outcome
from storectl_daemon.prefetching.prefetch import Prefetcher, Surroundings
from storectl_daemon.prefetching.wheels import Reasons
from storectl_daemon.projects.ahead import Ahead
from storectl_daemon.projects.book import ProjectBook, RecordedEnvironment
from storectl_daemon.projects.fetches import Fetches
from storectl_daemon.projects.watch import WatchedProject, Watcher
from storectl_store.collecting.holds import Hold, Holds
from storectl_store.digest import Digest, EnvironmentId, digest_of_hex
from storectl_store.entries.layout import StoreLayout
from storectl_store.projects.prefetched import read_prefetched
from support.daemon import turns_until
from support.fetching import Upstream
from support.project import git

MADE, NOW = EnvironmentId("0b" * 16), EnvironmentId("0a" * 16)


class Files:
    """Every environment is there."""

    def environment(self, recorded: RecordedEnvironment, project: Path) -> EnvironmentInfo:
        interpreter = InterpreterInfo(executable="/usr/bin/python3", version="3.11.7")
        return EnvironmentInfo(
            id=NOW, path="/e", python="/e/bin/python", project=str(project), lock_file=recorded.lock_file,
            interpreter=interpreter, wheels=0,
        )  # fmt: skip


class Maker:
    """Makes commits as the test says, and notes which were begun and made."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.made: list[str] = []
        self.go = asyncio.Event()
        self.reasons = Reasons()
        self.digests: tuple[Digest, ...] = ()
        self.hold: Hold | None = None

    def read(self, asked: Asked, seen: Any) -> CommitInputs | None:
        answers: Any = {"commit": asked.commit}
        inputs: Any = answers
        return None if answers in seen else inputs

    async def make(self, asked: Asked, inputs: Any, allowance: object, hold: Hold) -> Outcome:
        self.begun.append(asked.commit)
        self.hold = hold
        hold.add([MADE])
        await self.go.wait()
        self.made.append(asked.commit)
        environment = None if self.reasons.texts else MADE
        nothing: Any = None
        return Outcome(
            environment=environment, digests=self.digests, reasons=self.reasons, answers=inputs, interpreter=nothing
        )

    async def compile(self, outcome: Outcome) -> None:
        """Everything is compiled."""


class Scene:
    """A project with a branch that was fetched, and a prefetcher around it."""

    def __init__(self, tmp_path: Path, *, quiet_seconds: float = 0.0, own: Mapping[str, str] = {}) -> None:
        upstream = Upstream(tmp_path / "upstream")
        upstream.commit({"uv.lock": "old"})
        self.project = tmp_path / "clone"
        git(tmp_path, "clone", "-q", upstream.folder.as_uri(), "clone")
        self.commit = upstream.branch("feature", {"uv.lock": "new"})
        git(self.project, "fetch", "-q")
        self.layout = StoreLayout(tmp_path / "store")
        self.layout.root.mkdir()
        self.maker = Maker()
        self.warming = self.busy = False
        book = ProjectBook(tmp_path / "projects.json")
        lock_file = str(self.project / "uv.lock")
        book.record(self.project, RecordedEnvironment(options=DEFAULT_OPTIONS, lock_file=lock_file, environment=NOW))
        self.book, self.holds = book, Holds()
        self.ahead = Ahead(tmp_path / "ahead.json", uses=lambda _: {})
        variables = KnownVariables(str(tmp_path))
        variables.note(self.project, {"PATH": os.environ["PATH"], "HOME": str(tmp_path)})
        files: Any = Files()
        self.prefetcher = Prefetcher(
            Surroundings(
                layout=self.layout, book=book, files=files, variables=variables, holds=self.holds, ahead=self.ahead,
                environ={"HOME": str(tmp_path), **own}, warming=lambda: self.warming, busy=lambda: self.busy or self.warming,
            ),
            self._maker,
            quiet_seconds=quiet_seconds,
        )  # fmt: skip

    async def _maker(self) -> Any:
        return self.maker

    @property
    def prefetched(self) -> list[str]:
        return [made.commit for made in read_prefetched(self.layout, self.project)]


def run(scene: Scene, story: Callable[[], Any]) -> None:
    async def main() -> None:
        task = asyncio.create_task(scene.prefetcher.run())
        try:
            await story()
        finally:
            task.cancel()
            await asyncio.wait({task})

    asyncio.run(main())


def test_what_was_fetched_is_made_noted_and_not_made_again(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.maker.go.set()

    async def story() -> None:
        for _ in range(2):
            scene.prefetcher.fetched(scene.project)
            assert scene.prefetcher.busy
            await turns_until(lambda: not scene.prefetcher.busy)
        assert scene.maker.made == scene.prefetched == [scene.commit]
        assert not scene.holds.held(), "the note keeps it now"

    run(scene, story)


@pytest.mark.parametrize("own", [{"STORECTL_PREFETCH": "none"}, {"STORECTL_OFFLINE": "1"}, {"STORECTL_PREFETCH": "?"}])
def test_it_can_be_turned_off(tmp_path: Path, own: dict[str, str]) -> None:
    scene = Scene(tmp_path, own=own)
    scene.maker.go.set()

    async def story() -> None:
        scene.prefetcher.fetched(scene.project)
        await turns_until(lambda: not scene.prefetcher.busy)
        assert scene.maker.begun == []

    run(scene, story)


@pytest.mark.parametrize(("digests", "counted"), [((), 0), ((digest_of_hex("0f" * 32),), 1)])
def test_what_had_to_be_fetched_is_in_the_account_of_what_was_made_ahead(
    tmp_path: Path, digests: tuple[Digest, ...], counted: int
) -> None:
    """What was there already would have taken no time worth telling."""
    scene = Scene(tmp_path)
    scene.maker.go.set()
    scene.maker.digests = digests

    async def story() -> None:
        scene.prefetcher.fetched(scene.project)
        await turns_until(lambda: not scene.prefetcher.busy)

    run(scene, story)
    account = scene.ahead.account(scene.project)
    assert account.made == counted
    if account.last is not None:
        assert (account.last.environment, account.last.why) == (MADE, "fetch")
        assert account.last.branch is not None
        assert account.last.branch.endswith("feature")


def test_several_fetches_in_a_row_are_one(tmp_path: Path) -> None:
    scene = Scene(tmp_path, quiet_seconds=0.05)
    scene.maker.go.set()

    async def story() -> None:
        for _ in range(5):
            scene.prefetcher.fetched(scene.project)
        await turns_until(lambda: not scene.prefetcher.busy)
        assert scene.maker.begun == [scene.commit]

    run(scene, story)


def test_a_prefetch_waits_for_what_is_under_way(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.maker.go.set()
    scene.busy = True

    async def story() -> None:
        scene.prefetcher.fetched(scene.project)
        for _ in range(50):
            await asyncio.sleep(0)
        assert scene.maker.begun == []
        scene.busy = False
        await turns_until(lambda: not scene.prefetcher.busy)
        assert scene.maker.made == [scene.commit]

    run(scene, story)


def test_a_warm_ends_a_prefetch_which_is_taken_up_again_after_it(tmp_path: Path) -> None:
    scene = Scene(tmp_path)

    async def story() -> None:
        scene.prefetcher.fetched(scene.project)
        await turns_until(lambda: bool(scene.maker.begun))
        scene.warming = True
        await turns_until(lambda: not scene.holds.held())
        assert (scene.maker.made, scene.prefetched) == ([], [])
        assert scene.prefetcher.busy, "it is still to be done"
        scene.maker.go.set()
        scene.warming = False
        await turns_until(lambda: not scene.prefetcher.busy)
        assert (len(scene.maker.begun), scene.maker.made, scene.prefetched) == (2, [scene.commit], [scene.commit])

    run(scene, story)


def test_what_failed_for_a_passing_reason_is_tried_with_the_next_fetch(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.maker.go.set()

    async def story() -> None:
        for passing, made in ((True, 1), (True, 2), (False, 3), (False, 3)):
            scene.maker.reasons = Reasons(texts=["why"], passing=passing)
            scene.prefetcher.fetched(scene.project)
            await turns_until(lambda: not scene.prefetcher.busy)
            assert len(scene.maker.made) == made
        assert scene.prefetched == []

    run(scene, story)


def test_an_error_of_one_project_leaves_the_others_their_turn(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.maker.go.set()
    real = scene.maker.make

    async def make(*arguments: Any) -> Outcome:
        scene.maker.make = real  # type: ignore[method-assign]
        raise RuntimeError("a defect")

    scene.maker.make = make  # type: ignore[method-assign, assignment]

    async def story() -> None:
        for _ in range(2):
            scene.prefetcher.fetched(scene.project)
            await turns_until(lambda: not scene.prefetcher.busy)
        assert scene.maker.made == [scene.commit]

    run(scene, story)


def test_a_project_that_was_forgotten_meanwhile_gets_no_record(tmp_path: Path) -> None:
    scene = Scene(tmp_path)

    async def story() -> None:
        scene.prefetcher.fetched(scene.project)
        await turns_until(lambda: bool(scene.maker.begun))
        scene.book.remove(scene.project)
        scene.maker.go.set()
        await turns_until(lambda: not scene.prefetcher.busy)
        assert not scene.layout.projects.exists()

    run(scene, story)


def test_a_project_without_an_environment_starts_no_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(tmp_path)
    scene.book.remove(scene.project)
    monkeypatch.setattr("subprocess.Popen", None)

    async def story() -> None:
        scene.prefetcher.fetched(scene.project)
        await turns_until(lambda: not scene.prefetcher.busy)

    run(scene, story)


# --- the watcher ------------------------------------------------------------------------------------------------------


def test_a_fetch_is_seen_and_nothing_else_of_git_is_one(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    fetches = Fetches()
    if (scene.project / ".git/reftable").exists():
        pytest.skip("refs in tables: every change of one is seen")

    def is_seen(*arguments: str) -> bool:
        git(scene.project, *arguments)
        return fetches.changed([scene.project, tmp_path]) == [scene.project]

    assert fetches.changed([scene.project, tmp_path]) == []
    assert is_seen("fetch")
    assert not is_seen("status")
    assert not is_seen("checkout", "-q", "feature")
    assert not is_seen("commit", "-q", "--allow-empty", "-m", "x")
    assert is_seen("pack-refs", "--all")
    assert is_seen("fetch", "-q", "origin", "feature")


def test_a_fetch_is_that_of_the_worktree_in_which_it_was_made(tmp_path: Path) -> None:
    scene, tree = Scene(tmp_path), tmp_path / "tree"
    git(scene.project, "worktree", "add", "-q", "-b", "work", str(tree))
    fetches = Fetches()
    fetches.changed([scene.project, tree])
    for folder in (scene.project, tree):
        git(folder, "fetch", "-q")
        assert fetches.changed([scene.project, tree]) == [folder]


def test_the_watcher_tells_of_a_fetch_at_once(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    fetched: list[Path] = []
    seen = asyncio.Event()

    async def on_change(_project: Path) -> None:
        seen.set()

    async def main() -> None:
        project = WatchedProject(path=scene.project, inputs=(scene.project / "uv.lock",))
        watcher = Watcher(projects=lambda: [project], on_change=on_change, on_fetch=fetched.append, rescan_seconds=3600)
        task = asyncio.create_task(watcher.run())
        await seen.wait()
        await turns_until(lambda: watcher.watches(scene.project))
        assert fetched == []
        await asyncio.to_thread(git, scene.project, "fetch", "-q")
        await turns_until(lambda: bool(fetched))
        assert set(fetched) == {scene.project}
        task.cancel()
        await asyncio.wait({task})

    asyncio.run(main())
