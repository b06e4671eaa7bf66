"""A worktree that git adds is made ready before anything runs in it; one that git removes is forgotten."""

import errno
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from storectl_daemon.jobs.options import Options
from storectl_daemon.projects.book import Project, RecordedEnvironment
from storectl_daemon.projects.worktrees import Changes, Neighbour, Worktrees, neighbours
from support.daemon import Daemon, new_daemon, until
from support.index import LoopbackIndex, serve_index
from support.lock_files import pylock_text
from support.project import git
from support.wheels import make_wheel

# --- what came and what went, by looking at folders --------------------------------------------------------------------


@pytest.fixture
def main(tmp_path: Path) -> Path:
    """A repository with a project at its root and one inside."""
    folder = tmp_path / "main"
    (folder / "services/api").mkdir(parents=True)
    git(folder, "init", "-q")
    for place in (folder, folder / "services/api"):
        (place / "pylock.toml").touch()
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "first")
    return folder


def add(main: Path, name: str) -> Path:
    """A worktree beside the repository."""
    git(main, "worktree", "add", "-q", str(main.parent / name))
    return main.parent / name


def own(main: Path, name: str) -> Path:
    return main / ".git/worktrees" / name


def test_a_worktree_is_new_once(main: Path) -> None:
    seen = Worktrees()
    assert seen.changes([main]) == Changes()
    add(main, "one")
    assert seen.changes([main, main / "services/api"]) == Changes(added=(own(main, "one"),))
    add(main, "two")
    assert seen.changes([main]) == Changes(added=(own(main, "two"),))
    assert seen.changes([main]) == Changes()


def test_what_git_removes_or_moves_is_gone_and_what_only_vanishes_is_not(main: Path) -> None:
    seen = Worktrees()
    removed, moved, vanished = (add(main, name) for name in ("removed", "moved", "vanished"))
    seen.changes([main, removed, moved, vanished])
    git(main, "worktree", "remove", str(removed))
    git(main, "worktree", "move", str(moved), str(moved.with_name("elsewhere")))
    shutil.rmtree(vanished)
    changes = seen.changes([main])
    assert changes.added == (own(main, "moved"),)
    assert set(changes.removed) == {removed, moved}
    git(main, "worktree", "prune")
    assert seen.changes([main]).removed == (vanished,)


