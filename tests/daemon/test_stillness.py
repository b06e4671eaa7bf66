"""Waiting for git: for one step of it, and for the end of an act of many steps, as long as it gets on."""

import asyncio
import os
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from storectl_daemon.projects import stillness
from storectl_daemon.projects.stillness import Stillness
from support.daemon import DEADLINE
from support.project import git

PATIENT = Stillness(standstill_seconds=DEADLINE)
HASTY = Stillness(standstill_seconds=0.05)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Two branches that both change a file."""
    git(tmp_path, "init", "-q")
    for branch in ("main", "other"):
        git(tmp_path, "checkout", "-q", "--orphan" if branch == "main" else "-b", branch)
        (tmp_path / "uv.lock").write_text(branch)
        git(tmp_path, "add", "-A")
        git(tmp_path, "commit", "-qm", branch)
    git(tmp_path, "checkout", "-qb", "third", "main")
    (tmp_path / "uv.lock").write_text("third")
    git(tmp_path, "commit", "-qam", "third")
    return tmp_path


def play(scenario: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(DEADLINE):
            await scenario()

    asyncio.run(main())


def stops(folder: Path, *arguments: str) -> None:
    """An act of git's that stops before its end."""
    with pytest.raises(subprocess.CalledProcessError):
        git(folder, *arguments)


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        (("rebase", "-q", "--merge", "other"), ("rebase", "--abort")),
        (("rebase", "-q", "--apply", "other"), ("rebase", "--abort")),
        (("merge", "-q", "other"), ("merge", "--abort")),
        (("cherry-pick", "other"), ("cherry-pick", "--abort")),
        (("revert", "--no-edit", "HEAD~1"), ("revert", "--abort")),
    ],
    ids=["rebase", "rebase with patches", "merge", "cherry-pick", "revert"],
)
def test_what_git_has_begun_is_under_way_until_its_end(
    checkout: Path, begin: tuple[str, ...], end: tuple[str, ...]
) -> None:
    async def scenario() -> None:
        assert not await PATIENT.is_under_way(checkout)
        stops(checkout, *begin)
        assert await PATIENT.is_under_way(checkout)
        waiting = asyncio.create_task(PATIENT.wait_for_end(checkout))
        assert (await asyncio.wait([waiting], timeout=0.1))[1]
        git(checkout, *end)
        await waiting
        assert not await PATIENT.is_under_way(checkout)

    play(scenario)


def test_what_does_not_get_on_is_not_waited_for_until_it_moves(checkout: Path) -> None:
    async def scenario() -> None:
        stops(checkout, "rebase", "-q", "other")
        await HASTY.wait_for_end(checkout)
        assert not await HASTY.is_under_way(checkout)
        (checkout / "uv.lock").write_text("resolved")
        assert not await HASTY.is_under_way(checkout)  # that was a person
        (checkout / ".git/MERGE_HEAD").touch()
        assert await HASTY.is_under_way(checkout)

    play(scenario)


def test_a_rebase_that_gets_on_is_waited_for_longer_than_one_that_stands_still(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, looks = 0.0, 0

    async def a_second_passes(_seconds: float) -> None:
        nonlocal clock, looks
        clock, looks = clock + 1, looks + 1
        if looks <= 8:
            os.utime(checkout / ".git/rebase-merge", ns=(looks, looks))  # a step

    async def scenario() -> None:
        stops(checkout, "rebase", "-q", "other")
        monkeypatch.setattr(stillness, "monotonic", lambda: clock)
        monkeypatch.setattr(asyncio, "sleep", a_second_passes)
        await Stillness(standstill_seconds=3).wait_for_end(checkout)
        assert looks == 8 + 3

    play(scenario)


def test_a_bisection_is_not_waited_for_because_each_of_its_states_is_to_be_run(checkout: Path) -> None:
    async def scenario() -> None:
        git(checkout, "bisect", "start", "HEAD", "main")
        assert not await PATIENT.is_under_way(checkout)

    play(scenario)


def test_a_worktree_is_waited_for_by_itself(checkout: Path) -> None:
    async def scenario() -> None:
        tree = checkout / "tree"
        git(checkout, "worktree", "add", "-q", str(tree))
        stops(checkout, "rebase", "-q", "other")
        assert await PATIENT.is_under_way(checkout)
        assert not await PATIENT.is_under_way(tree)
        stops(tree, "rebase", "-q", "other")
        git(checkout, "rebase", "--abort")
        assert await PATIENT.is_under_way(tree)
        assert not await PATIENT.is_under_way(checkout)

    play(scenario)


def test_outside_of_a_checkout_nothing_is_under_way(tmp_path: Path) -> None:
    async def scenario() -> None:
        assert not await PATIENT.is_under_way(tmp_path)
        await PATIENT.wait_for_end(tmp_path)

    play(scenario)
