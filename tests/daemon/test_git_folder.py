"""What is checked out: the same as git says, whatever kind of repository it is."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from storectl_daemon.projects.git_folder import head_of
from storectl_store.projects.git_refs import Head, common_folder
from support.project import git


def said_by_git(folder: Path) -> Head:
    """The answers of the git program."""

    def answer(*question: str) -> str | None:
        try:
            return git(folder, *question).strip() or None
        except subprocess.CalledProcessError:
            return None

    return Head(branch=answer("branch", "--show-current"), commit=answer("rev-parse", "--verify", "--quiet", "HEAD"))


def repository(folder: Path, *init: str) -> Path:
    folder.mkdir(parents=True)
    git(folder, "init", "--quiet", *init)
    commit(folder)
    return folder


def commit(folder: Path) -> None:
    git(folder, "commit", "--quiet", "--allow-empty", "--message", "one more")


def a_branch(work: Path) -> Path:
    folder = repository(work / "main")
    git(folder, "checkout", "--quiet", "-b", "people/jane/fix")
    commit(folder)
    return folder


def a_folder_inside(work: Path) -> Path:
    inside = a_branch(work) / "services" / "api"
    inside.mkdir(parents=True)
    return inside


def packed_refs(work: Path) -> Path:
    folder = a_branch(work)
    git(folder, "pack-refs", "--all")
    return folder


def packed_refs_and_a_newer_commit(work: Path) -> Path:
    folder = packed_refs(work)
    commit(folder)
    return folder


def no_branch(work: Path) -> Path:
    folder = repository(work / "main")
    git(folder, "checkout", "--quiet", "--detach")
    return folder


def no_commit(work: Path) -> Path:
    folder = repository(work / "main")
    git(folder, "checkout", "--quiet", "--orphan", "new")
    return folder


def sha256(work: Path) -> Path:
    return repository(work / "main", "--object-format=sha256")


def a_ref_that_names_a_ref(work: Path) -> Path:
    folder = repository(work / "main")
    git(folder, "symbolic-ref", "refs/heads/alias", "refs/heads/main")
    git(folder, "symbolic-ref", "HEAD", "refs/heads/alias")
    return folder


def refs_that_name_one_another(work: Path) -> Path:
    folder = repository(work / "main")
    (folder / ".git/refs/heads/main").write_text("ref: refs/heads/main\n")
    return folder


def a_worktree(work: Path) -> Path:
    main, tree = repository(work / "main"), work / "tree"
    git(main, "worktree", "add", "--quiet", "-b", "side", str(tree))
    commit(tree)
    git(main, "pack-refs", "--all")
    return tree


def a_worktree_of_a_bare_repository(work: Path) -> Path:
    repository(work / "origin")
    git(work, "clone", "--quiet", "--bare", "origin", "all.git")
    git(work / "all.git", "worktree", "add", "--quiet", "-b", "side", str(work / "tree"))
    return work / "tree"


def a_submodule(work: Path) -> Path:
    outer = repository(work / "outer")
    repository(work / "inner")
    git(outer, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(work / "inner"), "vendored")
    return outer / "vendored"


def a_worktree_of_a_submodule(work: Path) -> Path:
    git(a_submodule(work), "worktree", "add", "--quiet", "-b", "side", str(work / "tree"))
    return work / "tree"


def the_middle_of_a_rebase(work: Path) -> Path:
    folder = a_branch(work)
    subprocess.run(
        ["git", "-c", "user.name=t", "-c", "user.email=t@localhost", "rebase", "--quiet", "--exec", "false", "main"],
        cwd=folder, check=False, capture_output=True,
    )  # fmt: skip
    assert (folder / ".git/rebase-merge").is_dir()
    return folder


@pytest.mark.parametrize(
    "made",
    [
        a_branch, a_folder_inside, packed_refs, packed_refs_and_a_newer_commit, no_branch, no_commit, sha256,
        a_ref_that_names_a_ref, refs_that_name_one_another, a_worktree, a_worktree_of_a_bare_repository, a_submodule,
        a_worktree_of_a_submodule, the_middle_of_a_rebase,
    ],
    ids=lambda made: made.__name__,
)  # fmt: skip
def test_branch_and_commit_are_what_git_says(made: Callable[[Path], Path], tmp_path: Path) -> None:
    folder = made(tmp_path)
    assert head_of(folder) == said_by_git(folder)


def test_no_process_is_started_for_refs_in_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = [a_worktree(tmp_path / "one"), packed_refs(tmp_path / "two"), no_commit(tmp_path / "three")]
    monkeypatch.setattr(subprocess, "run", None)
    assert all(head_of(folder) != Head() for folder in folders)


def test_outside_of_a_checkout_there_is_neither(tmp_path: Path) -> None:
    assert head_of(tmp_path) == Head()


def test_worktrees_have_a_folder_in_common(tmp_path: Path) -> None:
    tree = a_worktree(tmp_path)
    own = Path(git(tree, "rev-parse", "--absolute-git-dir").strip())
    assert common_folder(own) == tmp_path / "main" / ".git" == common_folder(tmp_path / "main" / ".git")


# --- refs in tables: git's newer format, which is asked of git --------------------------------------------------------


class Tables:
    """A checkout with refs in tables, and a stand-in for a git that reads them: not every git can."""

    def __init__(self, work: Path, script: str) -> None:
        self.folder = repository(work / "main")
        (self.folder / ".git/reftable").mkdir()
        (self.folder / ".git/reftable/tables.list").touch()
        (self.folder / ".git/HEAD").write_text("ref: refs/heads/.invalid\n")
        self.asked = work / "asked"
        program = work / "bin" / "git"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nenv >"{self.asked}.environ"\necho "$*" >>"{self.asked}"\n{script}\n')
        program.chmod(0o755)
        self.environ = {"PATH": f"{program.parent}:{os.environ['PATH']}", "GIT_DIR": "/nowhere"}

    def head(self) -> Head:
        return head_of(self.folder, environ=self.environ)


def test_tables_are_asked_of_git_once(tmp_path: Path) -> None:
    tables = Tables(tmp_path, f"echo {'a' * 40}; echo refs/heads/people/jane")
    assert tables.head() == Head(branch="people/jane", commit="a" * 40)
    assert len(tables.asked.read_text().splitlines()) == 1


def test_that_git_calls_nobody_asks_nobody_and_takes_no_lock(tmp_path: Path) -> None:
    tables = Tables(tmp_path, f"echo {'a' * 40}; echo HEAD")
    assert tables.head() == Head(commit="a" * 40)
    assert {"protocol.allow=never", "core.fsmonitor=", "core.hooksPath=/dev/null"} <= set(
        tables.asked.read_text().split()
    )
    environ = set((tmp_path / "asked.environ").read_text().splitlines())
    assert {"GIT_NO_LAZY_FETCH=1", "GIT_TERMINAL_PROMPT=0", "GIT_OPTIONAL_LOCKS=0"} <= environ
    assert "GIT_DIR=/nowhere" not in environ


def test_tables_without_a_commit_have_a_branch(tmp_path: Path) -> None:
    tables = Tables(tmp_path, 'case "$*" in *rev-parse*) exit 128;; *) echo refs/heads/new;; esac')
    assert tables.head() == Head(branch="new")


def test_tables_that_git_cannot_read_say_nothing(tmp_path: Path) -> None:
    assert Tables(tmp_path, "exit 128").head() == Head()
    assert head_of(tmp_path / "main", environ={"PATH": str(tmp_path)}) == Head()