def test_a_repository_that_is_not_mounted_has_lost_nothing_and_gains_nothing_when_it_is_back(
    main: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, tree = Worktrees(), add(main, "tree")
    seen.changes([main, tree])
    later = (own(main, "tree") / "gitdir").stat().st_mtime + 61
    monkeypatch.setattr("time.time", lambda: later)
    for folder in (main, tree):
        folder.rename(folder.with_name(f"{folder.name} elsewhere"))
    assert seen.changes([main, tree]) == Changes()
    for folder in (main, tree):
        folder.with_name(f"{folder.name} elsewhere").rename(folder)
    assert seen.changes([main, tree]) == Changes()


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES, errno.ESTALE])
def test_nothing_is_gone_and_nothing_is_new_because_of_an_error(
    main: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, tree = Worktrees(), add(main, "tree")
    seen.changes([main, tree])
    later = (own(main, "tree") / "gitdir").stat().st_mtime + 61
    monkeypatch.setattr("time.time", lambda: later)

    def refused(*_arguments: object, **_options: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as failing:
        for name in ("lstat", "stat", "scandir"):
            failing.setattr(os, name, refused)
        assert seen.changes([main, tree]) == Changes()
    assert seen.changes([main, tree]) == Changes()


def test_worktrees_from_long_ago_are_nothing_new(main: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(main, "old")
    assert Worktrees().changes([main]).added == (own(main, "old"),)
    later = (own(main, "old") / "gitdir").stat().st_mtime + 61
    monkeypatch.setattr("time.time", lambda: later)
    assert Worktrees().changes([main]) == Changes()


def used(path: Path, last_used: float, options: Options | None = None) -> Project:
    recorded = RecordedEnvironment(options=options or Options(), last_used=last_used)
    return Project(path=path, environments=(recorded,))


def test_each_place_of_the_worktree_is_as_the_project_there_that_was_used_last(main: Path) -> None:
    earlier = add(main, "earlier")
    add(main, "new")
    api = Options(extras=frozenset({"x"}), member=str(earlier / "services/api"))
    root, inside = used(main, 1), used(earlier / "services/api", 3, api)
    others = [used(earlier, 0), used(main / "services/api", 2), used(main.parent / "other", 9)]
    found = neighbours(own(main, "new"), [root, inside, *others])
    new = main.parent / "new"
    assert found == [
        Neighbour(folder=new, project=root, options=Options()),
        Neighbour(folder=new / "services/api", project=inside, options=replace(api, member=str(new / "services/api"))),
    ]


def test_a_worktree_that_is_not_checked_out_yet_is_waited_for_and_one_that_is_gone_is_not(main: Path) -> None:
    add(main, "new")
    (own(main, "new") / "locked").write_text("initializing\n")
    assert neighbours(own(main, "new"), [used(main, 1)]) is None
    (own(main, "new") / "locked").write_text("on a portable disk\n")
    assert neighbours(own(main, "new"), [used(main, 1)])
    (own(main, "new") / "index").rename(own(main, "new") / "index.lock")
    assert neighbours(own(main, "new"), [used(main, 1)]) is None
    (own(main, "new") / "index.lock").unlink()
    assert neighbours(own(main, "new"), [used(main, 1)]) is None
    os.utime(own(main, "new") / "gitdir", (1, 1))  # it was added with --no-checkout
    assert neighbours(own(main, "new"), [used(main, 1)])
    assert neighbours(own(main, "gone"), [used(main, 1)]) == []


def test_relative_paths_of_newer_gits_are_followed(main: Path) -> None:
    tree = add(main, "new")
    (tree / ".git").write_text("gitdir: ../main/.git/worktrees/new\n")
    (own(main, "new") / "gitdir").write_text("../../../../new/.git\n")
    assert neighbours(own(main, "new"), [used(main, 1)]) == [
        Neighbour(folder=tree, project=used(main, 1), options=Options())
    ]


def test_a_git_folder_that_names_the_worktree_of_another_registers_nothing(main: Path) -> None:
    add(main, "new")
    forged = own(main, "forged")
    shutil.copytree(own(main, "new"), forged)
    assert neighbours(forged, [used(main, 1)]) == []


# --- with a daemon ----------------------------------------------------------------------------------------------------

WHEEL = make_wheel("thing", "1.0")
EDITABLE = '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with new_daemon() as daemon:
        daemon.start()
        yield daemon


@pytest.fixture(scope="module")
def index() -> Iterator[LoopbackIndex]:
    with serve_index(WHEEL) as index:
        yield index


def registered(daemon: Daemon) -> set[Path]:
    return {Path(project["path"]) for project in daemon.get("/v1/projects")}


def watched(daemon: Daemon, project: Path) -> None:
    daemon.ready(project)
    until(lambda: daemon.state(project)["watched"])


def becomes_ready(daemon: Daemon, project: Path) -> str:
    """The environment of a project that no command asked for."""
    until(lambda: project in registered(daemon) and daemon.state(project)["state"] == "ready")
    return str(daemon.state(project)["environment"]["id"])


@pytest.fixture
def warmed(main: Path, index: LoopbackIndex, daemon: Daemon) -> Path:
    """The repository with real lock files, and both of its projects in use."""
    for place in (main, main / "services/api"):
        (place / "pylock.toml").write_text(pylock_text(index, [WHEEL]))
    git(main, "commit", "-qam", "real lock files")
    watched(daemon, main)
    watched(daemon, main / "services/api")
    return main


def test_a_new_worktree_is_ready_before_anything_runs_in_it(daemon: Daemon, warmed: Path) -> None:
    tree = add(warmed, "tree")
    assert becomes_ready(daemon, tree) == becomes_ready(daemon, warmed)  # the same wheels: the same environment
    becomes_ready(daemon, tree / "services/api")
    assert (daemon.record(tree) / "ready.default").exists()


def test_only_what_has_a_lock_file_in_the_worktree_is_registered(daemon: Daemon, warmed: Path) -> None:
    (warmed / "services/api/main.py").touch()
    git(warmed, "rm", "-q", "services/api/pylock.toml")
    git(warmed, "add", "-A")
    git(warmed, "commit", "-qm", "one project less")
    tree = add(warmed, "tree")
    becomes_ready(daemon, tree)
    assert tree / "services/api" not in registered(daemon)
    assert (tree / "services/api").is_dir()


def test_a_removed_worktree_is_forgotten_with_its_record(daemon: Daemon, warmed: Path) -> None:
    tree = add(warmed, "tree")
    becomes_ready(daemon, tree / "services/api")
    becomes_ready(daemon, tree)
    until((daemon.record(tree) / "history").exists)
    git(warmed, "worktree", "remove", str(tree))
    until(lambda: registered(daemon).isdisjoint({tree, tree / "services/api"}))
    until(lambda: not daemon.record(tree).exists())
    assert {warmed, warmed / "services/api"} <= registered(daemon)


def test_a_moved_worktree_is_ready_where_it_is_now(daemon: Daemon, warmed: Path) -> None:
    tree = add(warmed, "tree")
    becomes_ready(daemon, tree)
    becomes_ready(daemon, tree / "services/api")
    git(warmed, "worktree", "move", str(tree), str(tree.with_name("moved")))
    becomes_ready(daemon, tree.with_name("moved"))
    until(lambda: tree not in registered(daemon))


def test_worktrees_of_a_bare_repository_know_one_another(daemon: Daemon, warmed: Path) -> None:
    bare = warmed.parent / "all.git"
    git(warmed.parent, "clone", "-q", "--bare", "main", "all.git")
    git(bare, "worktree", "add", "-q", "-b", "one", str(warmed.parent / "one"))
    watched(daemon, warmed.parent / "one")
    git(bare, "worktree", "add", "-q", "-b", "two", str(warmed.parent / "two"))
    becomes_ready(daemon, warmed.parent / "two")


def test_a_worktree_of_a_submodule_is_made_ready(daemon: Daemon, warmed: Path) -> None:
    outer = warmed.parent / "outer"
    outer.mkdir()
    git(outer, "init", "-q")
    git(outer, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(warmed), "inner")
    watched(daemon, outer / "inner")
    git(outer / "inner", "worktree", "add", "-q", str(warmed.parent / "tree"))
    becomes_ready(daemon, warmed.parent / "tree")
