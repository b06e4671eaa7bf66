"""Which branch a grant is told of: git writes it after the files that the grant was made of."""

import os
import time
from pathlib import Path

import pytest

from storectl_daemon.projects import settled_head
from support.project import git

HOUR_NS = 3600 * 1_000_000_000


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "one")
    git(tmp_path, "branch", "feature")
    write_times(tmp_path, head=-HOUR_NS, index=-HOUR_NS)
    return tmp_path


def write_times(checkout: Path, *, head: int, index: int) -> None:
    """Give these files these times, in ns from now."""
    now = time.time_ns()
    for name in ("HEAD", "logs/HEAD"):
        os.utime(checkout / ".git" / name, ns=(now + head,) * 2)
    (checkout / ".git/index").touch()
    os.utime(checkout / ".git/index", ns=(now + index,) * 2)


def branch(checkout: Path) -> str | None:
    return settled_head.settled_head(checkout, environ={}).branch


def test_a_branch_that_git_is_about_to_write_is_waited_for(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_times(checkout, head=-HOUR_NS, index=0)
    monkeypatch.setattr(time, "sleep", lambda _: git(checkout, "symbolic-ref", "HEAD", "refs/heads/feature"))
    assert branch(checkout) == "feature"


@pytest.mark.parametrize("index", [-HOUR_NS, -2 * HOUR_NS])
def test_an_index_that_is_old_or_older_than_the_branch_is_not_waited_for(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, index: int
) -> None:
    write_times(checkout, head=index + HOUR_NS, index=index)
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("it waits"))
    assert branch(checkout) == "main"


def test_an_index_after_which_nothing_comes_is_waited_for_in_vain(checkout: Path) -> None:
    write_times(checkout, head=-HOUR_NS, index=0)
    assert branch(checkout) == "main"


def test_outside_of_a_checkout_there_is_no_branch(tmp_path: Path) -> None:
    assert settled_head.settled_head(tmp_path, environ={}).branch is None
