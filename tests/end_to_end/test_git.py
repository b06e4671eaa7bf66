"""A lock file that git changes: the environment is there before anything runs."""

import os
from pathlib import Path
from typing import Any

import pytest

from support.daemon import until
from support.index import LoopbackIndex
from support.machine import Machine
from support.project import git, write_project
from support.wheels import WheelBytes, fresh_wheel

GUESTS = True  # the tests do not disturb one another: one daemon serves them all
SHOW = "import alpha; print(alpha.__version__)"


class Checkout:
    """A clone of a repository whose upstream can move on."""

    def __init__(self, machine: Machine, index: LoopbackIndex) -> None:
        self.machine, self.index = machine, index
        self.upstream = machine.home / "upstream"
        self.write(self.upstream, [fresh_wheel("alpha", "1.0")])
        (self.upstream / "notes.txt").write_text("one\n")
        git(self.upstream, "init", "-q")
        self.commit(self.upstream, "first")
        self.folder = machine.home / "clone"
        git(machine.home, "clone", "-q", str(self.upstream), str(self.folder))

    def write(self, folder: Path, wheels: list[WheelBytes]) -> None:
        write_project(folder, self.index, wheels)

    def commit(self, folder: Path, message: str) -> None:
        git(folder, "add", "-A")
        git(folder, "commit", "-qm", message)

    def version(self) -> str:
        return self.machine.ok("run", "-c", SHOW, cwd=self.folder).strip()

    def wait_ready(self, environment_other_than: str = "", wheels: int | None = None) -> dict[str, Any]:
        def done(state: dict[str, Any]) -> bool:
            environment = state["environment"] or {}
            return (
                state["state"] == "ready"
                and environment.get("id") != environment_other_than
                and (wheels is None or environment.get("wheels") == wheels)
            )

        return self.machine.wait_for_state(self.folder, done)

    def environment_id(self) -> str:
        return str(self.wait_ready()["environment"]["id"])


@pytest.fixture
def checkout(machine: Machine, index: LoopbackIndex) -> Checkout:
    made = Checkout(machine, index)
    assert made.version() == "1.0"
    return made


def test_a_pull_brings_the_environment_and_the_next_run_fetches_nothing(checkout: Checkout) -> None:
    before = checkout.environment_id()
    checkout.write(checkout.upstream, [fresh_wheel("alpha", "2.0"), fresh_wheel("beta")])
    checkout.commit(checkout.upstream, "second")
    git(checkout.folder, "pull", "-q")
    checkout.wait_ready(environment_other_than=before)
    requests = sum(checkout.index.requests.values())
    assert checkout.version() == "2.0"
    assert sum(checkout.index.requests.values()) == requests


def test_a_branch_that_was_fetched_runs_offline_at_once(checkout: Checkout) -> None:
    git(checkout.upstream, "checkout", "-qb", "feature")
    checkout.write(checkout.upstream, [fresh_wheel("alpha", "2.0"), fresh_wheel("beta")])
    checkout.commit(checkout.upstream, "theirs")
    git(checkout.folder, "fetch", "-q")
    prefetched = checkout.machine.record(checkout.folder) / "prefetched"
    until(lambda: prefetched.exists() and " feature" in prefetched.read_text())
    git(checkout.folder, "checkout", "-q", "feature")
    requests = sum(checkout.index.requests.values())
    assert checkout.machine.ok("run", "--offline", "-c", SHOW, cwd=checkout.folder).strip() == "2.0"
    assert sum(checkout.index.requests.values()) == requests


def test_branches_back_and_forth_fetch_and_unpack_nothing_the_second_time(checkout: Checkout) -> None:
    first = checkout.environment_id()
    git(checkout.folder, "checkout", "-qb", "feature")
    checkout.write(checkout.folder, [fresh_wheel("alpha", "2.0")])
    checkout.commit(checkout.folder, "feature")
    second = checkout.wait_ready(environment_other_than=first)["environment"]["id"]
    entries = checkout.machine.json("store", "list", "--json")
    requests = sum(checkout.index.requests.values())
    for branch, expected, version in (("main", first, "1.0"), ("feature", second, "2.0"), ("main", first, "1.0")):
        git(checkout.folder, "checkout", "-q", branch)
        checkout.machine.wait_for_state(
            checkout.folder,
            lambda state, expected=expected: state["state"] == "ready" and state["environment"]["id"] == expected,  # type: ignore[misc]
        )
        assert checkout.version() == version
    assert sum(checkout.index.requests.values()) == requests
    assert checkout.machine.json("store", "list", "--json") == entries


def test_a_rebase_and_a_merge_with_conflicts_elsewhere_are_followed(checkout: Checkout) -> None:
    first = checkout.environment_id()
    checkout.write(checkout.upstream, [fresh_wheel("alpha", "2.0")])
    (checkout.upstream / "notes.txt").write_text("theirs\n")
    checkout.commit(checkout.upstream, "upstream moves on")
    (checkout.folder / "mine.txt").write_text("mine\n")
    checkout.commit(checkout.folder, "local work")
    git(checkout.folder, "fetch", "-q")
    git(checkout.folder, "rebase", "-q", "origin/main")
    second = checkout.wait_ready(environment_other_than=first)["environment"]["id"]
    assert checkout.version() == "2.0"

    git(checkout.folder, "checkout", "-qb", "other", "HEAD~2")
    (checkout.folder / "notes.txt").write_text("ours\n")
    checkout.commit(checkout.folder, "conflicting note")
    checkout.machine.wait_for_state(
        checkout.folder, lambda s: s["state"] == "ready" and s["environment"]["id"] == first
    )
    with pytest.raises(Exception, match="merge"):
        git(checkout.folder, "merge", "-q", "main")
    checkout.machine.wait_for_state(
        checkout.folder, lambda s: s["state"] == "ready" and s["environment"]["id"] == second
    )
    assert checkout.version() == "2.0"


def test_a_lock_file_replaced_by_rename_is_seen_even_when_it_is_older(checkout: Checkout) -> None:
    first = checkout.environment_id()
    other = checkout.machine.home / "other"
    checkout.write(other, [fresh_wheel("alpha", "2.0")])
    lock_file = other / "uv.lock"
    os.utime(lock_file, ns=(1_500_000_000_000_000_000, 1_500_000_000_000_000_000))
    lock_file.rename(checkout.folder / "uv.lock")
    checkout.wait_ready(environment_other_than=first)
    assert checkout.version() == "2.0"
