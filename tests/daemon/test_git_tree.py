"""The files of a ref, read by git: what is there, what is not, and what a repository might make git do."""

import os
from pathlib import Path

import pytest

from storectl_daemon.errors import GitRefError
from storectl_daemon.projects.git_tree import GitTree
from support.project import git


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = (tmp_path / "repository").resolve()
    (folder / "packages/a").mkdir(parents=True)
    git(folder, "init", "-q")
    for number in range(2):
        (folder / "uv.lock").write_bytes(b"version = %d\r\n\n\n" % number)
        (folder / "packages/a/pyproject.toml").write_text("[project]\n")
        git(folder, "add", "-A")
        git(folder, "commit", "-qm", f"{number}")
    return folder


def tree(folder: Path, ref: str) -> GitTree:
    return GitTree.of_ref(folder, ref, os.environ | {"GIT_DIR": "/nowhere", "GIT_CONFIG_GLOBAL": os.devnull})


def test_a_file_is_what_it_was_byte_for_byte(repository: Path) -> None:
    for ref, number in (("HEAD~1", 0), ("main", 1)):
        assert tree(repository, ref).read(repository / "uv.lock") == b"version = %d\r\n\n\n" % number
    assert tree(repository / "packages", "HEAD").read(repository / "uv.lock") is not None
    assert tree(repository, "HEAD").read(repository / "no.lock") is None


def test_a_file_elsewhere_is_what_it_is_now(repository: Path) -> None:
    (repository.parent / "uv.toml").write_text("now")
    assert tree(repository, "HEAD").read(repository.parent / "uv.toml") == b"now"


def test_the_members_of_a_workspace_are_those_of_the_ref(repository: Path) -> None:
    (repository / "packages/b").mkdir()
    (repository / "packages/b/pyproject.toml").write_text("[project]\n")
    assert list(tree(repository, "HEAD").matching(str(repository), "packages/*")) == ["packages/a"]


@pytest.mark.parametrize("ref", ["nowhere", "-h", "--all", "", "HEAD:uv.lock", "a\0b", "@{upstream}"])
def test_what_is_no_ref_is_said(repository: Path, ref: str) -> None:
    with pytest.raises(GitRefError, match="is no ref in the repository of"):
        tree(repository, ref)


def test_outside_of_a_repository_there_is_no_ref(tmp_path: Path) -> None:
    with pytest.raises(GitRefError, match="in no repository that git reads"):
        tree(tmp_path, "HEAD")


def test_a_partial_clone_fetches_nothing_and_runs_nothing(repository: Path, tmp_path: Path) -> None:
    git(repository, "config", "uploadpack.allowFilter", "true")
    clone, marker = tmp_path.resolve() / "clone", tmp_path / "marker"
    git(tmp_path, "clone", "-q", "--filter=blob:none", repository.as_uri(), str(clone))
    for name, value in (("remote.origin.url", f"ext::touch {marker}"), ("protocol.ext.allow", "always")):
        git(clone, "config", name, value)
    assert tree(clone, "HEAD").read(clone / "uv.lock") == b"version = 1\r\n\n\n"
    with pytest.raises(GitRefError, match=r"git does not show uv\.lock of"):
        tree(clone, "HEAD~1").read(clone / "uv.lock")
    assert not marker.exists()
