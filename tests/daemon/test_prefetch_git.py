"""What is asked of git for a prefetch, with repositories made to do harm: nothing runs, nothing connects, all ends."""

import glob
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from storectl_daemon.prefetching import git_calls
from storectl_daemon.prefetching.commit_files import CommitFiles, entries_of
from storectl_daemon.prefetching.fetched import fetched_around, top_of_checkout
from storectl_daemon.prefetching.git_calls import Git, GitError, Objects
from storectl_store.errors import LockFileError
from support.fetching import Upstream
from support.project import git

LOCK = "the lock file\n"


def variables(tmp_path: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}


def git_in(folder: Path) -> Git:
    found = Git.around(folder, variables(folder.parent))
    assert found is not None
    return found


@pytest.fixture
def upstream(tmp_path: Path) -> Upstream:
    return Upstream(tmp_path / "upstream")


@contextmanager
def files_of(folder: Path, commit: str = "HEAD") -> Iterator[CommitFiles]:
    name = git(folder, "rev-parse", commit).strip()
    with git_in(folder).objects() as objects:
        yield CommitFiles(objects, objects.commit(name).tree, folder)


@pytest.fixture
def connections() -> Iterator[tuple[str, list[object]]]:
    """A server that nobody is to call: its address, and who did."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        seen: list[object] = []

        def accept() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                seen.append(connection)
                connection.close()

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/x.git", seen
        server.shutdown(socket.SHUT_RDWR)


# --- the files of a commit --------------------------------------------------------------------------------------------


def test_a_commit_has_its_own_files_and_not_those_of_the_checkout(upstream: Upstream) -> None:
    upstream.commit({"uv.lock": LOCK, "lib/pyproject.toml": "x"})
    (upstream.folder / "uv.lock").write_text("changed")
    (upstream.folder / "more.txt").write_text("not committed")
    with files_of(upstream.folder) as files:
        assert files.read(upstream.folder / "uv.lock") == LOCK.encode()
        assert files.read(upstream.folder / "lib/pyproject.toml") == b"x"
        assert [files.read(upstream.folder / name) for name in ("more.txt", "lib", "lib/none", "uv.lock/x")] == [
            None
        ] * 4


def test_paths_out_of_the_checkout_have_no_files_but_the_user_s_settings(upstream: Upstream, tmp_path: Path) -> None:
    upstream.commit({"uv.lock": LOCK})
    secret, settings = tmp_path / "secret", tmp_path / "uv.toml"
    secret.write_text("secret")
    settings.write_text("settings")
    name = git(upstream.folder, "rev-parse", "HEAD").strip()
    with git_in(upstream.folder).objects() as objects:
        files = CommitFiles(objects, objects.commit(name).tree, upstream.folder, outside=frozenset({settings}))
        assert files.read(settings) == b"settings"
        for path in (secret, upstream.folder / "../secret", Path("/etc/passwd")):
            assert files.read(path) is None
        for pattern in ("../*", "/etc/*", "..", "a/../../*"):
            assert list(files.matching(str(upstream.folder), pattern)) == []


@pytest.mark.parametrize("name", ["uv.lock", "folder/uv.lock"])
def test_a_link_is_no_file_and_leads_nowhere(upstream: Upstream, tmp_path: Path, name: str) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "target/uv.lock").write_text("secret")
    if name == "uv.lock":
        (upstream.folder / "uv.lock").symlink_to(tmp_path / "target/uv.lock")
    else:
        (upstream.folder / "folder").symlink_to(tmp_path / "target")
    upstream.commit()
    with files_of(upstream.folder) as files:
        if name == "uv.lock":
            with pytest.raises(LockFileError, match="not a regular file"):
                files.read(upstream.folder / name)
        else:
            assert files.read(upstream.folder / name) is None
            assert list(files.matching(str(upstream.folder), "folder/*")) == []


def test_a_submodule_has_no_files(upstream: Upstream, tmp_path: Path) -> None:
    inner = Upstream(tmp_path / "inner")
    inner.commit({"uv.lock": LOCK})
    git(
        upstream.folder, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", inner.folder.as_uri(), "sub"
    )
    upstream.commit()
    with files_of(upstream.folder) as files:
        assert files.read(upstream.folder / "sub/uv.lock") is None
        with pytest.raises(LockFileError):
            files.read(upstream.folder / "sub")


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("packages/*", ["packages/.x", "packages/a", "packages/b"]),
        ("packages/[ab]", ["packages/a", "packages/b"]),
        ("*", ["packages", "uv.lock"]),
        ("**/pyproject.toml", ["packages/a/deep/pyproject.toml", "packages/a/pyproject.toml", "packages/b/pyproject.toml"]),
        ("packages/**", None),
        ("pack*/?/", ["packages/a", "packages/b"]),
        ("none/*", []),
    ],
)  # fmt: skip
def test_patterns_match_as_they_would_on_disk(upstream: Upstream, pattern: str, expected: list[str] | None) -> None:
    names = ["packages/a/pyproject.toml", "packages/a/deep/pyproject.toml", "packages/b/pyproject.toml"]
    upstream.commit({"uv.lock": LOCK, **dict.fromkeys(names, "x"), "packages/.x/pyproject.toml": "x"})
    with files_of(upstream.folder) as files:
        found = list(files.matching(str(upstream.folder), pattern))
    on_disk = glob.glob(pattern, root_dir=upstream.folder, recursive=True)
    assert found == sorted({path.rstrip("/") for path in on_disk})
    if expected is not None:
        assert [path for path in found if not path.endswith("/.x")] == [p for p in expected if not p.endswith("/.x")]


def test_a_later_commit_with_the_same_answers_is_the_same(upstream: Upstream) -> None:
    upstream.commit({"uv.lock": LOCK, "packages/a/x": "1"})
    folder = str(upstream.folder)
    with files_of(upstream.folder) as files:
        files.read(upstream.folder / "uv.lock")
        files.read(upstream.folder / "uv.toml")
        list(files.matching(folder, "packages/*"))
        answers = dict(files.answers)
    for change, same in (
        ({"main.py": "print()", "packages/a/x": "2"}, True),
        ({"packages/b/x": "1"}, False),
        ({"uv.lock": "another"}, False),
        ({"uv.toml": ""}, False),
    ):
        before = git(upstream.folder, "rev-parse", "HEAD").strip()
        upstream.commit(change)
        with files_of(upstream.folder) as files:
            assert files.answers_as(answers) is same, change
        git(upstream.folder, "reset", "-q", "--hard", before)


@pytest.mark.parametrize("name", ["..", ".", "../../../escape", "a/b", ""])
def test_a_folder_with_names_that_git_never_checks_out_is_refused(name: str) -> None:
    with pytest.raises(GitError):
        entries_of(b"100644 fine\0" + bytes(20) + b"100644 " + name.encode() + b"\0" + bytes(20), 20)
    with pytest.raises(GitError):
        entries_of(b"100644 fine\0" + bytes(19), 20)
    assert list(entries_of(b"100644 fine\0" + bytes(20), 20)) == ["fine"]


def test_too_much_is_refused_before_it_is_read(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    upstream.commit({"uv.lock": "x" * 2000, **{f"d{number}/x": str(number) for number in range(30)}})
    monkeypatch.setattr("storectl_daemon.prefetching.commit_files.LARGEST_FILE", 1000)
    with files_of(upstream.folder) as files, pytest.raises(GitError, match="of 2000 bytes"):
        files.read(upstream.folder / "uv.lock")
    monkeypatch.setattr("storectl_daemon.prefetching.commit_files._MOST_STEPS", 20)
    with files_of(upstream.folder) as files, pytest.raises(GitError, match="steps"):
        list(files.matching(str(upstream.folder), "**/**/**/nothing"))
    monkeypatch.setattr("storectl_daemon.prefetching.commit_files._MOST_STEPS", 10**6)
    monkeypatch.setattr("storectl_daemon.prefetching.commit_files._MOST_FOLDERS", 5)
    with files_of(upstream.folder) as files, pytest.raises(GitError, match="folders"):
        list(files.matching(str(upstream.folder), "*/nothing"))


# --- harm -------------------------------------------------------------------------------------------------------------


def marker(folder: Path) -> tuple[str, Path]:
    """A program that leaves a mark, and the mark."""
    mark, program = folder / "was-run", folder / "harm"
    program.write_text(f"#!/bin/sh\n: > '{mark}'\n")
    program.chmod(0o755)
    return str(program), mark


def partial_clone(upstream: Upstream, folder: Path, url: str) -> Path:
    """A clone without any file, whose remote is at this address now."""
    git(upstream.folder, "config", "uploadpack.allowFilter", "true")
    git(upstream.folder, "clone", "-q", "--filter=blob:none", "--no-checkout", upstream.folder.as_uri(), str(folder))
    git(folder, "config", "remote.origin.url", url)
    return folder


def test_a_missing_object_of_a_partial_clone_is_not_fetched(
    upstream: Upstream, tmp_path: Path, connections: tuple[str, list[object]]
) -> None:
    upstream.commit({"uv.lock": LOCK})
    url, seen = connections
    folder = partial_clone(upstream, tmp_path / "clone", url)
    for remote in (url, upstream.folder.as_uri()):
        git(folder, "config", "remote.origin.url", remote)
        with files_of(folder) as files, pytest.raises(GitError):
            files.read(folder / "uv.lock")
    assert not seen
    git(folder, "config", "remote.origin.url", url)
    with pytest.raises(subprocess.CalledProcessError):  # the control: git itself goes to the remote
        git(folder, "cat-file", "blob", "HEAD:uv.lock")
    assert seen


@pytest.mark.parametrize("vcs", [False, True])
def test_no_program_of_a_configuration_is_run(
    upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, vcs: bool
) -> None:
    monkeypatch.delitem(git_calls._SAFE, "GIT_NO_LAZY_FETCH")  # which older versions of git do not know
    upstream.commit({"uv.lock": LOCK, ".gitattributes": "uv.lock filter=harm diff=harm\n"})
    program, mark = marker(tmp_path)
    folder = partial_clone(upstream, tmp_path / "clone", f"ext::{program}")
    settings = {
        "protocol.ext.allow": "always", "protocol.allow": "always", "core.fsmonitor": program, "core.pager": program,
        "core.hooksPath": str(tmp_path), "core.sshCommand": program, "core.gitProxy": program,
        "remote.origin.uploadpack": program, "core.alternateRefsCommand": program, "filter.harm.smudge": program,
        "diff.harm.textconv": program, "diff.external": program, "credential.helper": f"!{program}",
        "alias.cat-file": f"!{program}", "alias.for-each-ref": f"!{program}", "gpg.program": program,
    }  # fmt: skip
    for name, value in settings.items():
        git(folder, "config", name, value)
    if vcs:
        git(folder, "config", "remote.origin.vcs", "ext")
    with files_of(folder) as files, pytest.raises(GitError):
        files.read(folder / "uv.lock")
    found = fetched_around(folder, variables(tmp_path), "all")
    assert found.git.references("refs/heads", fields=["refname"]) == [["refs/heads/main"]]
    assert not mark.exists()
    with pytest.raises(subprocess.CalledProcessError):  # the control
        git(folder, "cat-file", "blob", "HEAD:uv.lock")
    assert mark.exists()


def test_variables_of_the_shell_count_for_nothing(upstream: Upstream, tmp_path: Path) -> None:
    upstream.commit({"uv.lock": LOCK})
    other = Upstream(tmp_path / "other")
    other.commit({"uv.lock": "another"})
    program, mark = marker(tmp_path)
    environ = variables(tmp_path) | {
        "GIT_DIR": str(other.folder / ".git"), "GIT_EXTERNAL_DIFF": program, "GIT_SSH_COMMAND": program,
        "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.fsmonitor", "GIT_CONFIG_VALUE_0": program,
        "GIT_OBJECT_DIRECTORY": str(other.folder / ".git/objects"), "LD_PRELOAD": str(tmp_path / "none.so"),
    }  # fmt: skip
    found = Git.around(upstream.folder, environ)
    assert found is not None
    name = git(upstream.folder, "rev-parse", "HEAD").strip()
    with found.objects() as objects:
        assert CommitFiles(objects, objects.commit(name).tree, upstream.folder).read(upstream.folder / "uv.lock")
    assert not mark.exists()


def test_git_is_looked_for_in_absolute_folders_of_path_only(upstream: Upstream) -> None:
    assert Git.around(upstream.folder, {"PATH": "bin:."}) is None
    assert Git.around(upstream.folder, {}) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a repository to another user")
def test_the_repository_of_another_user_is_git_s_to_refuse(upstream: Upstream, tmp_path: Path) -> None:
    upstream.commit({"uv.lock": LOCK})
    for path in (upstream.folder, upstream.folder / ".git"):
        os.chown(path, 65534, 65534)
    with pytest.raises(GitError):
        fetched_around(upstream.folder, variables(tmp_path), "all")
    (tmp_path / ".gitconfig").write_text(f"[safe]\ndirectory = {upstream.folder}\n")
    assert fetched_around(upstream.folder, variables(tmp_path), "all").top == upstream.folder


def test_git_that_hangs_is_ended_and_one_that_says_too_much_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "git"
    monkeypatch.setattr(git_calls, "DEADLINE_SECONDS", 0.2)
    monkeypatch.setattr(git_calls, "_LARGEST_ANSWER", 1000)
    for code, told in (("import time; time.sleep(3600)", "exit code -9"), ("print('x' * 2000)", "more than")):
        program.write_text(f"#!{sys.executable}\n{code}\n")
        program.chmod(0o755)
        with pytest.raises(GitError, match=told):
            Git(program=str(program), folder=tmp_path, environ={}).references("refs", fields=["refname"])
    program.write_text(f"#!{sys.executable}\nimport time; time.sleep(3600)\n")
    with Git(program=str(program), folder=tmp_path, environ={}).objects() as objects, pytest.raises(GitError):
        objects.read("0" * 40, "blob", most=10)


def test_what_is_no_object_name_is_never_asked_for(upstream: Upstream) -> None:
    upstream.commit({"uv.lock": LOCK})
    with git_in(upstream.folder).objects() as objects:
        for name in ("HEAD", "HEAD:uv.lock", "--help", "0" * 39, "0" * 40 + "\n"):
            with pytest.raises(GitError):
                objects.read(name, "blob", most=100)
        with pytest.raises(GitError, match="not there"):
            objects.read("0" * 40, "blob", most=100)


# --- kinds of repositories --------------------------------------------------------------------------------------------


def lock_files(project: Path, home: Path) -> list[tuple[str, bytes | None]]:
    """What may be made ready of the repository around this project, and the lock file of each commit."""
    found = fetched_around(project, variables(home), "upstream")
    contents = []
    for commit in found.commits:
        with found.git.objects() as objects:
            files = CommitFiles(objects, objects.commit(commit.commit).tree, found.top)
            contents.append((commit.name, files.read(project / "uv.lock")))
    return contents


@pytest.fixture
def moved_on(upstream: Upstream) -> Upstream:
    """An upstream with a project, which moves on when it is told."""
    upstream.commit({"uv.lock": "old"})
    return upstream


@pytest.mark.parametrize("kind", ["plain", "packed", "worktree", "bare", "submodule", "inner", "shallow"])
def test_every_kind_of_repository_gives_the_lock_file_that_was_fetched(
    moved_on: Upstream, tmp_path: Path, kind: str
) -> None:
    source = moved_on.folder.as_uri()
    clone = project = tmp_path / "clone"
    name = "uv.lock"
    if kind == "inner":
        moved_on.commit({"inner/uv.lock": "old"})
        name, project = "inner/uv.lock", clone / "inner"
    if kind == "bare":
        git(tmp_path, "clone", "-q", "--bare", source, str(tmp_path / "bare.git"))
        git(tmp_path / "bare.git", "config", "remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*")
        git(tmp_path / "bare.git", "worktree", "add", "-q", str(clone), "main")
    elif kind == "submodule":
        outer = Upstream(tmp_path / "outer")
        git(outer.folder, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", source, "sub")
        project = clone = outer.folder / "sub"
    else:
        git(tmp_path, "clone", "-q", *(["--depth=1"] if kind == "shallow" else []), source, str(clone))
    if kind == "worktree":
        git(clone, "worktree", "add", "-q", "-b", "work", str(tmp_path / "tree"), "origin/main")
        project = tmp_path / "tree"
        clone = project
    moved_on.commit({name: LOCK})
    git(clone, "fetch", "-q")
    if kind == "packed":
        git(clone, "pack-refs", "--all")
        git(clone, "gc", "-q", "--prune=now")
        assert not any(path.is_file() for path in (clone / ".git/refs/remotes/origin").rglob("main"))
    assert lock_files(project, tmp_path) == [("main" if kind == "bare" else "origin/main", LOCK.encode())]


@pytest.mark.parametrize("option", ["--object-format=sha256", "--ref-format=reftable"])
def test_newer_formats_work_if_git_knows_them(tmp_path: Path, option: str) -> None:
    try:
        upstream = Upstream(tmp_path / "upstream", option)
    except subprocess.CalledProcessError:
        pytest.skip(f"this git does not know {option}")
    upstream.commit({"uv.lock": "old"})
    git(tmp_path, "clone", "-q", upstream.folder.as_uri(), "clone")
    upstream.commit({"uv.lock": LOCK})
    git(tmp_path / "clone", "fetch", "-q")
    assert lock_files(tmp_path / "clone", tmp_path) == [("origin/main", LOCK.encode())]


def test_a_format_that_git_does_not_know_is_off(upstream: Upstream, tmp_path: Path) -> None:
    upstream.commit({"uv.lock": LOCK})
    git(upstream.folder, "config", "core.repositoryformatversion", "1")
    git(upstream.folder, "config", "extensions.refStorage", "tomorrow")
    with pytest.raises(GitError):
        fetched_around(upstream.folder, variables(tmp_path), "all")


def test_outside_of_a_repository_there_is_nothing(tmp_path: Path) -> None:
    assert top_of_checkout(tmp_path) is None
    with pytest.raises(GitError, match="no git repository"):
        fetched_around(tmp_path, variables(tmp_path), "all")


def test_a_folder_that_is_only_called_git_is_passed_by_as_git_does(moved_on: Upstream, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", moved_on.folder.as_uri(), "clone")
    inner = tmp_path / "clone/inner"
    (inner / ".git").mkdir(parents=True)
    assert top_of_checkout(inner) == tmp_path / "clone"
    moved_on.commit({"uv.lock": LOCK, "inner/uv.lock": "inner"})
    git(tmp_path / "clone", "fetch", "-q")
    assert lock_files(inner, tmp_path) == [("origin/main", b"inner")]


def test_a_pull_request_is_in_fetch_head_alone_and_is_found(moved_on: Upstream, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", moved_on.folder.as_uri(), "clone")
    commit = moved_on.branch("theirs", {"uv.lock": LOCK})
    git(moved_on.folder, "update-ref", "refs/pull/7/head", commit)
    git(tmp_path / "clone", "fetch", "-q", "origin", "pull/7/head")
    assert lock_files(tmp_path / "clone", tmp_path) == [("refs/pull/7/head", LOCK.encode())]


def test_objects_end_with_their_block(upstream: Upstream) -> None:
    upstream.commit({"uv.lock": LOCK})
    with git_in(upstream.folder).objects() as objects:
        assert isinstance(objects, Objects)
        process = objects._questions
    assert process.closed
