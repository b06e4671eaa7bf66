"""Checking out a commit: what git and ssh say is what the user is told."""

import os
from pathlib import Path

import pytest

from storectl_daemon.building.checkout import Checkout
from storectl_daemon.building.failure import BuildFailedError
from storectl_daemon.building.log import Log
from storectl_daemon.building.mirror_sums import sums_problem
from storectl_daemon.building.request import Repository
from support.project import git


def test_why_ssh_failed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of git itself one only hears that it could not read."""
    ssh = tmp_path / "ssh"
    ssh.write_text("#!/bin/sh\necho 'git@127.0.0.1: Permission denied (publickey).' >&2\nexit 255\n")
    ssh.chmod(0o755)
    monkeypatch.setenv("GIT_SSH_COMMAND", str(ssh))
    repository = Repository(url="ssh://git@127.0.0.1/a/b.git", commit="a" * 40, mirror=str(tmp_path / "mirror"))
    with pytest.raises(
        BuildFailedError, match=r"Permission denied \(publickey\)\. .*Could not read from remote"
    ) as caught:
        Checkout(repository, environ=os.environ, log=Log()).into(tmp_path / "work")
    assert "git fetch" in str(caught.value.hint)


def test_a_repository_that_is_not_there_is_named(tmp_path: Path) -> None:
    where = tmp_path / "nowhere"
    repository = Repository(url=where.as_uri(), commit="a" * 40, mirror=str(tmp_path / "mirror"))
    with pytest.raises(BuildFailedError, match="nowhere"):
        Checkout(repository, environ=os.environ, log=Log()).into(tmp_path / "work")


@pytest.mark.parametrize("name", ["config", "packed-refs"])
def test_a_mirror_that_is_not_as_git_left_it_is_fetched_again(tmp_path: Path, name: str) -> None:
    upstream = tmp_path / "upstream"
    upstream.mkdir()
    (upstream / "file").write_text("one\n")
    git(upstream, "init", "-q")
    git(upstream, "add", "-A")
    git(upstream, "commit", "-qm", "first")
    commit = git(upstream, "rev-parse", "HEAD").strip()
    mirror = tmp_path / "git" / "mirror"
    repository = Repository(url=upstream.as_uri(), commit=commit, mirror=str(mirror))
    Checkout(repository, environ=os.environ, log=Log()).into(tmp_path / "one")
    assert sums_problem(mirror) is None
    (mirror / name).write_text("nonsense\n")
    assert sums_problem(mirror) == "its files are not as git left them"
    Checkout(repository, environ=os.environ, log=Log()).into(tmp_path / "two")
    assert (tmp_path / "two" / "file").read_text() == "one\n"
    assert sums_problem(mirror) is None
