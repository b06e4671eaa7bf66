"""Checking out a commit with the ``git`` program: the user's own configuration, keys and credential helpers count.

What was fetched is kept in a bare repository, so that another commit costs little and the same one nothing. It never
asks anybody anything, runs no hooks of the repository, and takes no transport that runs a command of the address.
"""

import contextlib
import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from storectl_daemon.building.failure import BuildFailedError
from storectl_daemon.building.mirror_sums import lock_file, write_sums
from storectl_daemon.building.request import Repository

_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_SAFE = ("-c", "protocol.ext.allow=never", "-c", "core.hooksPath=/dev/null", "-c", "advice.detachedHead=false")


def check_out(repository: Repository, folder: Path) -> Path:
    """The commit's files in the new folder, with its submodules; BuildFailedError where it cannot be had."""
    if not _COMMIT.fullmatch(repository.commit) or repository.url.startswith("-"):
        raise BuildFailedError(
            f"{repository.commit[:80]!r} is not a commit", hint="lock again: a lock file names whole commits"
        )
    mirror = Path(repository.mirror)
    mirror.parent.mkdir(parents=True, exist_ok=True)
    skip = {} if repository.lfs else {"GIT_LFS_SKIP_SMUDGE": "1"}
    with _locked(mirror):
        _bring(mirror, repository)
        _git(["-C", str(mirror), "worktree", "prune"])
        _git(
            ["-C", str(mirror), "worktree", "add", "--quiet", "--force", "--detach", str(folder), repository.commit],
            **skip,
        )
        write_sums(mirror)
    if (folder / ".gitmodules").exists():
        _git(["-C", str(folder), "submodule", "--quiet", "update", "--init", "--recursive"], **skip)
    return folder


def _bring(mirror: Path, repository: Repository) -> None:
    """Have the commit in the mirror, with all tags: backends make versions of them. Files come when they are needed."""
    if not mirror.exists():
        stage = mirror.with_name(f"{mirror.name}.new")
        shutil.rmtree(stage, ignore_errors=True)
        _git(["clone", "--quiet", "--bare", "--filter=blob:none", "--", repository.url, str(stage)])
        stage.rename(mirror)
    if not _has(mirror, repository.commit):
        fetch = ["-C", str(mirror), "fetch", "--quiet", "--force", "--tags", "origin"]
        _git([*fetch, "+refs/heads/*:refs/heads/*"])
    if not _has(mirror, repository.commit):
        # A commit that no branch leads to, such as one of a pull request.
        with contextlib.suppress(BuildFailedError):
            _git(["-C", str(mirror), "fetch", "--quiet", "origin", repository.commit])
    if not _has(mirror, repository.commit):
        raise BuildFailedError(
            f"{_shown(repository.url)} has no commit {repository.commit}",
            hint="lock again: the commit may have been removed by a forced push",
        )


def _has(mirror: Path, commit: str) -> bool:
    done = subprocess.run(
        ["git", "-C", str(mirror), "cat-file", "-e", f"{commit}^{{commit}}"],
        env=_environ(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    return done.returncode == 0


def _git(arguments: list[str], **variables: str) -> None:
    command = ["git", *_SAFE, *arguments]
    try:
        done = subprocess.run(
            command, env=_environ() | variables, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            check=False,
        )  # fmt: skip
    except FileNotFoundError:
        raise BuildFailedError("there is no `git` on PATH", hint="install git: the lock file names a commit") from None
    print(" ".join(map(_shown, command)), done.stdout, done.stderr, sep="\n", flush=True)
    if done.returncode:
        raise BuildFailedError(
            f"git says: {_shown(_reason(done.stderr))[:300]}",
            hint="try the same with `git fetch`: storectl uses git as you do, but nobody can be asked for a password",
        )


def _reason(stderr: str) -> str:
    """The line of git's that says most. Of ssh it only says that it failed: why stands in ssh's own line before."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    at = next((at for at, line in enumerate(lines) if line.startswith(("fatal:", "error:", "ERROR:"))), len(lines) - 1)
    if at > 0 and lines[at].endswith("Could not read from remote repository."):
        return f"{lines[at - 1]} {lines[at]}"
    return lines[at] if lines else ""


def _environ() -> dict[str, str]:
    """No prompts; and no variables of a repository that somebody happens to stand in."""
    environ = {name: value for name, value in os.environ.items() if name not in _OF_A_REPOSITORY}
    return (
        environ
        | {"GIT_TERMINAL_PROMPT": "0", "GCM_INTERACTIVE": "never", "LC_ALL": "C"}
        | ({} if "GIT_SSH_COMMAND" in environ else {"GIT_SSH_COMMAND": "ssh -o BatchMode=yes"})
    )


_OF_A_REPOSITORY = frozenset(
    {
        "GIT_DIR",
        "GIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_OBJECT_DIRECTORY",
        "GIT_COMMON_DIR",
        "GIT_NAMESPACE",
        "GIT_PREFIX",
    }
)


def _shown(text: str) -> str:
    """Without a login in an address."""
    return re.sub(r"(?<=://)[^/@\s]+@", "", text)


@contextlib.contextmanager
def _locked(mirror: Path) -> Iterator[None]:
    """One process at a time works on a repository."""
    with lock_file(mirror).open("w", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
